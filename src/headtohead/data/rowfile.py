"""The array files of the cache while they are being made: reserved, filled, compacted.

Rows are written with plain writes, not through a memory map: on a full disk a plain write is an
error with a name, a write through a map kills the process (SIGBUS).
"""

import errno
import os
import shutil
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from headtohead.core.errors import StorageError
from headtohead.core.system import ANOTHER_CACHE

_NO_RESERVING = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)
_COPY_BYTES = 16 * 2**20


def reserve(path: Path, shape: tuple[int, int, int, int]) -> None:
    """Create `path`, an .npy file of uint8 zeros in `shape`, and claim its space on the disk.

    Raises `StorageError` where the disk has no room for it (before anything is written) and
    `OSError` for everything else that the disk may refuse.
    """
    see_room(path.parent, prod(shape), "images")
    create(path, shape, np.dtype(np.uint8))


def see_room(folder: Path, size: int, what: str) -> None:
    """Raise `StorageError` where the disk of `folder` has no `size` bytes for `what`."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise StorageError(
            f"not enough space in {folder}: the {what} need {size / 2**20:,.0f} MiB, "
            f"{free / 2**20:,.0f} MiB are free. Free some space, choose {ANOTHER_CACHE}, "
            "a smaller image size or a limit."
        )


def create(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Create `path`, an .npy file of zeros, and claim its space on the disk. Raises `OSError`."""
    with path.open("wb") as file:
        header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        _claim(file, file.tell() + prod(shape) * dtype.itemsize)


def layout(path: Path) -> tuple[tuple[int, ...], int]:
    """Shape of the array in `path` and the byte at which its first row begins.

    Raises `OSError` or `ValueError` where `path` is no whole .npy file of uint8.
    """
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"version {version} of .npy")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        offset = file.tell()
        if dtype != np.uint8 or file.seek(0, os.SEEK_END) != offset + prod(shape):
            raise ValueError("not a whole array of uint8")
    return shape, offset


def open_rows(path: Path) -> NDArray[np.uint8]:
    """The array in `path`, memory-mapped for reading."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def keep_rows(path: Path, rows: NDArray[np.int64]) -> None:
    """Reduce the array in `path` to `rows` (ascending), through a second file beside it.

    Nothing to do where no row goes, which is also what a second call finds. The new file takes
    the old one's place at once. Raises `StorageError` and `OSError` as `reserve` does.
    """
    shape, offset = layout(path)
    if len(rows) == shape[0]:
        return
    row_bytes = prod(shape[1:])
    kept = path.with_suffix(".kept")
    reserve(kept, (len(rows), shape[1], shape[2], shape[3]))
    _, kept_offset = layout(kept)
    with path.open("rb") as old, kept.open("r+b") as new:
        new.seek(kept_offset)
        for start, stop in _spans(rows, max(1, _COPY_BYTES // row_bytes)):
            old.seek(offset + start * row_bytes)
            new.write(old.read((stop - start) * row_bytes))
        new.flush()
        os.fsync(new.fileno())
    kept.replace(path)


def _spans(rows: NDArray[np.int64], longest: int) -> list[tuple[int, int]]:
    """Runs of consecutive `rows` as (first, one past the last), none longer than `longest`."""
    if not len(rows):
        return []
    ends = np.flatnonzero(np.diff(rows) != 1) + 1
    runs = [(int(run[0]), int(run[-1]) + 1) for run in np.split(rows, ends)]
    return [
        (start, min(start + longest, stop))
        for first, stop in runs
        for start in range(first, stop, longest)
    ]


def _claim(file: BinaryIO, size: int) -> None:
    """Make `file` `size` bytes long, with its blocks allocated where the file system can."""
    file.flush()
    reserve_blocks = getattr(os, "posix_fallocate", None)
    if reserve_blocks is not None:
        try:
            reserve_blocks(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in _NO_RESERVING:
                raise
        else:
            return
    file.truncate(size)
