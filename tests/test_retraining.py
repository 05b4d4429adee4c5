"""Runs that must be trained again are found, told and cleared; all others are left alone."""

from pathlib import Path

import pytest

from headtohead.core.errors import UsageError
from headtohead.core.files import sha256_of, write_atomic
from headtohead.core.source_code import source_digest
from headtohead.report.summary import summarize
from headtohead.runtime.retraining import Retraining, clear_outdated
from headtohead.store.evidence import evidence_path
from headtohead.store.ledger import Ledger
from headtohead.store.records import Failure, RunRecord
from headtohead.study_data import StudyData
from ledgers import add_run, study_ledger
from stated import stated
from test_interim import design, followed

HEAD = "own_h2h:Own"
NAME = "own_h2h.Own"
NAN = Failure(reason="the training loss is not finite", epoch=2, step=1)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "own_h2h.py"
    path.write_text("class Own: ...\n")
    return path


def changed(ledger: Ledger, head: str, seed: int, **fields: object) -> RunRecord:
    """The record with other fields, and its history's digest, as a real run has it."""
    folder = ledger.run_folder(head, seed)
    run = ledger.run(head, seed)
    assert run is not None
    files = {"history.jsonl": sha256_of(folder / "history.jsonl")}
    record = run.record.model_copy(update={"files": files, **fields})
    write_atomic(folder / "run.json", record.model_dump_json().encode())
    return record


@pytest.fixture
def ledger(tmp_path: Path, source: Path) -> Ledger:
    """Two heads, one of the user's own; of that, seed 1 failed."""
    ledger = study_ledger(tmp_path / "out", heads=("gap",), seeds=2)
    study = ledger.file.study.model_validate(
        {**ledger.file.study.model_dump(), "heads": {"gap": {}, NAME: {"head": HEAD}}}
    )
    ledger = Ledger.create(ledger.out, ledger.file.model_copy(update={"study": study}))
    for head in ("gap", NAME):
        for seed in (0, 1):
            failure = NAN if (head, seed) == (NAME, 1) else None
            add_run(ledger, head, seed, failure=failure)
            digest = source_digest(HEAD) if head == NAME else None
            changed(ledger, head, seed, source=digest)
    return ledger


def over(ledger: Ledger) -> set[tuple[str, int]]:
    return {(run.record.head, run.record.seed) for run in ledger.runs()}


ALL = {("gap", 0), ("gap", 1), (NAME, 0), (NAME, 1)}


def test_what_is_as_it_was_stays(ledger: Ledger) -> None:
    """Else the same command again trains everything again."""
    said: list[str] = []
    clear_outdated(ledger.out, ledger.file, Retraining(retrain_changed=True), said.append)
    assert over(ledger) == ALL
    assert said == []


def test_failed_runs_are_tried_again_when_asked(ledger: Ledger) -> None:
    """Else a run that failed once, for want of memory, has failed for ever."""
    said: list[str] = []
    clear_outdated(ledger.out, ledger.file, Retraining(retry_failed=True), said.append)
    assert over(ledger) == ALL - {(NAME, 1)}
    assert [line.partition(":")[0] for line in said] == [f"{NAME} seed 1"]


def test_a_repaired_head_is_tried_again_unasked(ledger: Ledger, source: Path) -> None:
    """Else its author reads the old failure for ever."""
    changed(ledger, NAME, 0, status="failed", failure=NAN)
    source.write_text("class Own: pass\n")
    clear_outdated(ledger.out, ledger.file, Retraining(), lambda _: None)
    assert over(ledger) == {("gap", 0), ("gap", 1)}


def test_a_changed_head_is_refused_and_nothing_moves(ledger: Ledger, source: Path) -> None:
    """Else means are taken over two versions of a head."""
    source.write_text("class Own: pass\n")
    with pytest.raises(UsageError, match=rf"{NAME}.*--retrain-changed.*--out") as caught:
        clear_outdated(ledger.out, ledger.file, Retraining(), lambda _: None)
    assert "\n" not in str(caught.value)
    assert over(ledger) == ALL


def test_a_changed_head_is_trained_again_when_asked(ledger: Ledger, source: Path) -> None:
    """Else there is no way to go on in the same folder; old evidence must not stay, either."""
    source.write_text("class Own: pass\n")
    evidence = evidence_path(ledger.out, "predictions", NAME, 0)
    assert evidence.exists()
    clear_outdated(ledger.out, ledger.file, Retraining(retrain_changed=True), lambda _: None)
    assert over(ledger) == {("gap", 0), ("gap", 1)}
    assert not evidence.exists()
    assert not evidence.with_suffix(".json").exists()


@pytest.mark.parametrize("known", [True, False])
def test_runs_of_version_0_1_have_no_source(ledger: Ledger, known: bool) -> None:
    """Else every older study with a head of one's own is refused; asked for, they are renewed."""
    changed(ledger, NAME, 0, source=None)
    clear_outdated(ledger.out, ledger.file, Retraining(retrain_changed=known), lambda _: None)
    assert ((NAME, 0) in over(ledger)) is not known


@pytest.mark.parametrize("how", ["cut", "edited", "empty", "gone"])
def test_a_damaged_history_is_told_left_out_and_trained_again(ledger: Ledger, how: str) -> None:
    """Else a table shows numbers that no run had, or the report crashes."""
    path = ledger.run_folder("gap", 1) / "history.jsonl"
    text = path.read_text()
    if how == "gone":
        path.unlink()
    else:
        lines = text.splitlines(keepends=True)
        edited = text.replace('"val_accuracy":0.', '"val_accuracy":0.9')
        path.write_text({"cut": "".join(lines[:-1]), "edited": edited, "empty": ""}[how])
    assert over(ledger) == ALL - {("gap", 1)}
    assert [(head, seed) for head, seed, _ in StudyData(ledger).damaged] == [("gap", 1)]
    (note,) = (note for note in summarize(StudyData(ledger)).notes if "left out" in note)
    assert stated(note, "fc", "gap", "headtohead compare")[:2] == ["gap", "1"]
    said: list[str] = []
    clear_outdated(ledger.out, ledger.file, Retraining(), said.append)
    assert not ledger.run_folder("gap", 1).exists()
    assert [line.partition(":")[0] for line in said] == ["gap seed 1"]


def test_what_starts_from_a_renewed_run_is_renewed_with_it(tmp_path: Path) -> None:
    """Else a head goes on from a backbone that is no longer there."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=1, heads_after={"gap": "fc"})
    add_run(ledger, "fc", 0, failure=NAN)
    add_run(ledger, "gap", 0)
    clear_outdated(tmp_path, ledger.file, Retraining(retry_failed=True), lambda _: None)
    assert over(ledger) == set()


def test_what_starts_from_a_renewed_run_is_not_renewed_after_a_look(tmp_path: Path) -> None:
    """Else a pair that was looked at is another one, and nothing says so."""
    heads = ("fc", "fc_dropout", "gap")
    ledger = study_ledger(tmp_path, heads=heads, seeds=2, heads_after={"gap": "fc_dropout"})
    followed(ledger, design(ledger, looks=[7]), {"gap": 0.9})
    ledger = Ledger.open(tmp_path)
    add_run(ledger, "fc_dropout", 1, failure=Failure(reason="lost", epoch=2, step=1))
    with pytest.raises(UsageError, match="gap seed 1"):
        clear_outdated(tmp_path, ledger.file, Retraining(retry_failed=True), print)
    assert ledger.run("gap", 1) is not None


def test_mixed_sources_are_said(ledger: Ledger) -> None:
    """Else runs copied together from two folders are averaged without a word."""
    changed(ledger, NAME, 1, source="0" * 64)
    assert any(NAME in note and "2 versions" in note for note in summarize(StudyData(ledger)).notes)
