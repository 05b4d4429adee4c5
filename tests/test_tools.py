"""What is made from the code for readers: the site's pages, the house, the bill of materials."""

import re
import shlex
from pathlib import Path

import click
import pytest

import sbom
import site_pages
import slim_ledger
from headtohead.cli import main
from headtohead.config.options import OPTIONS
from headtohead.probes.costs import COSTS
from headtohead.probes.predictions import PREDICTIONS
from headtohead.probes.translation import TRANSLATION
from headtohead.store.ledger import Ledger
from headtohead.study_data import StudyData
from reports import rich_ledger
from test_architecture import LAYERS

ROOT = Path(__file__).parent.parent
WRITTEN = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def commands(path: Path) -> list[str]:
    """The lines of a page's shell blocks that call headtohead."""
    blocks = re.findall(r"^```sh\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)
    lines = re.sub(r"\\\n\s*", " ", "\n".join(blocks)).splitlines()
    return [line for line in lines if re.match(r"(\.venv/bin/)?headtohead ", line)]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_commands_in_the_documents_are_understood(path: Path) -> None:
    """Else a user types what stands there and is told that there is no such option."""
    for line in commands(path):
        command: click.Command = main
        words = shlex.split(re.sub(r"<(\w+)>", r"\1", line), comments=True)[1:]
        for separator in ("|", ">", "&&", ";"):
            words = words[: words.index(separator)] if separator in words else words
        while isinstance(command, click.Group) and words and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        try:
            command.make_context("headtohead", words, resilient_parsing=False)
        except click.exceptions.Exit:
            continue  # --help and --version
        except click.UsageError as error:
            pytest.fail(f"{line}: {error.format_message()}")


def test_there_are_commands_to_understand() -> None:
    """Else the test above reads nothing."""
    assert len(commands(ROOT / "README.md")) >= 8


def test_the_reference_has_every_command_and_option() -> None:
    """Else the site's reference falls behind the table of options."""
    page = site_pages.command_line()
    flags = {flag for option in OPTIONS for flag in option.flag.split("/")}
    assert flags <= set(re.findall(r"--[a-z/-]+", page))
    for name in main.commands:
        assert f"## headtohead {name}" in page


def test_the_schema_has_every_key_of_a_study() -> None:
    """Else a key can be written in a study and found nowhere."""
    page = site_pages.study_schema()
    for model in site_pages.MODELS:
        part = page.split(f"## {model.__name__}\n")[1].split("\n## ")[0]
        assert set(model.model_fields) <= set(re.findall(r"^\| `(\w+)` \|", part, re.M))


def test_the_schema_says_what_each_value_may_be() -> None:
    """Else a reader of the page cannot know how a pair of heads or a range is written."""
    page = site_pages.study_schema()
    assert "anything" not in page
    assert "| `pairs` | list of string or [string, string] or null |" in page
    headings = {name.lower() for name in re.findall(r"^## (\w+)$", page, re.M)}
    assert set(re.findall(r"\]\(#(\w+)\)", page)) <= headings
    assert {"low", "high", "log"} <= set(re.findall(r"^\| `(\w+)` \|", page, re.M))


def test_links_are_those_of_the_site() -> None:
    """Else a link of the site leads to a file that it does not carry."""
    for base, text, expected in (
        (ROOT, "[a](docs/data.md#x)", "[a](data.md#x)"),
        (ROOT, "![a](docs/figures/house.svg)", "![a](/figures/house.svg)"),
        (ROOT / "docs", "[a](../README.md)", "[a](start.md)"),
        (ROOT / "docs", "[a](../src/headtohead/cli.py)", "a (`src/headtohead/cli.py`)"),
        (ROOT / "docs", "[a](ledgers/drawn)", '<a href="reports/drawn.html">a</a>'),
        (ROOT / "docs", "[a](ledgers/null/report.md)", '<a href="reports/null.html">a</a>'),
        (ROOT / "docs", "[a](ledgers/tuned/tuning.md)", "a (`docs/ledgers/tuned/tuning.md`)"),
        (ROOT / "docs", "[a](https://b.c)", "[a](https://b.c)"),
    ):
        assert site_pages.rewritten(text, base) == expected
    assert site_pages.rewritten("```\n[a](b)\n```\n", ROOT) == "```\n[a](b)\n```\n"


def test_every_page_stands_in_a_section() -> None:
    """Else a page is built that no reader finds."""
    listed = "\n".join(site_pages.contents(section) for section in site_pages.SECTIONS)
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - site_pages.STANDING
    assert pages == {line for line in listed.splitlines() if re.fullmatch(r"[a-z_]+", line)}


def test_the_drawn_house_has_every_layer() -> None:
    """Else CONTRIBUTING shows a program that is no more: `make house`."""
    drawn = (ROOT / "docs" / "figures" / "house.svg").read_text(encoding="utf-8")
    rooms = re.findall(r"<text x[^>]*>([\w.]+)</text>", drawn)
    assert rooms == [name for layer in LAYERS for name in layer]


@pytest.mark.usefixtures("no_drawing")
def test_a_slim_ledger_reports_the_same_numbers(tmp_path: Path) -> None:
    """Else a kept study is made small at the cost of what documents quote."""
    ledger = rich_ledger(tmp_path / "run", heads=("fc", "gap"), seeds=2, epochs=1)
    slim_ledger.slim(ledger.out, tmp_path / "kept", without=("translation",))
    kept, whole = StudyData(Ledger.open(tmp_path / "kept")), StudyData(ledger)
    assert kept.results == whole.results
    assert {len(run.validation.rows) for run in kept.evidence(PREDICTIONS).values()} == {0}
    assert {seed for _, seed in kept.evidence(COSTS)} == {0}
    assert (kept.evidence(TRANSLATION), kept.images(0)) == ({}, None)
    before = {"claims": [{"name": "speed", "outcome": "supported"}], "notes": []}
    with pytest.raises(SystemExit, match="claims"):
        slim_ledger._compare(before, {"claims": [], "notes": []}, ("translation",))


def test_the_bill_of_materials_names_what_is_installed() -> None:
    """Else nobody can say whether a flawed package is in use."""
    bill = sbom.bill()
    torch = next(part for part in bill["components"] if part["name"] == "torch")
    import torch as installed

    assert torch["version"].partition("+")[0] == installed.__version__.partition("+")[0]
    root = next(part for part in bill["dependencies"] if "headtohead@" in part["ref"])
    assert torch["purl"] in root["dependsOn"]


def test_all_is_type_checked_as_the_package_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a changed signature breaks a script or leaves a test that checks nothing, unseen."""
    main = pytest.importorskip("mypy.main")
    monkeypatch.chdir(ROOT)
    sources, options = main.process_options([])
    folders = ("src", "tools", "benchmarks", "tests")
    asked = {path for folder in folders for path in Path(folder).rglob("*.py")}
    asked -= set(Path("benchmarks/first_model").rglob("*.py"))  # as their users write them
    assert {Path(source.path) for source in sources} == asked
    assert options.disallow_untyped_defs


def test_the_page_of_python_sends_to_the_keys_of_a_study() -> None:
    """Else `StudySpec` stands there with a signature of a page, and its keys are said nowhere."""
    page = site_pages.python_names()
    part = page.split("## StudySpec\n")[1].split("\n## ")[0]
    assert "study_schema.md" in part
    assert "headtohead.StudySpec(**keys)" in part
    assert page.count("study_schema.md") == 1
