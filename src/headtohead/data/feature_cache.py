"""The feature cache: a frozen backbone's feature maps of a prepared set, computed once.

A feature set is a folder of the cache, named by its key's digest:

    features.npy     (views, N, h, w, C) float16 or float32; view 1 is of the mirrored images
    manifest.json    what it was made of, with a format version
    layout           the memory layout that the backbone computed in
    done             a byte for each batch: 1 where it is on the disk

While it is computed it is called `<digest>.part`. Any number of processes compute it together:
each takes chunks of batches, by a file lock that its death releases, so that one that was killed
costs the batches it had begun. A batch always holds the same images: who computes it, and when,
changes nothing. The folder appears under its name complete or not at all. Imports no torch:
`headtohead.training.feature_extraction` computes.
"""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from headtohead.config.study import StudySpec
from headtohead.core.errors import DataError
from headtohead.core.files import digest_of, storage_error, unreadable, write_atomic
from headtohead.data.rowfile import create, see_room

FORMAT = 2
"""Version of the folder's files and of how features are computed, part of every key."""

FEATURES, MANIFEST, DONE, LAYOUT = "features.npy", "manifest.json", "done", "layout"
MOST_CHUNKS = 64
"""Parts that processes share out among themselves, at most."""

WAIT = 0.1  # seconds between two looks at what other processes have done

FeatureType = Literal["float16", "float32"]
MapShape = tuple[int, int, int]
"""Channels, height and width of feature maps."""


@dataclass(frozen=True)
class FeatureKey:
    """All that decides the numbers: the prepared set, the backbone and how it is run.

    `backbone` is `BackboneSpec.trunk()`. `seed` is there where its weights are random: each seed
    has its own. `device` is `cpu` or `cuda`: they round differently.
    """

    prepared: str
    backbone: dict[str, Any]
    image_size: int
    dtype: FeatureType
    views: int
    device: str
    seed: int | None = None

    def digest(self) -> str:
        """Of this key, 16 letters."""
        return digest_of({"format": FORMAT, "layout": "channels last", **asdict(self)})[:16]

    def folder(self, cache: Path) -> Path:
        """Where its features are, or will be, in a cache."""
        return cache / "features" / self.digest()


def key_of(study: StudySpec, prepared: str, *, seed: int, device: str) -> FeatureKey:
    """What decides the features that a run of this seed is trained on, on `cpu` or `cuda`."""
    return FeatureKey(
        prepared=prepared,
        backbone=study.backbone.trunk(),
        image_size=study.pictures.image_size,
        dtype=study.backbone.features,
        views=study.views,
        device=device,
        seed=seed if study.backbone.weights is None else None,
    )


def open_features(folder: Path) -> NDArray[np.generic] | None:
    """(views, N, h, w, C), memory-mapped for reading; None where they are not complete.

    Raises DataError where the file is damaged.
    """
    if not folder.is_dir():
        return None
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="ascii"))
        found = np.load(folder / FEATURES, mmap_mode="r", allow_pickle=False)
        if list(found.shape) != manifest["shape"] or found.dtype != manifest["key"]["dtype"]:
            raise ValueError(f"{found.dtype} {found.shape} in it")
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise DataError(
            f"the features in {folder} are damaged ({error}). Delete this folder and run the same "
            f"command again: they will be computed again."
        ) from error
    return cast("NDArray[np.generic]", found)


def layout_of(folder: Path) -> str:
    """The memory layout that the backbone computed complete features in. Raises StorageError."""
    try:
        return (folder / LAYOUT).read_text(encoding="ascii")
    except OSError as error:
        raise unreadable(folder / LAYOUT, error) from error


@dataclass(frozen=True)
class Extraction:
    """A feature set that is being computed, by this process and perhaps by others.

    `batch` is the number of images in a batch; the last of each view may hold fewer.
    """

    folder: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    batch: int
    _rows: int  # file descriptors of the two files
    _done: int
    _offset: int

    @classmethod
    @contextlib.contextmanager
    def begin(
        cls, folder: Path, key: FeatureKey, count: int, maps: MapShape, batch: int
    ) -> Iterator[Self]:
        """Begin to compute `folder`, or join those who do, for `count` images.

        Raises StorageError where the disk has no room for it, or may not be written.
        """
        channels, height, width = maps
        shape = (key.views, count, height, width, channels)
        part = folder.with_suffix(".part")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as files:
                with FileLock(folder.with_suffix(".lock")):
                    home = folder if folder.is_dir() else part  # others may have finished it since
                    if not home.is_dir():
                        _reserve(part, shape, key, batch)
                    manifest = json.loads((home / MANIFEST).read_text(encoding="ascii"))
                    rows = files.enter_context((home / FEATURES).open("r+b"))
                    done = files.enter_context((home / DONE).open("r+b"))
                offset = _offset_of(rows)
                dtype = np.dtype(key.dtype)
                size = manifest["batch"]
                yield cls(folder, shape, dtype, size, rows.fileno(), done.fileno(), offset)
        except OSError as error:
            raise storage_error(folder, error) from error

    @cached_property
    def batches(self) -> list[tuple[int, slice]]:
        """View and images of every batch."""
        views, count = self.shape[:2]
        return [
            (view, slice(start, min(start + self.batch, count)))
            for view in range(views)
            for start in range(0, count, self.batch)
        ]

    @cached_property
    def images(self) -> NDArray[np.int64]:
        """How many images each batch has."""
        return np.array([part.stop - part.start for _, part in self.batches], np.int64)

    def done(self) -> NDArray[np.bool_]:
        """Which batches are on the disk, whoever computed them."""
        found = np.frombuffer(os.pread(self._done, len(self.batches), 0), np.uint8)
        return np.asarray(found == 1, np.bool_)

    def agreed(self, name: str, decide: Callable[[], str]) -> str:
        """What was decided once for all batches, by the first who asks; the others wait for it."""
        place = self.folder.with_suffix(".part") / name
        with FileLock(self.folder.with_suffix(f".{name}.lock")):
            if self.done().all():
                return ""  # nothing is left to decide for, and the folder may have its name by now
            if not place.is_file():
                write_atomic(place, decide().encode())
            return place.read_text(encoding="ascii")

    def to_compute(self) -> Iterator[int]:
        """Numbers of batches that this process is to compute now, one after the other.

        Ends when all batches are done, those of other processes too.
        """
        chunks = np.array_split(np.arange(len(self.batches)), min(MOST_CHUNKS, len(self.batches)))
        locks = self.folder.with_suffix(".locks")
        while True:
            undone = ~self.done()
            waiting = [index for index, chunk in enumerate(chunks) if undone[chunk].any()]
            if not waiting:
                return
            taken = False
            for index in waiting:
                lock = FileLock(locks / str(index))
                try:
                    locks.mkdir(exist_ok=True)  # which may find it there, and then gone
                    lock.acquire(timeout=0)
                except (Timeout, FileNotFoundError, FileExistsError):
                    continue  # another computes it, or all is done and the locks are gone
                try:
                    for number in chunks[index].tolist():
                        if not self.done()[number]:
                            taken = True
                            yield number
                finally:
                    lock.release()
            if not taken:
                time.sleep(WAIT)

    def write(self, number: int, features: NDArray[np.generic]) -> None:
        """Keep a batch's (n, h, w, C) features, then that it is done.

        Plain writes, not through a memory map: a full disk is an error with a name.
        """
        view, images = self.batches[number]
        wanted = (images.stop - images.start, *self.shape[2:])
        if features.shape != wanted or features.dtype != self.dtype:
            raise ValueError(f"features {features.dtype} {features.shape}, not {wanted}")
        row = prod(self.shape[2:]) * self.dtype.itemsize
        content = memoryview(np.ascontiguousarray(features).data).cast("B")
        place = self._offset + (view * self.shape[1] + images.start) * row
        while content:
            written = os.pwrite(self._rows, content, place)
            content, place = content[written:], place + written
        os.fsync(self._rows)
        os.pwrite(self._done, b"\1", number)

    def finish(self) -> None:
        """Give the folder its name; every batch is done."""
        part, locks = self.folder.with_suffix(".part"), self.folder.with_suffix(".locks")
        with FileLock(self.folder.with_suffix(".lock")):
            if not self.folder.is_dir():
                part.rename(self.folder)
        shutil.rmtree(locks, ignore_errors=True)


def _reserve(part: Path, shape: tuple[int, ...], key: FeatureKey, batch: int) -> None:
    """Make `part` with its files, the rows' space claimed on the disk."""
    fresh = part.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    dtype = np.dtype(key.dtype)
    see_room(part.parent, prod(shape) * dtype.itemsize, "features")
    create(fresh / FEATURES, shape, dtype)
    (fresh / DONE).write_bytes(bytes(shape[0] * -(-shape[1] // batch)))
    manifest = {"format": FORMAT, "key": asdict(key), "shape": shape, "batch": batch}
    write_atomic(fresh / MANIFEST, json.dumps(manifest).encode("ascii"))
    fresh.rename(part)


def _offset_of(file: Any) -> int:
    """The byte at which the first row begins."""
    np.lib.format.read_magic(file)
    np.lib.format.read_array_header_1_0(file)
    return int(file.tell())
