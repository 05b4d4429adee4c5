"""One picture at another size, by one of two ways."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headtohead.errors import UsageError

RESIZE_METHODS: tuple[str, ...] = ("antialias", "bilinear")
"""The ways to resize; the first is the default."""


def resize(
    picture: NDArray[np.uint8] | Image.Image, size: tuple[int, int], method: str
) -> NDArray[np.uint8]:
    """`picture`, (height, width, 3) or in mode RGB, at `size` = (height, width): an array.

    The aspect ratio is not kept.

    - "antialias", the default of the project: Pillow's triangle filter, which widens as the
      picture shrinks, so that every pixel counts. Without it most of a photograph's pixels are
      skipped at 100 × 100: fine fur turns into noise, and predictions flicker when the picture
      moves by a pixel.
    - "bilinear": the article's `tf.image.resize`: half-pixel centres, four neighbours, edges
      clamped, no antialias; float32, rounded half up.

    Raises `UsageError` for another method or a size below one pixel.
    """
    if min(size) < 1:
        raise UsageError(f"a picture cannot be resized to {size}: give a height and width ≥ 1.")
    if method == "antialias":
        height, width = size
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.uint8)
    if method == "bilinear":
        rounded: NDArray[np.uint8] = np.floor(_bilinear(np.asarray(picture), size) + 0.5).astype(
            np.uint8
        )
        return rounded
    raise UsageError(
        f"unknown resize method {method!r}: choose one of {', '.join(RESIZE_METHODS)}."
    )


def _bilinear(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """Before rounding; TensorFlow's order of operations (`resize_bilinear_op.cc`)."""
    top, bottom, down = _neighbours(picture.shape[0], size[0])
    left, right, across = _neighbours(picture.shape[1], size[1])

    def row(index: NDArray[np.intp]) -> NDArray[np.float32]:
        rows = picture.take(index, axis=0)
        start, end = (rows.take(side, axis=1).astype(np.float32) for side in (left, right))
        return start + (end - start) * across[None, :, None]

    upper = row(top)
    return upper + (row(bottom) - upper) * down[:, None, None]


def _neighbours(
    length: int, wanted: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """For each of `wanted` places on `length`: pixel before, pixel after, share of the latter."""
    scale = np.float32(length) / np.float32(wanted)
    place = (np.arange(wanted, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    before = np.floor(place)
    share = (place - before).astype(np.float32)
    lower = np.clip(before, 0, length - 1).astype(np.intp)
    upper = np.clip(before + 1, 0, length - 1).astype(np.intp)
    return lower, upper, share
