"""Fill an array file with decoded images: several processes, in chunks, able to go on.

A chunk that is on disk has a line in `chunks.jsonl`. After a kill at any moment the next call
reads that file and decodes only what is missing; a line that was cut short does not count.
"""

import json
import os
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headtohead.core.errors import RunError, StorageError
from headtohead.core.processes import Pool, Process, Worker, module_command
from headtohead.core.text import printable
from headtohead.data.long_tasks import Progress
from headtohead.data.prepared import PICTURES
from headtohead.data.rowfile import layout, open_rows, reserve

Decoding = list[int] | str  # [height, width], or why there is no image

CHUNK = 64
"""Images between two records: at most this many per worker are decoded again after a kill."""

RECORDS = "chunks.jsonl"
_RECORDS_FORMAT = 1

# glibc would give a large image's memory back and take zeroed pages for the next. At most 128 MiB
# are kept in each process.
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**27)}


@dataclass(frozen=True, eq=False)
class Decoded:
    """What became of F files: sizes (F, 2) height, width, zeros where there is no image."""

    sizes: NDArray[np.int64]
    reasons: dict[int, str]  # file number → why it gave no image

    @property
    def usable(self) -> NDArray[np.int64]:
        """Ascending numbers of the files that gave an image."""
        return np.flatnonzero(self.sizes[:, 0] > 0).astype(np.int64)


def fill(
    folder: Path,
    paths: Sequence[Path],
    *,
    image_size: int,
    resize: str,
    workers: int,
    progress: Progress,
) -> Decoded:
    """Decode `paths` into `folder`'s array file, row i from file i, going on where it stopped.

    Raises `StorageError` (no space, or the machine fails while reading), `RunError` (a worker
    died; names the file it was at) and `OSError` (the folder cannot be written).
    """
    plan = _Plan(paths, image_size, resize)
    decoded = _nothing_yet(plan)
    finished = _resume(folder, plan, decoded)
    missing = [chunk for chunk in plan.chunks() if chunk not in finished]
    count = len(paths) - sum(len(plan.files(chunk)) for chunk in missing)
    progress("decoding images", count, len(paths))

    def step(pictures: int) -> None:
        nonlocal count
        count += pictures
        progress("decoding images", count, len(paths))

    with (
        (folder / RECORDS).open("a", encoding="ascii") as records,
        closing(_decode(folder, plan, missing, workers, step)) as results,
    ):
        for chunk, outcomes in results:
            _note(decoded, chunk, outcomes)
            records.write(json.dumps([chunk, outcomes]) + "\n")
            records.flush()
    return Decoded(decoded.sizes, dict(sorted(decoded.reasons.items())))


def decode_chunks(
    folder: Path, paths: Sequence[Path], *, image_size: int, resize: str, workers: int
) -> Generator[tuple[int, list[Decoding], NDArray[np.uint8]]]:
    """Decode `paths` into a new `folder` that nobody resumes; each chunk as soon as it is there.

    Yields the number of its first file, each file's outcome, and the rows (n, size, size, 3), read
    into memory: black where there is no image. Raises as `fill` does.
    """
    plan = _Plan(paths, image_size, resize)
    folder.mkdir(parents=True)
    reserve(folder / PICTURES, plan.shape(len(paths)))
    rows = open_rows(folder / PICTURES)
    chunks = list(plan.chunks())
    with closing(_decode(folder, plan, chunks, workers, lambda _: None)) as results:
        for chunk, outcomes in results:
            first = chunk * CHUNK
            yield first, outcomes, np.array(rows[first : first + len(outcomes)])


@dataclass(frozen=True)
class _Plan:
    paths: Sequence[Path]
    image_size: int
    resize: str

    def chunks(self) -> range:
        return range(-(-len(self.paths) // CHUNK))

    def files(self, chunk: int) -> Sequence[Path]:
        return self.paths[chunk * CHUNK : (chunk + 1) * CHUNK]

    def shape(self, rows: int) -> tuple[int, int, int, int]:
        return (rows, self.image_size, self.image_size, 3)

    def header(self) -> dict[str, int]:
        return {"format": _RECORDS_FORMAT, "chunk": CHUNK, "files": len(self.paths)}


class _DecodingWorker(Worker):
    """One decoding process; its job is the number of a chunk, and `outcomes` what came of it."""

    def __init__(self, number: int, folder: Path, job: dict[str, Any]) -> None:
        self.log = folder / f"worker-{number}.log"
        self.position = folder / f"worker-{number}.position"
        self.position.write_bytes(b"")
        self.outcomes: list[Decoding] = []
        variables = {name: value for name, value in _MEMORY.items() if name not in os.environ}
        with self.log.open("w") as log:
            super().__init__(
                Process(module_command("headtohead.data.decode_worker"), variables, log)
            )
        self.process.send({**job, "position": os.fspath(self.position.resolve())})

    def decode(self, chunk: int, plan: _Plan) -> None:
        """Hand over a chunk."""
        self.outcomes = []
        paths = [os.fspath(path) for path in plan.files(chunk)]
        self.give(chunk, {"chunk": chunk, "first_row": chunk * CHUNK, "paths": paths})

    def death(self, plan: _Plan) -> RunError:
        """What to tell the user when it ended in the middle of a chunk."""
        how = self.process.death()
        # It may have died before it wrote that it had begun this chunk.
        at = max((self.job or 0) * CHUNK, int.from_bytes(self.position.read_bytes()))
        log = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = f": {printable(log[-1])}" if log else ""
        return RunError(
            f"a process that decodes images ended with {how}{last} at "
            f"{printable(os.fspath(plan.paths[at]))}. Run the same command again to resume; if it "
            f"ends at the same image, move that file away. Out of memory? Use fewer workers."
        )


def _decode(
    folder: Path, plan: _Plan, missing: list[int], workers: int, step: Callable[[int], None]
) -> Generator[tuple[int, list[Decoding]]]:
    """Yield each chunk of `missing` with its outcomes once its rows are on disk."""
    array = folder / PICTURES
    job = {
        "array": os.fspath(array.resolve()),
        "offset": layout(array)[1],
        "image_size": plan.image_size,
        "resize": plan.resize,
    }
    waiting = iter(missing)
    pool: Pool[_DecodingWorker] = Pool()
    with pool:
        for number, chunk in zip(range(max(1, workers)), waiting, strict=False):
            worker = _DecodingWorker(number, folder, job)
            pool.add(worker)
            worker.decode(chunk, plan)
        while pool.at_work:
            worker, answer = pool.hear()
            if answer is None:
                if worker.job is None:  # out of work, so that nothing is lost
                    continue
                raise worker.death(plan)
            if "error" in answer:
                raise StorageError(
                    f"decoding images stopped: {answer['error']}. Check the disk, then run the "
                    f"same command again to resume."
                )
            if "outcomes" in answer:
                worker.outcomes.extend(answer["outcomes"])
                step(len(answer["outcomes"]))
            if "written" in answer:
                outcomes = worker.outcomes
                worker.job = None
                following = next(waiting, None)
                if following is not None:  # before the yield: whoever reads may compute for long
                    worker.decode(following, plan)
                yield answer["written"], outcomes


def _resume(folder: Path, plan: _Plan, decoded: Decoded) -> set[int]:
    """Note in `decoded` what an earlier attempt finished, and return its chunks.

    Where there is nothing to go on with, begin with a fresh array file and no records.
    """
    finished = _read_records(folder / RECORDS, plan, decoded)
    shapes = {plan.shape(len(plan.paths))}
    if len(finished) == len(plan.chunks()):  # it may have been killed after it was compacted
        shapes.add(plan.shape(len(decoded.usable)))
    with suppress(OSError, ValueError):
        if finished and layout(folder / PICTURES)[0] in shapes:
            return finished
    decoded.sizes[:] = 0
    decoded.reasons.clear()
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    try:
        reserve(folder / PICTURES, plan.shape(len(plan.paths)))
    except (OSError, StorageError):
        shutil.rmtree(folder, ignore_errors=True)  # what was claimed is needed elsewhere
        raise
    (folder / RECORDS).write_text(json.dumps(plan.header()) + "\n", encoding="ascii")
    return set()


def _read_records(path: Path, plan: _Plan, decoded: Decoded) -> set[int]:
    """Note every whole record in `decoded`; cut off what a kill left behind them."""
    finished: set[int] = set()
    with suppress(OSError, ValueError), path.open("r+b") as records:
        if json.loads(records.readline()) != plan.header():
            return finished
        end = records.tell()
        with suppress(ValueError):
            for line in iter(records.readline, b""):
                chunk, outcomes = json.loads(line)
                if not line.endswith(b"\n") or len(outcomes) != len(plan.files(chunk)):
                    break
                _note(decoded, chunk, outcomes)
                finished.add(chunk)
                end = records.tell()
        records.truncate(end)
    return finished


def _nothing_yet(plan: _Plan) -> Decoded:
    return Decoded(np.zeros((len(plan.paths), 2), np.int64), {})


def _note(decoded: Decoded, chunk: int, outcomes: list[Decoding]) -> None:
    for file, outcome in enumerate(outcomes, chunk * CHUNK):
        if isinstance(outcome, str):
            decoded.reasons[file] = outcome
        else:
            decoded.sizes[file] = outcome
