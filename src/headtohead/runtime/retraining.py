"""Runs that are over and must be trained again, before anything new is trained.

Three kinds. Files that are not what the run's record says: always. Runs that failed: when asked,
and by themselves where the source of the head changed since. Runs of a head whose source changed:
when asked, and otherwise the command is refused, so that no mean is taken over two versions.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from headtohead.core.errors import UsageError
from headtohead.core.files import sha256_of, storage_error
from headtohead.core.source_code import source_digest
from headtohead.probes.stage import to_collect
from headtohead.runtime.jobs import Job
from headtohead.store.ledger import STUDY_FILE, Ledger, StudyFile
from headtohead.store.looks import read_looks
from headtohead.store.records import HISTORY, RECORD, RESUME, RunRecord, read_history


@dataclass(frozen=True)
class Retraining:
    """Which runs, beside those whose files are damaged, are trained again.

    `retry_failed`: those that failed. `retrain_changed`: those of heads of the user's own whose
    source changed; None where there is no such choice, as in a search.
    """

    retry_failed: bool = False
    retrain_changed: bool | None = False


def clear_outdated(
    out: Path, file: StudyFile, choice: Retraining, note: Callable[[str], None]
) -> None:
    """Clear away the runs of `file`'s heads in `out` that must be trained again, and say which.

    The caller holds the folder. Nothing is done where it has no study yet, or another one (which
    `Ledger.create` refuses). Raises UsageError where a head's source changed and nobody asked to
    train its runs again, or where a look was taken at them; then nothing is cleared.
    """
    if not (out / STUDY_FILE).is_file():
        return
    ledger = Ledger.open(out)
    if ledger.file.digest != file.digest:
        return
    old: dict[Job, str] = {}
    for name, head in file.study.heads.items():
        if ledger.file.study.heads.get(name) == head:
            old |= _outdated(ledger, name, head.head or name, choice)
    for job in list(old):
        for later in _successors(ledger, job):
            old.setdefault(later, f"it started from {job.head}, which is trained again")
    _check_looks(ledger, old)
    for job, reason in old.items():
        note(f"{job}: {reason}; training it again")
        _clear(ledger, job)


def _outdated(
    ledger: Ledger, name: str, head: str, choice: Retraining
) -> Iterator[tuple[Job, str]]:
    """The runs of one head that must go, each with the reason."""
    source = source_digest(head)
    changed: list[Job] = []
    for seed in _seeds(ledger, name):
        job = Job(name, seed)
        run = ledger.run(name, seed)
        if run is None:
            if reason := ledger.damage(name, seed) or _broken(ledger, job):
                yield job, reason
            continue
        known = run.record.source is not None or choice.retrain_changed  # 0.1 recorded none
        other = known and run.record.source != source
        failed = run.record.status == "failed"
        if other and failed:
            yield job, "it failed, and its source changed since"
        elif other:
            changed.append(job)
        elif failed and choice.retry_failed:
            yield job, "it failed"
        elif reason := _weights_differ(ledger, job, run.record):
            yield job, reason
    if changed and not choice.retrain_changed:
        way = "" if choice.retrain_changed is None else "add --retrain-changed, "
        count = "1 run" if len(changed) == 1 else f"{len(changed)} runs"
        raise UsageError(
            f"the source of {name} is not the one that {count} of it in {ledger.out} had: "
            f"{way or 'restore the source, '}or choose another --out."
        )
    for job in changed:
        yield job, "its source changed"


def _seeds(ledger: Ledger, head: str) -> list[int]:
    """The seeds that have a folder."""
    names = (path.name for path in (ledger.out / "runs" / head).glob("seed-*"))
    numbers = (name.removeprefix("seed-") for name in names)
    return sorted(int(number) for number in numbers if number.isdecimal())


def _broken(ledger: Ledger, job: Job) -> str | None:
    """Why a run that is not over cannot be resumed: lines of its history are no epochs."""
    try:
        read_history(ledger.run_folder(job.head, job.seed))
    except ValueError:
        return f"its {HISTORY} cannot be read"
    return None


def _weights_differ(ledger: Ledger, job: Job, record: RunRecord) -> str | None:
    """Which of the weights that probes are about to read is not the one that was written."""
    if record.status == "failed" or not to_collect(ledger, job.head, job.seed):
        return None
    folder = ledger.run_folder(job.head, job.seed)
    for name, digest in record.files.items():
        if (folder / name).is_file() and sha256_of(folder / name) != digest:
            return f"its {name} was changed after the run"
    return None


def _check_looks(ledger: Ledger, old: dict[Job, str]) -> None:
    """Refuse to change pairs that a sequential design has looked at."""
    looks = read_looks(ledger.out)
    if looks is None or not looks.taken:
        return
    seen = looks.taken[-1].n
    for job, reason in old.items():
        whole = ledger.run(job.head, job.seed) is not None
        if whole and job.head in (looks.reference, looks.other) and job.seed < seen:
            raise UsageError(
                f"{job}: {reason}, but a look was taken at it: a sequential design cannot train "
                f"it again. Choose another --out."
            )


def _successors(ledger: Ledger, job: Job) -> Iterator[Job]:
    """The runs of the same seed that start, directly or not, from `job`'s backbone."""
    for name, head in ledger.file.study.heads.items():
        if head.after == job.head:
            later = Job(name, job.seed)
            if ledger.run_folder(name, job.seed).is_dir():
                yield later
            yield from _successors(ledger, later)


def _clear(ledger: Ledger, job: Job) -> None:
    """Remove a run, its evidence first: a crash between leaves nothing of another run's."""
    probed = ledger.out / "evidence"
    folder = ledger.run_folder(job.head, job.seed)
    try:
        for found in (f"{job.head}/seed-{job.seed}", "session"):
            for path in (*probed.glob(f"*/{found}.json"), *probed.glob(f"*/{found}.npz")):
                path.unlink(missing_ok=True)
        (folder / RECORD).unlink(missing_ok=True)
        (folder / RESUME).unlink(missing_ok=True)
        shutil.rmtree(folder)
    except OSError as error:
        raise storage_error(folder, error) from error
