"""Where a study's results go."""

from pathlib import Path

import pytest

from headtohead.store.new_study import default_out
from ledgers import study_ledger


def test_results_lie_under_the_studys_name_and_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two studies share a folder, or one study has two."""
    monkeypatch.chdir(tmp_path)
    file = study_ledger(tmp_path / "ledger").file
    study = file.study.model_copy(update={"name": "flowers", "data": "photos/flowers"})
    file = file.model_copy(update={"study": study})
    mine = Path("runs") / f"flowers-{file.digest[:8]}"
    assert default_out(file) == mine


def test_a_study_from_when_it_was_called_standard_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the hours in `runs/standard-…` are spent again."""
    monkeypatch.chdir(tmp_path)
    file = study_ledger(tmp_path / "ledger").file
    study = file.study.model_copy(update={"name": "flowers", "data": "photos/flowers"})
    file = file.model_copy(update={"study": study})
    before = Path("runs") / f"standard-{file.digest[:8]}"
    before.mkdir(parents=True)
    assert default_out(file) == before
    named = file.model_copy(update={"study": study.model_copy(update={"name": "mine"})})
    assert default_out(named) == Path("runs") / f"mine-{file.digest[:8]}"
