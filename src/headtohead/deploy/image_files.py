"""What is to be looked at → pixels as the models were trained on, by the training's own code."""

import glob
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headtohead.core.errors import DataError, StorageError, UsageError
from headtohead.core.files import expanded
from headtohead.core.system import usable_cores
from headtohead.core.text import printable
from headtohead.data.decode import Undecodable, decode_file, upright
from headtohead.data.decode_pool import decode_chunks
from headtohead.data.resize import resize
from headtohead.data.walking import Walk

FEW = 32
"""So many files are decoded here: to start processes for them would take longer."""

SLAB_BYTES = 256_000_000
"""Of pixels that lie on disk at once while many files are read."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Read:
    """A file, and its pixels (side, side, 3) or why there are none."""

    path: Path
    pixels: Pixels | None
    reason: str = ""


def paths_of(names: Iterable[str], listed: TextIO) -> list[Path]:
    """The files that are meant: `-` is a list in `listed`, one a line (or between NULs).

    A folder is every file below it, as `headtohead.data.walking` reads folders; a name that is no
    file and holds `*`, `?` or `[` is a pattern. Anything else is taken as a file, there or not.
    Raises UsageError where a folder or pattern has nothing.
    """
    found: list[Path] = []
    for name in names:
        if name == "-":
            text = listed.read()
            found += [Path(line) for line in text.split("\0" if "\0" in text else "\n") if line]
            continue
        if not name:  # `Path` takes it for the current folder
            raise UsageError("an image's name is empty: give files, folders or patterns.")
        path = expanded(name)
        if os.path.isdir(path):  # noqa: PTH112 - a name that is too long is no folder
            files = _below(path)
        elif not os.path.lexists(path) and glob.has_magic(name):
            files = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207
            files = [file for file in files if not file.is_dir()]
        else:
            files = [path]
        if not files:
            raise UsageError(f"no files in {printable(name)!r}: name images, folders or patterns.")
        found += files
    if not found:
        raise UsageError("no images named: give files, folders, patterns, or - for a list.")
    return found


def _below(folder: Path) -> list[Path]:
    try:
        return sorted(Walk().files_below(folder))
    except OSError as error:
        raise StorageError(
            f"cannot read {printable(str(error.filename or folder))}: {error.strerror or error}. "
            f"Allow reading it, or name other files."
        ) from error


def read_all(
    paths: Sequence[Path], *, side: int, method: str, workers: int | None = None
) -> Iterator[list[Read]]:
    """Every file, decoded and resized as for training, in order and some at a time.

    Many are decoded by `workers` processes (default: one for each core). Raises StorageError and
    RunError as `headtohead.data.decode_pool.fill` does.
    """
    if len(paths) <= FEW:
        yield [read_one(path, side=side, method=method) for path in paths]
        return
    slab = max(64, SLAB_BYTES // (3 * side**2))
    for first in range(0, len(paths), slab):
        yield from _slab(paths[first : first + slab], side, method, workers)


def read_one(path: Path, *, side: int, method: str) -> Read:
    """One file, read here."""
    try:
        return Read(path, resize(decode_file(path), (side, side), method))
    except Undecodable as refusal:
        return Read(path, None, refusal.reason)


def _slab(
    paths: Sequence[Path], side: int, method: str, workers: int | None
) -> Iterator[list[Read]]:
    """In order, each chunk as soon as all before it are there."""
    workers = workers or len(usable_cores())
    with tempfile.TemporaryDirectory(prefix="headtohead-") as name:
        done: dict[int, list[Read]] = {}
        following = 0
        chunks = decode_chunks(
            Path(name) / "rows", paths, image_size=side, resize=method, workers=workers
        )
        for first, outcomes, rows in chunks:
            done[first] = [
                Read(path, None, outcome) if isinstance(outcome, str) else Read(path, pixels)
                for path, outcome, pixels in zip(
                    paths[first : first + len(rows)], outcomes, rows, strict=True
                )
            ]
            while following in done:
                ready = done.pop(following)
                following += len(ready)
                yield ready


def pixels_of(image: Any, *, side: int, method: str) -> Pixels:
    """(side, side, 3) of a path, a PIL image or an (H, W, 3) or (H, W) array of uint8.

    PIL images come upright in sRGB, as files do; arrays are taken as they are. Raises DataError
    for a file that gives no image, UsageError for anything else.
    """
    if isinstance(image, str | os.PathLike):
        read = read_one(expanded(Path(image)), side=side, method=method)
        if read.pixels is None:
            raise DataError(f"{str(image)!r} cannot be read: {read.reason}.")
        return read.pixels
    if isinstance(image, Image.Image):
        array = np.asarray(upright(image))
    else:
        array = np.asarray(image)
        if array.ndim == 2:
            array = np.repeat(array[..., None], 3, axis=2)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise UsageError(
            f"an image is a path, a PIL image or an array (H, W, 3) of uint8; received "
            f"{type(image).__name__} {array.dtype} {array.shape}."
        )
    if array.shape[:2] == (side, side):
        return np.ascontiguousarray(array)
    return resize(np.ascontiguousarray(array), (side, side), method)
