"""One table of options: what is written there once is found everywhere."""

import dataclasses
import importlib
import importlib.util
import inspect
import subprocess
import sys
import typing
from pathlib import Path
from types import ModuleType

import click
import pytest
from click import Command
from click.testing import CliRunner

import headtohead
import site_pages
from headtohead import cli
from headtohead.config import options
from headtohead.config.augmentation import augment_text, read_augment
from headtohead.config.from_options import arguments_for, study_from
from headtohead.config.options import (
    MODELS,
    OPTIONS,
    RUNNING,
    TRAINING,
    Option,
    PictureOptions,
    StudyOptions,
    TuneOptions,
    options_of,
)
from headtohead.config.study import StudySpec
from headtohead.core.errors import UsageError
from headtohead.deploy import answers, export
from headtohead.report.page.content import SHOWN_IMAGES
from headtohead.report.page.setting import command
from headtohead.report.page.thumbnails import OF_EACH_KIND

PYTHON = {
    "compare": "headtohead.compare",
    "plan": "headtohead.runtime.plan",
    "tune": "headtohead.tuning.search",
}


def _fresh(name: str) -> ModuleType:
    """A module as it is built from the table as it stands."""
    known = importlib.util.find_spec(name)
    assert known is not None
    assert known.origin is not None
    spec = importlib.util.spec_from_file_location("fresh", known.origin)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _AskedError(Exception):
    """Stands where a worker would be started."""


@pytest.mark.parametrize("commands", [RUNNING, TRAINING], ids=["all but tune", "tune too"])
def test_an_option_written_once_is_everywhere(
    commands: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an option that one command has is forgotten in another, or in the page's command."""
    margin = Option("margin", float, "Margin of non-inferiority.", commands, "verdict.margin")
    monkeypatch.setattr(options, "OPTIONS", (*OPTIONS, margin))
    main = _fresh("headtohead.cli").main
    monkeypatch.setattr(site_pages, "main", main)
    reference = site_pages.command_line().split("\n## ")
    received: list[StudySpec] = []

    def ask(spec: StudySpec, *_: object, **__: object) -> None:
        received.append(spec)
        raise _AskedError

    for name, module in PYTHON.items():
        fresh = _fresh(module)
        (page,) = (page for page in reference if page.startswith(f"headtohead {name}\n"))
        assert {
            "the command's help": "--margin FLOAT" in _help(main, name),
            "the site's reference": f"| `--margin FLOAT` | {margin.told} |" in page,
            "Python's help": f"    margin: {margin.told}" in getattr(fresh, name).__doc__,
        } == dict.fromkeys(
            ("the command's help", "the site's reference", "Python's help"), name in commands
        )
        if name != "tune":  # which asks nobody before it has a search
            monkeypatch.setattr(fresh, "question_about", ask)
            with pytest.raises(_AskedError):
                getattr(fresh, name)("quick", margin=0.02)
    monkeypatch.setattr(importlib.import_module("headtohead.compare"), "question_about", ask)
    with pytest.raises(_AskedError):
        CliRunner().invoke(main, ["compare", "quick", "--margin", "0.02"], catch_exceptions=False)
    assert [study.verdict.margin for study in received] == [0.02] * 3
    assert command(received[0]) == "headtohead compare quick --margin 0.02"


def _help(main: Command, name: str) -> str:
    return CliRunner().invoke(main, [name, "--help"]).stdout


@pytest.mark.parametrize(
    ("function", "name", "typed"),
    [
        (headtohead.compare, "compare", StudyOptions),
        (headtohead.plan, "plan", StudyOptions),
        (headtohead.tune, "tune", TuneOptions),
        (headtohead.data_check, "data", PictureOptions),
        (headtohead.data_show, "data", PictureOptions),
        (headtohead.doctor, "doctor", None),
    ],
    ids=["compare", "plan", "tune", "data_check", "data_show", "doctor"],
)
def test_python_takes_and_documents_what_the_command_takes(
    function: typing.Any, name: str, typed: type | None
) -> None:
    """Else a script cannot ask for what the command line can, or never learns of it."""
    table = {option.name for option in options_of(name)}
    own = set(inspect.signature(function).parameters) - {"study", "source", "rows", "options"}
    assert own | set(typing.get_type_hints(typed) if typed else ()) == table
    assert {
        line.strip().partition(":")[0]
        for line in function.__doc__.partition("Options:")[2].splitlines()
        if line.strip()
    } == table


def test_defaults_are_the_same_in_python() -> None:
    """Else the same call trains on another device than the same command."""
    for option in options_of("compare"):
        parameter = inspect.signature(headtohead.compare).parameters.get(option.name)
        if parameter is not None:
            assert parameter.default == option.value, option.name


def _literals(option: Option) -> set[str]:
    """What the study's field takes, where it takes some words alone."""
    *parts, last = (option.place or "").split(".")
    part: typing.Any = StudySpec()
    for name in parts:
        part = getattr(part, name)
    kinds = [type(part).model_fields[last].annotation]
    found: set[str] = set()
    while kinds:
        kind = kinds.pop()
        if typing.get_origin(kind) is typing.Literal:
            found |= set(typing.get_args(kind))
        else:
            kinds += [each for each in typing.get_args(kind) if each is not type(None)]
    return found


def test_every_place_is_a_field_and_every_choice_a_value() -> None:
    """Else an option is offered that no study can have."""
    for option in options_of("compare"):
        if option.place is None:
            continue
        option.of(StudySpec())
        for choice in option.choices:
            study = study_from("quick", **{option.name: choice})
            assert option.of(study) == choice
        if isinstance(option.of(StudySpec()), str) and (offered := _literals(option)):
            assert set(option.choices) == offered, option.name
    commands = {c for option in OPTIONS for c in option.commands}
    assert commands == {*cli.main.commands} - {"heads", "report", "studies"}
    for name in commands:
        names = [option.name for option in options_of(name)]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("name", [*MODELS, "backbones"])
def test_commands_on_models_take_what_the_table_says(name: str) -> None:
    """Else a help text is written twice, and one of the two goes stale."""
    context = cli.main.commands[name]
    found = {o.name: o for o in context.params if isinstance(o, click.Option)}
    for option in options_of(name):
        assert found[option.name].help == option.told
        assert found[option.name].multiple == option.many


@pytest.mark.parametrize(
    ("text", "flip", "crop", "color"),
    [
        ("flip", True, 0.0, 0.0),
        ("flip,crop=0.1, color=0.2", True, 0.1, 0.2),
        ("crop=0.1", False, 0.1, 0.0),
        ("none", False, 0.0, 0.0),
    ],
)
def test_augmentation_is_read_and_written(
    text: str, flip: bool, crop: float, color: float, tmp_path: Path
) -> None:
    """What is given replaces the study's own; else `--augment none` leaves its flips on."""
    file = tmp_path / "study.yaml"
    file.write_text("recipe: {augment: {flip: true, crop: 0.5}}\n")
    found = study_from(file, augment=text).recipe.augment
    assert (found.flip, found.crop, found.color) == (flip, crop, color)
    assert read_augment(augment_text(found)) == found.model_dump()


@pytest.mark.parametrize("text", ["flop", "", "flip=1", "crop", "crop=much", "none,flip"])
def test_augmentation_that_cannot_be_is_refused(text: str) -> None:
    """A misspelt word must not train without augmentation."""
    with pytest.raises(UsageError, match="--augment takes"):
        study_from("quick", augment=text)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"heads": "gap,fc", "seeds": 9, "limit": 100},
        {"augment": "flip,crop=0.25", "schedule": "cosine", "warmup": 0.1, "batch_norm": "moving"},
        {"data": "some folder/flowers", "weight_decay": 0.01, "max_unreadable": 0.5},
        {"until_decided": "fc", "resize": "bilinear", "precision": "bf16"},
    ],
    ids=str,
)
@pytest.mark.parametrize("base", [None, "article"])
def test_the_pages_command_gives_the_same_study(base: str | None, given: dict[str, object]) -> None:
    """Else who types the page's line runs another study."""
    study = study_from(base, **given)
    arguments = arguments_for(study)
    assert arguments is not None
    received: list[StudySpec] = []
    context = cli.main.commands["compare"].make_context("compare", list(arguments))
    taken = {o.name: context.params[o.name] for o in options_of("compare") if o.place is not None}
    received.append(study_from(context.params["study"], **taken))
    assert received == [study]


def test_a_shipped_study_with_the_description_of_another_version_is_still_its_name() -> None:
    """Else a report of before says that only a file gives its study again."""
    study = study_from("article", data="photos").model_copy(update={"description": "as it was"})
    assert arguments_for(study) == ["article", "--data", "photos"]


def test_a_study_that_options_cannot_give_is_a_file() -> None:
    """Split, backbone and heads' own settings have no options."""
    study = study_from("quick")
    other = study.model_copy(update={"split": study.split.model_copy(update={"seed": 5})})
    assert command(other) == "headtohead compare study.yaml"


def test_until_decided_takes_a_head_as_heads_does() -> None:
    """`--heads mine:Head --until-decided mine:Head` names one head twice."""
    study = study_from("quick", heads="gap,mine:Head", until_decided="mine:Head")
    assert study.verdict.until_decided == "mine.Head"


def test_an_option_that_there_is_not_is_an_error() -> None:
    """A misspelt keyword must not be ignored."""
    with pytest.raises(TypeError, match="epoch'"):
        study_from("quick", epoch=3)


def test_help_imports_little() -> None:
    """Else `headtohead --help` takes seconds."""
    code = (
        "import sys\nfrom headtohead.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'pydantic', 'numpy', 'torch', 'rich', 'yaml'} & set(sys.modules)\n"
        "print('heavy', sorted(heavy))"
    )
    for words in (["--help"], ["compare", "--help"]):
        told = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
        )
        assert told.stdout.splitlines()[-1] == "heavy []"


def test_options_are_frozen() -> None:
    """A command that changed the table would change all others."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        OPTIONS[0].help = "other"  # type: ignore[misc]


def test_metric_and_class_weights_are_in_the_command_of_the_page() -> None:
    """Otherwise who copies it decides by another metric, or trains by another loss."""
    study = study_from("quick", metric="macro_f1", class_weights="balanced")
    assert (study.verdict.metric, study.recipe.class_weights) == ("macro_f1", "balanced")
    given = arguments_for(study)
    assert given is not None
    assert set(given) == {"quick", "--class-weights", "balanced", "--metric", "macro_f1"}


def test_class_weights_none_is_the_study_of_earlier_versions() -> None:
    """Digests and run keys of finished studies must not change."""
    named, unnamed = study_from("quick", class_weights="none"), study_from("quick")
    assert named == unnamed
    assert named.digest("p") == unnamed.digest("p")
    assert "class_weights" not in named.recipe.identity()
    weighed = study_from("quick", class_weights="balanced", metric="macro_f1")
    assert weighed.digest("p") != named.digest("p")
    assert study_from("quick", metric="macro_f1").digest("p") == named.digest("p")


def test_formats_are_those_that_can_be_written() -> None:
    """Else a new format is there, and no command takes it."""
    for name, formats in (("predict", answers.FORMATS), ("export", export.FORMATS)):
        (option,) = (o for o in cli.main.commands[name].params if o.name == "form")
        assert isinstance(option.type, click.Choice)
        assert set(option.type.choices) == set(formats)


def test_the_page_has_as_many_images_as_the_help_says() -> None:
    """Else the report command promises another number."""
    (option,) = (o for o in cli.main.commands["report"].params if o.name == "pictures")
    assert isinstance(option, click.Option)
    assert isinstance(option.type, click.IntRange)
    assert option.type.max == OF_EACH_KIND
    assert f"default: {SHOWN_IMAGES}" in str(option.help)
