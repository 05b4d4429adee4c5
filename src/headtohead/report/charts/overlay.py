"""A class map laid over its image: the one way to draw it, for the page, files and the demo."""

from typing import Protocol

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headtohead.stats.maps import Maps, at_pixels

MAP_COLORS = "RdBu_r"
OUTLINE = (255, 221, 0)
"""Yellow, which no map's colour is."""


class MapGeometry(Protocol):
    """Where a map's cells lie: cell i is centred on pixel `first` + i · `stride`."""

    @property
    def first(self) -> float:
        """The first cell's centre in pixels."""

    @property
    def stride(self) -> float:
        """Pixels between two."""


def field_of(values: Maps, pixels: NDArray[np.uint8], geometry: MapGeometry) -> NDArray[np.float32]:
    """The (h, w) map of a square image (side, side, 3) at its pixels: (side, side)."""
    side = pixels.shape[0]
    one = np.asarray(values, np.float32)[None]
    return np.asarray(at_pixels(one, side, geometry.first, geometry.stride)[0], np.float32)


def overlay(
    pixels: NDArray[np.uint8], field: NDArray[np.float32], limit: float
) -> NDArray[np.uint8]:
    """The (side, side) map over the image in grey: red speaks for the class, blue against it.

    Full colour at `limit`, in the map's unit, and beyond.
    """
    share = np.clip(np.asarray(field, np.float32) / limit, -1, 1)
    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.float32)[..., None] / 255
    color = matplotlib.colormaps[MAP_COLORS](0.5 + share / 2)[..., :3]
    alpha = 0.75 * np.abs(share)[..., None] ** 0.7
    mixed = (1 - alpha) * (0.15 + 0.8 * grey) + alpha * color
    return np.asarray(np.clip(255 * mixed, 0, 255).round(), np.uint8)


def edge_of(inside: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The outermost `width` pixels of a region: those that near what is outside, or the border."""
    core = inside
    for _ in range(width):
        wide = np.pad(core, 1)
        core = core & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return inside & ~core


def outlined(pixels: NDArray[np.uint8], edge: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """The image with an object's edge drawn; the image itself where there is none."""
    if edge is None:
        return pixels
    drawn = pixels.copy()
    drawn[edge] = OUTLINE
    return drawn
