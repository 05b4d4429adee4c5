"""The prepared set: every usable image decoded and resized once, as a value and on disk.

A prepared set is a folder with two files:

    pictures.npy     (N, H, W, 3) uint8, row i is image i
    manifest.json    everything else, in columns of N entries, with a format version

The manifest is written last and the folder appears under its name complete or not at all.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headtohead.core.errors import DataError

FORMAT = 1
"""Version of the folder's layout."""

PICTURES = "pictures.npy"
MANIFEST = "manifest.json"
GIVEN_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Quarantined:
    """A file that gave no image: its identity, its class and why (short, printable)."""

    name: str
    label: str
    reason: str


@dataclass(frozen=True, eq=False)
class PreparedSet:
    """N images of one size with what is known of each; row i of every column is image i."""

    folder: Path
    digest: str  # sha256, hexadecimal
    image_size: int  # pixels, height and width
    resize: str
    classes: tuple[str, ...]
    names: tuple[str, ...]  # identities: posix paths relative to the source, ascending
    labels: NDArray[np.int64]  # (N,) index into classes
    groups: NDArray[np.int64]  # (N,) equal for (near-)identical images
    given: tuple[str | None, ...]  # the split that the user gave each image, or None
    original_sizes: NDArray[np.int64]  # (N, 2) height, width in pixels before resizing
    quarantined: tuple[Quarantined, ...]

    @property
    def images(self) -> np.memmap:
        """(N, image_size, image_size, 3) uint8, memory-mapped anew at each call: keep it.

        Mapped for reading alone: of a writable map the system wants to be sure that it could hold
        all of it, and refuses one larger than the machine's memory. Raises `DataError` where the
        file is gone or damaged.
        """
        return _map(self.folder, len(self.names), self.image_size)

    def by_hash(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """`rows` in the order of their names' SHA-256: the first few are a fair choice."""
        return np.array(sorted(rows.tolist(), key=self._hash), np.int64)

    def _hash(self, row: int) -> bytes:
        return hashlib.sha256(self.names[row].encode(errors="surrogateescape")).digest()


def load_prepared(folder: Path) -> PreparedSet:
    """The prepared set in `folder`; the images stay on disk until they are looked at.

    Raises `DataError` where the folder is damaged or of another format version.
    """
    with _telling_damage(folder):
        prepared = _from_manifest(folder, _read_manifest(folder))
    _map(folder, len(prepared.names), prepared.image_size)
    return prepared


def file_hashes(prepared: PreparedSet) -> frozenset[str]:
    """The SHA-256 of the files that the set was made of. Raises `DataError` where it is damaged."""
    with _telling_damage(prepared.folder):
        return frozenset(map(str, _read_manifest(prepared.folder)["pictures"]["sha256"]))


def write_manifest(prepared: PreparedSet, *, decoder: str, sha256: Sequence[str]) -> None:
    """Write the manifest of `prepared` into its folder and wait until it is on disk.

    `sha256`: of each image's file, in the order of the rows; with `decoder` it tells a reader
    years later what the pixels were made of. Names are ASCII with JSON's escapes, so that file
    names that are no valid text survive. Raises `OSError`.
    """
    content = {
        "format": FORMAT,
        "digest": prepared.digest,
        "decoder": decoder,
        "image_size": prepared.image_size,
        "resize": prepared.resize,
        "classes": prepared.classes,
        "pictures": {
            "names": prepared.names,
            "labels": prepared.labels.tolist(),
            "groups": prepared.groups.tolist(),
            "given": prepared.given,
            "original_sizes": prepared.original_sizes.tolist(),
            "sha256": list(sha256),
        },
        "quarantined": [[q.name, q.label, q.reason] for q in prepared.quarantined],
    }
    with (prepared.folder / MANIFEST).open("w", encoding="ascii") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _telling_damage(folder: Path) -> Iterator[None]:
    """What goes wrong in here with the manifest becomes a `DataError`."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, f"{MANIFEST}: {type(error).__name__}: {error}") from error


def _read_manifest(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="ascii"))
    return content


def _from_manifest(folder: Path, content: dict[str, Any]) -> PreparedSet:
    """Raises one of `KeyError`, `TypeError`, `ValueError` where anything does not fit."""
    if content["format"] != FORMAT:
        raise ValueError(f"format version {content['format']!r}, this version reads {FORMAT}")
    pictures = content["pictures"]
    classes, names = tuple(content["classes"]), tuple(pictures["names"])
    labels = np.array(pictures["labels"], np.int64)
    if labels.size and not (labels.min() >= 0 and labels.max() < len(classes)):
        raise ValueError("a label is not one of the classes")
    given = tuple(pictures["given"])
    if not set(given) <= {None, *GIVEN_SPLITS}:
        raise ValueError(f"a given split is none of {', '.join(GIVEN_SPLITS)}")
    prepared = PreparedSet(
        folder=folder,
        digest=str(content["digest"]),
        image_size=int(content["image_size"]),
        resize=str(content["resize"]),
        classes=classes,
        names=names,
        labels=labels,
        groups=np.array(pictures["groups"], np.int64),
        given=given,
        original_sizes=np.array(pictures["original_sizes"], np.int64).reshape(-1, 2),
        quarantined=tuple(Quarantined(*entry) for entry in content["quarantined"]),
    )
    columns = (names, labels, prepared.groups, given, prepared.original_sizes, pictures["sha256"])
    if len({len(column) for column in columns}) != 1:
        raise ValueError("the columns differ in length")
    return prepared


def _map(folder: Path, count: int, side: int) -> np.memmap:
    try:
        images = np.load(folder / PICTURES, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(folder, f"{PICTURES}: {error}") from error
    wanted = (count, side, side, 3)
    if not isinstance(images, np.memmap) or images.dtype != np.uint8 or images.shape != wanted:
        found = f"{images.dtype} {images.shape}"
        raise _damaged(folder, f"{PICTURES}: {found} where uint8 {wanted} belongs")
    return images


def _damaged(folder: Path, what: str) -> DataError:
    return DataError(
        f"the prepared images in {folder} are damaged ({what}). "
        "Delete this folder and run the same command again: they will be prepared again."
    )
