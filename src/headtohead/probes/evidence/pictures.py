"""The test pictures that probes look at: the same for every head, and for every seed of a split."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headtohead.probes.evidence.files import read_evidence, write_evidence

PICTURES, MASKS = "pictures", "masks"
UNKNOWN = 255
"""In a mask: a pixel that is neither object nor background (a border, or no mask at all)."""


@dataclass(frozen=True)
class ProbePictures:
    """n pictures of a split's test part, in an order of their own: classes in turn, by hash.

    The first dozen is thus a fair and fixed choice for a figure. `rows` of the prepared set and
    `labels` are (n,) int64; `pixels` (n, side, side, 3) uint8 as the models saw them; `wide`
    (n, W, W, 3) uint8 made from the same files, W = side + 2 · margin, for windows that move.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    wide: NDArray[np.uint8]


@dataclass(frozen=True)
class Masks:
    """Where the object is on probe pictures: `rows` (n,) int64, `masks` (n, side, side) uint8.

    1 object, 0 background, 255 unknown; a picture without a mask is unknown all over.
    """

    rows: NDArray[np.int64]
    masks: NDArray[np.uint8]


def pictures_path(out: Path, split: int) -> Path:
    """Where the probe pictures of the split of seed `split` are kept."""
    return out / "evidence" / PICTURES / f"split-{split}.npz"


def masks_path(out: Path, split: int) -> Path:
    """Where the masks of those pictures are kept."""
    return out / "evidence" / MASKS / f"split-{split}.npz"


def write_pictures(path: Path, key: str, pictures: ProbePictures) -> None:
    """Write the probe pictures of the study with the digest `key`. Raises StorageError."""
    write_evidence(path, PICTURES, key, vars(pictures))


def read_pictures(path: Path, key: str) -> ProbePictures | None:
    """The probe pictures, or None where there are none that are whole and this study's."""
    arrays = read_evidence(path, PICTURES, key)
    return None if arrays is None else ProbePictures(**arrays)


def write_masks(path: Path, key: str, masks: Masks) -> None:
    """Write masks for the study with the digest `key`. Raises StorageError."""
    write_evidence(path, MASKS, key, vars(masks))


def read_masks(path: Path, key: str) -> Masks | None:
    """The masks, or None where there are none that are whole and this study's."""
    arrays = read_evidence(path, MASKS, key)
    return None if arrays is None else Masks(**arrays)
