"""Class maps against masks and chance: arrays in, numbers out.

A map is a few cells a side; it is laid over its picture where its cells look, not stretched to the
picture's edges: for a backbone without padding the outermost cells' centres lie well inside.
"""

from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Maps: TypeAlias = NDArray[np.floating[Any]]

OBJECT, BACKGROUND = 1, 0
CENTRE_SPREAD = 0.25
"""Standard deviation of the centred Gaussian that stands for "look at the middle", in sides."""


@dataclass(frozen=True)
class MapScores:
    """How well n maps find the object; each field is (n,) float64, NaN for a picture unmasked.

    `energy`: the share of the map's positive part that lies on the object (Wang et al. 2020,
    arXiv 1910.01279), of all that lies on pixels known to be object or background. `pointing`:
    whether the largest cell's centre lies on the object (Zhang et al. 2016, arXiv 1608.00507),
    without tolerance; cells that tie share the hit. Chance, by the same rules: `*_others`, the
    mean over all other pictures' maps laid on this picture, and `*_centre`, one Gaussian in the
    middle. A map without a positive part says nothing and counts as one that is equal all over;
    one that lies wholly on unknown pixels (a trimap's border) has no energy, NaN, on that picture.
    """

    energy: Floats
    energy_others: Floats
    energy_centre: Floats
    pointing: Floats
    pointing_others: Floats
    pointing_centre: Floats

    def mean(self) -> dict[str, float]:
        """The mean of each field over the pictures whose energy is known; NaN without any."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        known = np.isfinite(self.energy)
        return {
            name: float(value[known].mean()) if known.any() else float("nan")
            for name, value in values.items()
        }


def layout(cells: int, side: int, first: float, stride: float) -> Floats:
    """(side, cells) weights that lay `cells` values over `side` pixels, linear between centres.

    Cell i's centre is pixel `first` + i · `stride`; beyond the outermost centres values stay.
    """
    place = np.clip((np.arange(side) - first) / stride, 0, cells - 1)
    distance = np.abs(place[:, None] - np.arange(cells))
    return np.asarray(np.clip(1 - distance, 0, None), np.float64)


def at_pixels(maps: Maps, side: int, first: float, stride: float) -> NDArray[np.float32]:
    """(n, h, w) maps → (n, side, side), bilinear between the cells' centres."""
    down = layout(maps.shape[1], side, first, stride)
    across = layout(maps.shape[2], side, first, stride)
    return np.asarray(np.einsum("yh,nhw,xw->nyx", down, maps, across, optimize=True), np.float32)


def score_maps(maps: Maps, masks: NDArray[np.uint8], first: float, stride: float) -> MapScores:
    """Scores of (n, h, w) maps against (n, side, side) masks: 1 object, 0 background, else unknown.

    Raises ValueError where there is not one mask for each map.
    """
    if len(maps) != len(masks) or masks.ndim != 3:
        raise ValueError(f"one mask for each map; received {masks.shape} for maps {maps.shape}")
    positive = _positive(maps)
    centre = _gaussian(masks.shape[1])
    known = np.array([_has_both(mask) for mask in masks], bool)
    energy, hits = _energies(positive, masks, first, stride), _hits(positive, masks, first, stride)
    inside, outside = masks == OBJECT, masks == BACKGROUND
    with np.errstate(invalid="ignore"):
        energy_centre = (centre * inside).sum((1, 2)) / (centre * (inside | outside)).sum((1, 2))
    middle = masks.shape[1] // 2
    values = (
        np.diag(energy),
        _others(energy),
        energy_centre,
        np.diag(hits),
        _others(hits),
        inside[:, middle, middle].astype(np.float64),
    )
    return MapScores(*(np.where(known, value, np.nan) for value in values))


def area_gain(deletion: Maps, insertion: Maps) -> float:
    """Mean area under the insertion curves less that under the deletion curves, in [-1, 1].

    Of (m, steps + 1) probabilities at equal steps, by the trapezoidal rule (Petsiuk et al. 2018,
    arXiv 1806.07421). Higher is better: the class comes back early and goes early.
    """
    return _area(insertion) - _area(deletion)


def _area(curves: Maps) -> float:
    mean = np.asarray(curves, np.float64).mean(axis=0)
    return float(np.trapezoid(mean, dx=1 / (len(mean) - 1)))


def _positive(maps: Maps) -> Floats:
    positive = np.clip(np.asarray(maps, np.float64), 0, None)
    positive[positive.sum((1, 2)) == 0] = 1.0
    return positive


def _gaussian(side: int) -> Floats:
    place = (np.arange(side) - (side - 1) / 2) / (CENTRE_SPREAD * side)
    bell = np.exp(-(place**2) / 2)
    return np.asarray(bell[:, None] * bell, np.float64)


def _has_both(mask: NDArray[np.uint8]) -> bool:
    return bool((mask == OBJECT).any() and (mask == BACKGROUND).any())


def _energies(
    positive: Floats, masks: NDArray[np.uint8], first: float, stride: float
) -> NDArray[np.float64]:
    """(n, n): the energy of map j (column) on the object of picture i (row).

    Laying out is linear, so the masks are brought to the cells instead of n² maps to pixels.
    """
    side = masks.shape[1]
    down = layout(positive.shape[1], side, first, stride)
    across = layout(positive.shape[2], side, first, stride)

    def at_cells(pixels: NDArray[np.bool_]) -> Floats:
        cells = np.einsum("yh,nyx,xw->nhw", down, pixels.astype(np.float64), across, optimize=True)
        return np.asarray(cells.reshape(len(pixels), -1), np.float64)

    flat = positive.reshape(len(positive), -1)
    inside = at_cells(masks == OBJECT) @ flat.T
    outside = at_cells(masks == BACKGROUND) @ flat.T
    with np.errstate(invalid="ignore"):
        return np.asarray(inside / (inside + outside), np.float64)


def _hits(
    positive: Floats, masks: NDArray[np.uint8], first: float, stride: float
) -> NDArray[np.float64]:
    """(n, n): whether map j (column) points at the object of picture i (row).

    What is linear between cells is largest at a cell's centre.
    """
    side = masks.shape[1]
    rows, columns = (
        np.clip(np.rint(first + stride * np.arange(cells)), 0, side - 1).astype(int)
        for cells in positive.shape[1:]
    )
    at_centres = (masks[:, rows][:, :, columns] == OBJECT).reshape(len(masks), -1)
    flat = positive.reshape(len(positive), -1)
    largest = flat == flat.max(axis=1, keepdims=True)
    return np.asarray(at_centres @ (largest / largest.sum(1, keepdims=True)).T, np.float64)


def _others(matrix: NDArray[np.float64]) -> Floats:
    """(n,) means of what is known in each row without its diagonal; NaN where nothing is."""
    others = np.isfinite(matrix) & ~np.eye(len(matrix), dtype=bool)
    with np.errstate(invalid="ignore"):
        means = np.where(others, matrix, 0).sum(axis=1) / others.sum(axis=1)
    return np.asarray(means, np.float64)
