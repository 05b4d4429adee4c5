"""Study files and command lines that nobody thought of: one line and an exit code, always.

Bounded: a few hundred inputs, made anew in each run from a fixed seed; what was found once stands
in `FOUND`. Nothing is trained or timed: what a study or a command line means is settled before.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from fuzzing import inputs
from headtohead.cli import main
from headtohead.config.study_files import load_study

pytestmark = pytest.mark.usefixtures("quick_workers")

CODES = {0, 2, 3, 4, 5}
LONGEST = 1500
"""Characters of what a refusal says; click's usage has three lines of its own."""

BASE: dict[str, Any] = load_study("article-tuned").model_dump(mode="json")

FOUND = (
    "seeds: 7\nseeds: 2",
    "heads: &h {gap: , x: {options: *h}}",
    "? [a, b]\n: c",
    "!!set {a, b}",
    "a: !!binary x",
    "--- a\n--- b",
    "\ufeffseeds: 2",
    "name: '\\ud800'",
    'data: "\\0"',
    'description: "\\e[2J"',
    f"seeds: 1{'0' * 400}",
    "heads: {gap: {options: {a: .nan}}}",
    "heads: [[gap]]",
    "heads: {gap: {recipe: {epochs: {}}}}",
    "verdict: {looks: [[]]}",
    "tuning: {recipe: {learning_rate: []}}",
    "{}",
    "%YAML 9.9\n---\na: b",
    "&a a: *a",
    "<<: {seeds: 3}",
)


def refused_well(code: int, said: str, error: BaseException | None) -> None:
    """One of our codes, no traceback, one short line."""
    assert error is None or isinstance(error, SystemExit), repr(error)
    assert code in CODES
    if code:
        assert "Traceback" not in said
        lines = [line for line in said.splitlines() if line]
        usage = [line for line in lines if line.startswith(("Usage:", "Try '"))]
        assert len(lines) - len(usage) == 1, said
        assert len(said) < LONGEST


def plan(text: str, folder: Path) -> int:
    path = folder / "fuzzed.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    result = CliRunner().invoke(
        main, ["plan", "--no-timing", str(path), "--out", str(folder / "none")]
    )
    refused_well(result.exit_code, result.stderr, result.exception)
    return result.exit_code


@pytest.mark.parametrize("text", FOUND)
def test_texts_that_broke_it_once(text: str, tmp_path: Path) -> None:
    """Else a mended traceback comes back."""
    plan(text, tmp_path)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.integers(),
    st.floats(),
    st.sampled_from(["", " ", "gap", "fc", "yes", "1:30", "~", "a:b", "x" * 300, "\n", "\x1b[2J"]),
    st.text(max_size=6),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [above] if above else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*above, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, (*above, index))
    return found


@inputs(30)
@given(place=st.sampled_from(places(BASE)), value=values)
def test_any_value_in_any_field(place: tuple[Any, ...], value: Any, tmp_path: Path) -> None:
    """Else a slip in one field of a study ends in a traceback."""
    content = copy.deepcopy(BASE)
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    plan(yaml.safe_dump(content, allow_unicode=True), tmp_path)


@inputs(80)
@given(
    text=st.lists(
        st.sampled_from([*"ab:{}[],-&*!|>'\"%#?@`~<= \n\t01.", "heads", "gap", "\u0085", "\n- "]),
        max_size=40,
    ).map("".join)
)
@example(text="a: " + "[" * 3000)
@example(text="- " * 3000)
def test_any_text(text: str, tmp_path: Path) -> None:
    """Else a file that is no study, or half of one, ends in a traceback."""
    plan(text, tmp_path)


OPTIONS = (
    *("--data", "--heads", "--seeds", "--until-decided", "--epochs", "--batch-size", "--out"),
    *("--learning-rate", "--precision", "--image-size", "--resize", "--limit", "--cache"),
    *("--masks", "--workers", "--device", "--deterministic", "--json", "--classes", "--pictures"),
    *("--beside", "--figures", "--retry-failed", "--retrain-changed", "-h", "--version", "--"),
)
words = st.one_of(
    st.sampled_from(OPTIONS),
    st.sampled_from(["quick", "article", "gap", "fc,gap", "2", "0", "-1", "1e9", "nan", "inf"]),
    st.sampled_from(["no:Class", "json:JSONDecoder", ":", "a:b:c", "x" * 300, "", ".", "/", "~"]),
    st.text(max_size=5).filter(lambda text: "\x00" not in text),
)
commands = st.sampled_from(
    [["plan", "--no-timing"], ["studies"], ["heads"], ["report"], [], ["data"], ["nosuch"]]
)


@inputs(80)
@given(command=commands, rest=st.lists(words, max_size=5))
@example(command=["heads"], rest=["--classes", "-5"])
@example(command=["heads"], rest=["--image-size", "100000"])
@example(command=["heads"], rest=["gap", "--classes", "999999999999"])
@example(command=["report"], rest=["x" * 300])
@example(command=["plan", "--no-timing"], rest=["--out", "x" * 300])
@example(command=["plan", "--no-timing"], rest=["x" * 300])
@example(command=["plan", "--no-timing"], rest=["quick", "\x1e"])
def test_any_command_line(
    command: list[str], rest: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a slip in a command ends in a traceback."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [*command, *rest])
    if "Commands:" in result.output or result.exit_code == 0:  # help, or an answer
        assert result.exit_code in CODES
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return
    refused_well(result.exit_code, result.stderr, result.exception)


@pytest.mark.parametrize("damage", ["", "a: [", "[]", "study: {}", "\x00", "&a [*a]", "[" * 3000])
def test_a_damaged_study_file_is_told_by_every_reader(tmp_path: Path, damage: str) -> None:
    """Else a folder copied in part ends in a traceback."""
    (tmp_path / "study.yaml").write_text(damage, encoding="utf-8")
    for command in (["report", str(tmp_path)], ["plan", "--no-timing", "--out", str(tmp_path)]):
        result = CliRunner().invoke(main, command)
        refused_well(result.exit_code, result.stderr, result.exception)
        assert result.exit_code == 2


def test_the_fuzzer_would_see_a_traceback() -> None:
    """Else the tests above pass whatever happens."""
    with pytest.raises(AssertionError):
        refused_well(1, "Traceback (most recent call last):\nValueError: x", ValueError("x"))
    with pytest.raises(AssertionError):
        refused_well(2, "headtohead: one\nand two", SystemExit(2))
    assert json.loads(json.dumps(BASE)) == BASE
