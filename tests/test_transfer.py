"""Files between machines: what arrives is what was sent, or nothing, and nowhere else."""

from pathlib import Path
from typing import Any

import pytest

from headtohead.core.errors import StorageError
from headtohead.runtime.cluster import transfer
from headtohead.runtime.cluster.transfer import DamagedFileError, Receiver, changed
from headtohead.runtime.jobs import FiguresJob, Job
from headtohead.store.ledger import STUDY_FILE, Ledger
from ledgers import full_ledger

JOB = Job("gap", 0)
NAME = "runs/gap/seed-0/best.safetensors"


def sent(root: Path, content: bytes, name: str = NAME) -> list[dict[str, Any]]:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(content)
    return list(changed(root, [name], {}))


@pytest.mark.parametrize("size", [0, 1, 10, 11, 30])
def test_a_file_arrives_as_it_was_sent(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PIECE", 10)
    content = bytes(range(size))
    receiver = Receiver(tmp_path / "home")
    path = tmp_path / "home" / NAME
    for piece in sent(tmp_path / "away", content):
        assert not path.exists()
        receiver.take(piece)
    assert path.read_bytes() == content
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_an_altered_piece_leaves_what_stood_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a bit that the network turned is taken for a weight."""
    monkeypatch.setattr(transfer, "PIECE", 10)
    first, second = sent(tmp_path / "away", bytes(20))
    receiver = Receiver(tmp_path / "home")
    path = tmp_path / "home" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(b"before")
    receiver.take({**first, "content": b"x" * 10})
    with pytest.raises(DamagedFileError):
        receiver.take(second)
    receiver.close()
    assert path.read_bytes() == b"before"
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_sender_that_dies_leaves_nothing_and_the_next_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PIECE", 10)
    first, second = sent(tmp_path / "away", b"a" * 10 + b"b" * 10)
    receiver = Receiver(tmp_path / "home")
    receiver.take(first)
    receiver.close()
    folder = (tmp_path / "home" / NAME).parent
    assert list(folder.iterdir()) == []
    again = Receiver(tmp_path / "home")
    for piece in (first, second):
        again.take(piece)
    assert (folder / "best.safetensors").read_bytes() == b"a" * 10 + b"b" * 10


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(StorageError, match="home"):
        Receiver(tmp_path / "home").take(sent(tmp_path / "away", b"x")[0])


def test_what_is_known_is_not_sent_again(tmp_path: Path) -> None:
    """Else weights of a finished run travel with every probe."""
    sent(tmp_path, b"x")
    known: dict[str, str] = {}
    assert [piece["name"] for piece in changed(tmp_path, [NAME, "runs/none"], known)] == [NAME]
    assert list(changed(tmp_path, [NAME], known)) == []
    (tmp_path / NAME).write_bytes(b"y")
    assert [piece["content"] for piece in changed(tmp_path, [NAME], known)] == [b"y"]


def test_a_position_is_read_first_and_arrives_last(tmp_path: Path) -> None:
    """Else a kill on the way leaves epoch 5's weights as the best, named epoch 8's."""
    away, home = tmp_path / "away", tmp_path / "home"
    folder = away / "runs/gap/seed-0"
    folder.mkdir(parents=True)
    names = ("resume.safetensors", "best.safetensors", "history.jsonl")
    for name in names:
        (folder / name).write_bytes(b"5")
    receiver, arrived = Receiver(home), []
    for piece in changed(away, transfer.position(JOB), {}):
        for name in names:  # an epoch ends while the first file is sent
            (folder / "new").write_bytes(b"6")
            (folder / "new").replace(folder / name)
        receiver.take(piece)
        arrived.append(Path(piece["name"]).name)
    assert arrived[-1] == "resume.safetensors"
    assert (home / "runs/gap/seed-0/resume.safetensors").read_bytes() == b"5"
    assert sorted(arrived) == sorted(names)
    written = [Path(name).name for name in transfer.writes(away, JOB)]
    assert written == arrived


def test_a_machine_gets_what_its_job_reads_and_sends_its_record_last(tmp_path: Path) -> None:
    """Else a run does not resume, or counts as finished before its weights are there."""
    ledger = full_ledger(tmp_path / "out", seeds=2, epochs=2)
    job = Job(next(iter(ledger.file.study.heads)), 1)
    names = transfer.reads(ledger, job)
    own = f"runs/{job.head}/seed-1/"
    assert f"{own}run.json" in names
    assert not [name for name in names if "seed-0" in name]
    written = transfer.writes(ledger.out, job)
    runs = [name for name in written if name.startswith("runs/")]
    assert runs[-1] == f"{own}run.json"
    evidence = written[len(runs) :]
    assert {name.partition("/")[0] for name in evidence} == {"evidence"}
    manifests = [name.endswith(".json") for name in evidence]
    assert manifests == sorted(manifests)
    packed = transfer.packed(ledger, [*names, f"{own}gone"], "elsewhere.pth")
    assert list(packed) == [STUDY_FILE, *names]
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / STUDY_FILE).write_bytes(packed[STUDY_FILE])
    there = Ledger.open(tmp_path / "there").file
    assert there.study.backbone.weights == "elsewhere.pth"
    assert there.digest == ledger.file.digest
    assert transfer.writes(ledger.out, FiguresJob("accuracy")) == []
