"""The folder of drawn pictures: drawn once, by several processes, complete or not there at all."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock

from headtohead.core.errors import DataError, StorageError, UsageError
from headtohead.core.processes import Pool, Process, Worker, module_command
from headtohead.core.system import usable_cores
from headtohead.data.inventory import install, loss, tell_loss
from headtohead.data.synthetic.photograph import LABELS, photograph

DEFAULT_COUNT = 3000
DRAWING_VERSION = 1
"""Raised whenever the same number would give another picture."""

Progress = Callable[[str, int, int], None]


def synthetic_source(
    *, cache: Path, progress: Progress, count: int = DEFAULT_COUNT, seed: int = 0
) -> Path:
    """The folder of `count` drawn cats and dogs: half of them cats, in `cat/` and `dog/`.

    JPEG and PNG files of 120 to 420 pixels a side. Beside the returned `pictures` stands `masks`,
    with `<class>/<stem>.png` of the same size for each: 1 where the animal is seen, 2 elsewhere.
    The same (count, seed) gives the same bytes, however many processes draw; they are drawn once
    and found again in `cache`. `progress` is called with (what is being done, done, total).

    Raises UsageError for a count below 2 or a negative seed, StorageError where `cache` cannot be
    written, DataError if a drawing process was stopped.
    """
    if count < 2 or seed < 0:
        raise UsageError(
            "synthetic pictures need a count of at least 2 and a seed of at least 0; "
            f"received count {count}, seed {seed}: give larger ones"
        )
    folder = cache / "sources" / f"synthetic-v{DRAWING_VERSION}-{count}-{seed}"
    try:
        if loss(folder) is not None:
            _draw_once(folder, progress, count, seed)
    except OSError as error:
        raise StorageError(
            f"the drawn pictures cannot be written: {error.strerror or error}; received the cache "
            f"folder {cache}: make room or name another cache folder"
        ) from error
    return folder / "pictures"


def _draw_once(folder: Path, progress: Progress, count: int, seed: int) -> None:
    """Draw into a temporary sibling and rename it, while holding the folder's lock."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if (lost := loss(folder)) is None:
            return
        tell_loss(folder, "the drawn pictures", lost, progress)
        prefix = f".{folder.name}.part-"
        for abandoned in folder.parent.glob(f"{prefix}*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
        try:
            part.chmod(0o755)
            _draw_in_processes(part, progress, count, seed)
            install(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def draw_share(folder: Path, count: int, seed: int, first: int, step: int) -> Iterator[int]:
    """Draw pictures first, first + step, … below `count` into `folder`; yields each when written.

    Raises OSError where a file cannot be written.
    """
    for kind in ("pictures", "masks"):
        for label in LABELS:
            (folder / kind / label).mkdir(parents=True, exist_ok=True)
    for index in range(first, count, step):
        drawn = photograph(seed, index)
        picture = folder / "pictures" / drawn.label / f"{drawn.stem}{drawn.suffix}"
        picture.write_bytes(drawn.picture)
        (folder / "masks" / drawn.label / f"{drawn.stem}.png").write_bytes(drawn.mask)
        yield index


def _draw_in_processes(folder: Path, progress: Progress, count: int, seed: int) -> None:
    """Each process draws its share; none outlives this one."""
    workers = max(1, min(len(usable_cores()), 16, count // 50))
    pool: Pool[Worker] = Pool()
    with tempfile.TemporaryFile("w+") as complaints, pool:
        for first in range(workers):
            worker = Worker(Process(module_command("headtohead.data.synthetic"), errors=complaints))
            pool.add(worker)
            share = {"folder": str(folder), "count": count, "seed": seed, "first": first}
            worker.give(first, {**share, "step": workers})
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
            progress("drawing images", done, count)


def _died(how: str, message: str, folder: Path) -> DataError:
    last = f": {message.strip().splitlines()[-1]}" if message.strip() else ""
    return DataError(
        f"a process that draws images ended with {how}{last}, while drawing into "
        f"{folder.parent}. Run the same command again."
    )
