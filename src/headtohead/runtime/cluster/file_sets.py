"""What a machine of a cluster keeps in its cache: images, features and weights, fetched once.

A set of files is known by its place in a cache (`prepared/<digest>`), and by the hash of each
file. A machine that has none fetches it in pieces, each read by a task of Ray's that can be done
again, from a machine that has it. Nothing is put into Ray's object store as a whole: what lies
there is lost with its machine. What was fetched before a kill is not fetched again.
"""

import contextlib
import os
import shutil
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import ray
from filelock import FileLock, Timeout
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from headtohead.core.errors import HeadToHeadError, StorageError, brief
from headtohead.core.files import storage_error

PIECE = 8 << 20
"""Bytes fetched at once."""

AHEAD = 4
"""Pieces asked for before the first of them is written."""

PATIENCE = 60
"""Seconds to wait for a piece, before another machine is asked."""

BEAT = 5.0
"""Seconds between two signs that a task gets on."""

OLD = 7 * 24 * 3600.0
"""Seconds after which nobody goes on with what was fetched in part."""

ROOM = 256 << 20
"""Bytes that must be left on a machine's disk beside what is fetched: for its runs."""


Found = TypeVar("Found")

Steps: TypeAlias = Generator[None, None, Found]
"""Yields wherever it got on."""


class FetchError(HeadToHeadError):
    """Files could not be had from other machines: nothing is wrong with this one's disk."""


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


def hashed(place: str, folder: str, name: str | None = None) -> Iterator[FileSet | None]:
    """A task: the files in `folder`, hashed; the one called `name`, by default all."""
    yield from _telling(_hashing(place, Path(folder), name))


def fetch(
    file_set: FileSet, cache: str, sources: Sequence[tuple[str, str]]
) -> Iterator[str | None]:
    """A task: have the files in this machine's `cache`; at last their folder.

    `sources` are machines that have them, each with its folder. Raises StorageError where there is
    no room, and FetchError where no source sends what it should.
    """
    yield from _telling(_fetching(file_set, Path(cache), sources))


def _telling(steps: Steps[Found]) -> Iterator[Found | None]:
    """What the steps come to; while they go on, now and then None."""
    told = time.monotonic()
    while True:
        try:
            next(steps)
        except StopIteration as over:
            yield over.value
            return
        if time.monotonic() - told >= BEAT:
            yield None
            told = time.monotonic()


def _hashing(place: str, folder: Path, name: str | None) -> Steps[FileSet]:
    files = []
    for path in sorted(folder.iterdir() if name is None else [folder / name]):
        digest = yield from _digest(path)
        files.append((path.name, path.stat().st_size, digest))
    return FileSet(place, tuple(files))


def _digest(path: Path) -> Steps[str]:
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            yield
    return digest.hexdigest()


def read_piece(path: str, start: int) -> bytes:
    """A task: one piece of a file of this machine."""
    with Path(path).open("rb") as file:
        file.seek(start)
        return file.read(PIECE)


def _fetching(file_set: FileSet, cache: Path, sources: Sequence[tuple[str, str]]) -> Steps[str]:
    target = cache / file_set.place  # a file of weights has a suffix already
    part, lock = (target.with_name(f"{target.name}.{end}") for end in ("fetched", "lock"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as held:
            yield from _hold(FileLock(lock), part, held)
            if target.is_dir():
                return str(target)
            part.mkdir(exist_ok=True)
            _sweep(cache)
            _check_room(file_set, part)
            for name, size, digest in file_set.files:
                yield from _fetch_file(part / name, size, sources)
                if (yield from _digest(part / name)) != digest:
                    (part / name).unlink()
                    raise FetchError(f"{file_set.place}/{name} did not arrive as it was sent")
            part.rename(target)
    except OSError as error:
        raise storage_error(target, error) from error
    return str(target)


def _hold(lock: FileLock, part: Path, held: contextlib.ExitStack) -> Steps[None]:
    """Wait while another process of this machine, or of its shared disk, fetches: it gets on."""
    while True:
        before = _size(part)
        try:
            held.enter_context(lock.acquire(timeout=BEAT))
        except Timeout:
            if _size(part) != before:
                yield
        else:
            return


def _sweep(cache: Path) -> None:
    """Remove what was begun to be fetched long ago, and is wanted no more."""
    for part in (*cache.glob("*/*.fetched"), *cache.glob("*/*/*.fetched")):
        with contextlib.suppress(Timeout, OSError):
            newest = max(path.stat().st_mtime for path in (part, *part.iterdir()))
            if time.time() - newest > OLD:
                with FileLock(part.with_suffix(".lock"), timeout=0):
                    shutil.rmtree(part)


def _size(folder: Path) -> int:
    """Bytes of its files; 0 where it is not there, or not any more."""
    with contextlib.suppress(FileNotFoundError):
        return sum(path.stat().st_size for path in folder.iterdir())
    return 0


def _check_room(file_set: FileSet, part: Path) -> None:
    free, needed = shutil.disk_usage(part).free, file_set.size - _size(part) + ROOM
    if free < needed:
        raise StorageError(
            f"not enough space in {part.parent}: {file_set.place} needs {needed / 2**20:,.0f} MiB, "
            f"{free / 2**20:,.0f} MiB are free"
        )


def _fetch_file(path: Path, size: int, sources: Sequence[tuple[str, str]]) -> Steps[None]:
    failure: Exception | None = None
    for node, folder in sources:
        try:
            yield from _fetch_from(path, size, node, f"{folder}/{path.name}")
        except ray.exceptions.RayError as error:  # among them such that are an OSError, too
            failure = error
        else:
            return
    why = "nobody has it" if failure is None else brief(str(failure), 200)
    raise FetchError(f"no machine could send {path.name}: {why}")


def _fetch_from(path: Path, size: int, node: str, remote: str) -> Steps[None]:
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
            yield
        file.flush()
        os.fsync(file.fileno())
