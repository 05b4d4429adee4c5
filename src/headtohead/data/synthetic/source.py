"""The folder of drawn pictures: drawn once, by several processes, complete or not there at all."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import IO

from filelock import FileLock

from headtohead.core.errors import DataError, StorageError, UsageError
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
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 16)
    workers = max(1, min(workers, count // 50))
    lines: SimpleQueue[str | None] = SimpleQueue()
    with tempfile.TemporaryFile("w+") as complaints:
        shares: list[dict[str, str | int]] = [
            {"folder": str(folder), "count": count, "seed": seed, "first": first, "step": workers}
            for first in range(workers)
        ]
        with _processes(shares, complaints) as processes:
            for process in processes:
                Thread(target=_forward, args=(process.stdout, lines), daemon=True).start()
            running, done = workers, 0
            while running:
                if lines.get() is None:
                    running -= 1
                    continue
                done += 1
                progress("drawing pictures", done, count)
            statuses = [process.wait() for process in processes]
        if any(statuses):
            complaints.seek(0)
            _complain(max(statuses, key=abs), complaints.read().strip(), folder)


def _forward(stream: IO[str], lines: "SimpleQueue[str | None]") -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _complain(status: int, message: str, folder: Path) -> None:
    last = message.splitlines()[-1] if message else "no message"
    if status == StorageError.exit_code:
        raise OSError(last)
    raise DataError(
        f"a process that draws pictures stopped ({last}); received exit status {status} while "
        f"drawing into {folder.parent}: give the same command again"
    )


@contextmanager
def _processes(
    shares: list[dict[str, str | int]], complaints: IO[str]
) -> Iterator[list[subprocess.Popen[str]]]:
    """One process for each share of the pictures; none outlives the block.

    They are fresh interpreters, so that notebooks and scripts without a main guard can draw. Each
    ends by itself when its standard input does: it cannot outlive a parent that was killed.
    """
    root = str(Path(__file__).resolve().parents[3])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-P", "-m", "headtohead.data.synthetic"]
    processes: list[subprocess.Popen[str]] = []
    try:
        for share in shares:
            process = subprocess.Popen(
                [*command, json.dumps(share)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                env=environment,
            )
            processes.append(process)
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
