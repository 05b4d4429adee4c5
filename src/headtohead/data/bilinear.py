"""Resizing as TensorFlow does it without antialias, operation by operation."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def bilinear(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """`picture`, in mode RGB, at `size` = (height, width), rounded half up."""
    result = _interpolate(np.asarray(picture), size)
    return Image.fromarray(np.floor(result + 0.5).astype(np.uint8))


def _interpolate(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
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
