"""How long work on images reports itself, and how two processes take turns at it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from headtohead.core.errors import StorageError
from headtohead.core.system import ANOTHER_CACHE

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done so far, total); total 0 means unknown."""


@contextmanager
def taking_turns(lock: Path, doing: str, progress: Progress) -> Iterator[None]:
    """Hold the lock file `lock`, waiting for another process that does the same work.

    The folder of `lock` is made. Raises `StorageError` where it cannot be written.
    """
    held = FileLock(lock)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            held.acquire(timeout=0)
        except Timeout:
            progress(f"waiting for another process that is {doing}", 0, 0)
            held.acquire()
    except OSError as error:
        raise StorageError(
            f"cannot write {str(lock)!r}: {error.strerror or error}. "
            f"Free the disk, allow writing there, or choose {ANOTHER_CACHE}."
        ) from error
    try:
        yield
    finally:
        held.release()
