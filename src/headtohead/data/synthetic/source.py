"""The folder of drawn images: drawn once, by several processes, complete or not there at all."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock

from headtohead.core.errors import DataError, StorageError, UsageError
from headtohead.core.processes import Pool, Process, Worker, module_command
from headtohead.core.system import ANOTHER_CACHE, usable_cores
from headtohead.data.inventory import loss, make_whole
from headtohead.data.long_tasks import Progress
from headtohead.data.selection import select
from headtohead.data.sources import PictureFile
from headtohead.data.synthetic.photograph import LABELS, named, photograph

DEFAULT_COUNT = 3000
FEWEST = 100
"""Images that are drawn at least, however small the limit."""
DRAWING_VERSION = 1
"""Raised whenever the same number would give another image."""


def synthetic_source(
    *,
    cache: Path,
    progress: Progress,
    count: int = DEFAULT_COUNT,
    seed: int = 0,
    limit: int | None = None,
) -> Path:
    """The folder of `count` drawn cats and dogs: half of them cats, in `cat/` and `dog/`.

    JPEG and PNG files of 120 to 420 pixels a side. Beside the returned `pictures` stands `masks`,
    with `<class>/<stem>.png` of the same size for each: 1 where the animal is seen, 2 elsewhere.
    The same (count, seed) gives the same bytes, however many processes draw; they are drawn once
    and found again in `cache`. With a `limit`, only those that a study of that limit uses are drawn
    (`headtohead.data.selection.select`), where not all are there already. `progress` is called with
    (what is being done, done, total).

    Raises UsageError for a count below 2 or a negative seed, StorageError where `cache` cannot be
    written, DataError if a drawing process was stopped.
    """
    if count < 2 or seed < 0:
        raise UsageError(
            "synthetic images need a count of at least 2 and a seed of at least 0; "
            f"received count {count}, seed {seed}: give larger ones"
        )
    folder = cache / "sources" / f"synthetic-v{DRAWING_VERSION}-{count}-{seed}"
    numbers: Sequence[int] = range(count)
    try:
        drawn = count if limit is None else max(limit, FEWEST)
        if drawn < count and loss(folder) is not None:
            folder = folder.with_name(f"{folder.name}-limit-{drawn}")
            numbers = _used(count, drawn)
        if loss(folder) is not None:
            _draw_once(folder, progress, numbers, seed)
    except OSError as error:
        raise StorageError(
            f"the drawn images cannot be written: {error.strerror or error}; received the cache "
            f"folder {cache}: make room or name {ANOTHER_CACHE}"
        ) from error
    return folder / "pictures"


def _used(count: int, limit: int) -> list[int]:
    """The numbers of those of `count` images that a study of at most `limit` uses."""
    numbers = {}
    for index in range(count):
        label, stem, suffix = named(index)
        name = f"{label}/{stem}{suffix}"
        numbers[PictureFile(Path(name), name, label, None)] = index
    return [numbers[file] for file in select(tuple(numbers), limit)]


def _draw_once(folder: Path, progress: Progress, numbers: Sequence[int], seed: int) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        make_whole(
            folder,
            "the drawn images",
            lambda growing: _draw_in_processes(growing, progress, numbers, seed),
            progress,
        )


def draw_share(folder: Path, numbers: Sequence[int], seed: int) -> Iterator[int]:
    """Draw the images of these numbers into `folder`; yields each when written.

    Raises OSError where a file cannot be written.
    """
    for kind in ("pictures", "masks"):
        for label in LABELS:
            (folder / kind / label).mkdir(parents=True, exist_ok=True)
    for index in numbers:
        drawn = photograph(seed, index)
        picture = folder / "pictures" / drawn.label / f"{drawn.stem}{drawn.suffix}"
        picture.write_bytes(drawn.picture)
        (folder / "masks" / drawn.label / f"{drawn.stem}.png").write_bytes(drawn.mask)
        yield index


def _draw_in_processes(folder: Path, progress: Progress, numbers: Sequence[int], seed: int) -> None:
    """Each process draws its share; none outlives this one."""
    workers = max(1, min(len(usable_cores()), 16, len(numbers) // 50))
    pool: Pool[Worker] = Pool()
    with tempfile.TemporaryFile("w+") as complaints, pool:
        for first in range(workers):
            worker = Worker(Process(module_command("headtohead.data.synthetic"), errors=complaints))
            pool.add(worker)
            share = list(numbers[first::workers])
            worker.give(first, {"folder": str(folder), "numbers": share, "seed": seed})
        done = 0
        while pool.at_work:
            worker, said = pool.hear()
            if said is None:
                if worker.job is None:
                    continue
                complaints.seek(0)
                raise _died(worker.process.death(), complaints.read(), folder)
            if "error" in said:
                raise OSError(said["error"])
            if "done" in said:
                worker.job = None
                continue
            done += 1
            progress("drawing images", done, len(numbers))


def _died(how: str, message: str, folder: Path) -> DataError:
    last = f": {message.strip().splitlines()[-1]}" if message.strip() else ""
    return DataError(
        f"a process that draws images ended with {how}{last}, while drawing into "
        f"{folder.parent}. Run the same command again."
    )
