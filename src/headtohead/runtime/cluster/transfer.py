"""A job's files, sent between machines: in pieces, with hashes, written whole or not at all."""

import contextlib
import glob
import os
from collections.abc import Iterable, Iterator, Mapping
from hashlib import file_digest, sha256
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeAlias

from headtohead.config.strict_yaml import write_yaml
from headtohead.core.errors import HeadToHeadError
from headtohead.core.files import sha256_of, storage_error
from headtohead.probes.base import Probe
from headtohead.runtime.jobs import AnyJob, Job, SessionJob
from headtohead.store.ledger import STUDY_FILE, Ledger
from headtohead.store.records import BEST, HISTORY, LAST, RECORD, RESUME

PIECE = 4 << 20
"""Bytes sent at once."""

POSITION = (HISTORY, BEST, RESUME)
"""What a run resumes from, in the order in which it is written: history and best weights may be of
a later epoch than the position, which computes them again to the same bits, but of no earlier."""

ORDER = (*POSITION, LAST, RECORD)
"""In which a run's files are written; others before them."""

Piece: TypeAlias = dict[str, Any]
"""{"name", "content", "first", "sha256"}; the last of a file has its hash, others None."""


class DamagedFileError(HeadToHeadError):
    """A file did not arrive as it was sent."""


def reads(ledger: Ledger, job: AnyJob, probe: Probe[Any] | None = None) -> list[str]:
    """The files of the ledger that `job` reads, beside `study.yaml`.

    `probe` is that of a `SessionJob`.
    """
    study = ledger.file.study
    if isinstance(job, SessionJob):
        whole = probe is not None and not probe.needs.isdisjoint({"best", "last"})
        folders = [ledger.run_folder(head, 0) for head in job.heads] if whole else []
        return [name for folder in folders for name in _below(ledger.out, folder, "*")]
    if not isinstance(job, Job):
        return []
    split = study.split.seed_for(job.seed)
    own = _below(ledger.out, ledger.run_folder(job.head, job.seed), "*")
    after = study.heads[job.head].after
    before = [] if after is None else _below(ledger.out, ledger.run_folder(after, job.seed), LAST)
    evidence = ledger.out / "evidence"
    seen = _below(ledger.out, evidence, f"*/{job.head}/seed-{job.seed}.*")
    return [*own, *before, *seen, *_below(ledger.out, evidence, f"*/split-{split}.*")]


def writes(out: Path, job: AnyJob) -> list[str]:
    """The files that `job` left in `out`: records and manifests after what they speak of."""
    if isinstance(job, SessionJob):
        patterns = [f"evidence/{glob.escape(job.probe)}/session.*"]
    elif isinstance(job, Job):
        head, seed = glob.escape(job.head), f"seed-{job.seed}"
        patterns = [f"runs/{head}/{seed}/*", f"evidence/*/{head}/{seed}.*"]
    else:
        patterns = []
    found = (name for pattern in patterns for name in _below(out, out, pattern))
    return sorted(found, key=_rank)


def position(job: Job) -> list[str]:
    """The files that `job` resumes from, by name, whether there are any or not."""
    return [f"runs/{job.head}/seed-{job.seed}/{name}" for name in POSITION]


def _rank(name: str) -> int:
    file = name.rpartition("/")[2]
    if name.startswith("evidence/"):
        return len(ORDER) + file.endswith(".json")
    return ORDER.index(file) if file in ORDER else -1


def _below(out: Path, folder: Path, pattern: str) -> list[str]:
    found = (path for path in sorted(folder.glob(pattern)) if path.is_file())
    return [path.relative_to(out).as_posix() for path in found if not path.name.startswith(".")]


def packed(ledger: Ledger, names: Iterable[str], weights: str | None) -> dict[str, bytes]:
    """`study.yaml` and the files of these `names`, to be sent with a job.

    `weights` is the file of the backbone's weights on the machine that they are sent to.
    """
    file = ledger.file
    backbone = file.study.backbone.model_copy(update={"weights": weights})
    study = file.study.model_copy(update={"backbone": backbone})
    content = file.model_copy(update={"study": study}).model_dump(mode="json")
    files = {STUDY_FILE: write_yaml(content).encode()}
    for name in names:
        with contextlib.suppress(FileNotFoundError):  # what a lost run still wrote may go meanwhile
            files[name] = (ledger.out / name).read_bytes()
    return files


def changed(out: Path, names: Iterable[str], known: dict[str, str]) -> Iterator[Piece]:
    """Those of `names` that are there and not as `known` (name → SHA-256) has them, in pieces.

    They are sent in that order, and opened the other way round, before the first is sent: of what
    a run that goes on writes in that order no later file is newer than an earlier one. `known` is
    brought up to date.
    """
    with contextlib.ExitStack() as opened:
        files: dict[str, BufferedReader] = {}
        for name in reversed(list(names)):
            with contextlib.suppress(FileNotFoundError):
                files[name] = opened.enter_context((out / name).open("rb"))
        for name, file in reversed(files.items()):
            if file_digest(file, "sha256").hexdigest() != known.get(name):
                file.seek(0)
                for piece in _pieces(name, file):
                    yield piece
                    known[name] = piece["sha256"] or ""


def _pieces(name: str, file: BufferedReader) -> Iterator[Piece]:
    """A file in pieces, at least one; one that is replaced meanwhile is read as it was."""
    digest = sha256()
    content, first = file.read(PIECE), True
    while True:
        following = file.read(PIECE)
        digest.update(content)
        over = None if following else digest.hexdigest()
        yield {"name": name, "content": content, "first": first, "sha256": over}
        if not following:
            return
        content, first = following, False


class Receiver:
    """Writes what is sent into a folder: each file appears whole, when its hash is right."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._open: Path | None = None

    def take(self, piece: Mapping[str, Any]) -> None:
        """One piece. Raises DamagedFileError, and StorageError where it cannot be written."""
        path = self._out / piece["name"]
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb" if piece["first"] else "ab") as file:
                self._open = temporary
                file.write(piece["content"])
                if piece["sha256"] is not None:
                    file.flush()
                    os.fsync(file.fileno())
            if piece["sha256"] is None:
                return
            if sha256_of(temporary) != piece["sha256"]:
                raise DamagedFileError(f"{piece['name']} did not arrive as it was sent")
            temporary.replace(path)
            self._open = None
        except OSError as error:
            raise storage_error(path, error) from error

    def close(self) -> None:
        """Leave nothing behind of a file that did not come to its end."""
        if self._open is not None:
            with contextlib.suppress(OSError):
                self._open.unlink()
