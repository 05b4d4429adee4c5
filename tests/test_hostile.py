"""Hostile and broken inputs, each: it ends in a sentence, and no code of theirs runs."""

from pathlib import Path

import pytest

from deployed import Trained, trained_study
from hostile import Case, cases


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_study(tmp_path_factory.mktemp("hostile"))


def test_there_are_forty() -> None:
    names = [case.name for case in cases()]
    assert len(names) == len(set(names)) >= 40


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)
def test_it_ends_in_a_sentence(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    """Else somebody's file ends in a traceback, or runs what it holds."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    before = sorted(tmp_path.iterdir())
    told = case.run(trained, tmp_path / "in")
    assert told.exception is None or isinstance(told.exception, SystemExit)
    assert told.exit_code == case.code
    assert "Traceback" not in told.output
    assert "\x1b" not in told.output
    said = told.stderr.splitlines()
    (error,) = [line for line in said if line.startswith("headtohead: ")]
    assert len(error) < 700
    assert max(map(len, said)) < 1000
    assert sorted(tmp_path.iterdir()) == before  # nothing ran, nothing climbed out
