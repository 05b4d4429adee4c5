"""What a machine of a cluster keeps in its cache: images, features and weights, fetched once.

A set of files is known by its place in a cache (`prepared/<digest>`), and by the hash of each
file. A machine that has none fetches it in pieces, each read by a task of Ray's that can be done
again, from a machine that has it. Nothing is put into Ray's object store as a whole: what lies
there is lost with its machine. What was fetched before a kill is not fetched again.
"""

import os
import shutil
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from filelock import FileLock
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from headtohead.core.errors import StorageError
from headtohead.core.files import sha256_of

PIECE = 8 << 20
"""Bytes fetched at once."""

AHEAD = 4
"""Pieces asked for before the first of them is written."""

PATIENCE = 120
"""Seconds to wait for a piece, before another machine is asked."""

ROOM = 256 << 20
"""Bytes that must be left on a machine's disk beside what is fetched: for its runs."""


@dataclass(frozen=True)
class FileSet:
    """Files by name, size and SHA-256, and their place in a cache."""

    place: str
    files: tuple[tuple[str, int, str], ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(size for _, size, _ in self.files)


def on(node: str) -> NodeAffinitySchedulingStrategy:
    """That machine and no other."""
    return NodeAffinitySchedulingStrategy(node, soft=False)


def file_set_of(place: str, folder: str, name: str | None = None) -> FileSet:
    """The files in `folder`, hashed; the one called `name`, by default all."""
    paths = sorted(Path(folder).iterdir() if name is None else [Path(folder) / name])
    return FileSet(
        place, tuple((path.name, path.stat().st_size, sha256_of(path)) for path in paths)
    )


def read_piece(path: str, start: int) -> bytes:
    """A task: one piece of a file of this machine."""
    with Path(path).open("rb") as file:
        file.seek(start)
        return file.read(PIECE)


def fetch(file_set: FileSet, cache: str, sources: Sequence[tuple[str, str]]) -> str:
    """A task: have the files in this machine's `cache`; returns their folder.

    `sources` are machines that have them, each with its folder. Raises StorageError where there is
    no room, and Ray's errors where no source can be reached.
    """
    target = Path(cache) / file_set.place
    target.parent.mkdir(parents=True, exist_ok=True)
    # Others may fetch here, or on its shared disk. A file of weights has a suffix already.
    with FileLock(target.with_name(f"{target.name}.lock")):
        if target.is_dir():
            return str(target)
        part = target.with_name(f"{target.name}.fetched")
        part.mkdir(exist_ok=True)
        _check_room(file_set, part)
        for name, size, digest in file_set.files:
            _fetch_file(part / name, size, sources)
            if sha256_of(part / name) != digest:
                (part / name).unlink()
                raise OSError(f"{file_set.place}/{name} did not arrive as it was sent")
        part.rename(target)
    return str(target)


def _check_room(file_set: FileSet, part: Path) -> None:
    there = sum(path.stat().st_size for path in part.iterdir())
    free, needed = shutil.disk_usage(part).free, file_set.size - there + ROOM
    if free < needed:
        raise StorageError(
            f"not enough space in {part.parent}: {file_set.place} needs {needed / 2**20:,.0f} MiB, "
            f"{free / 2**20:,.0f} MiB are free"
        )


def _fetch_file(path: Path, size: int, sources: Sequence[tuple[str, str]]) -> None:
    failure: Exception | None = None
    for node, folder in sources:
        try:
            _fetch_from(path, size, node, f"{folder}/{path.name}")
        except ray.exceptions.RayError as error:
            failure = error
        else:
            return
    raise failure or OSError(f"nobody has {path.name}")


def _fetch_from(path: Path, size: int, node: str, remote: str) -> None:
    """The rest of the file: what is there was written before a kill, or by another source."""
    ask = ray.remote(read_piece).options(num_cpus=0, max_retries=3, scheduling_strategy=on(node))
    with path.open("ab") as file:
        file.truncate(file.tell() // PIECE * PIECE)
        starts = deque(range(file.tell(), size, PIECE))
        asked: deque[Any] = deque()
        while starts or asked:
            while starts and len(asked) < AHEAD:
                asked.append(ask.remote(remote, starts.popleft()))
            file.write(ray.get(asked.popleft(), timeout=PATIENCE))
        file.flush()
        os.fsync(file.fileno())
