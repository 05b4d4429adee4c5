"""Class maps against masks and chance: arrays in, numbers out.

A map is a few cells a side; it is laid over its image where its cells look, not stretched to the
image's edges: for a backbone without padding the outermost cells' centres lie well inside.
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
    """How well n maps find the object; each field is (n,) float64, NaN for an image unmasked.

    `energy`: the share of the map's positive part that lies on the object (Wang et al. 2020,
    arXiv 1910.01279), of all that lies on pixels known to be object or background. `pointing`:
    whether the largest cell's centre lies on the object (Zhang et al. 2016, arXiv 1608.00507),
    without tolerance; cells that tie share the hit. Chance, by the same rules: `*_others`, the
    mean over all other images' maps laid on this image, and `*_centre`, one Gaussian in the
    middle. A map without a positive part says nothing and counts as one that is equal all over;
    one that lies wholly on unknown pixels (a trimap's border) has no energy, NaN, on that image.
    """

    energy: Floats
    energy_others: Floats
    energy_centre: Floats
    pointing: Floats
    pointing_others: Floats
    pointing_centre: Floats

    def mean(self) -> dict[str, float]:
        """The mean of each field over the images whose energy is known; NaN without any."""
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


@dataclass(frozen=True)
class Objects:
    """What maps of some layout are scored against: n masks, brought to the maps' cells once.

    `inside` and `outside` are (n, cells) pixels of object and background that a cell weighs,
    `at_centres` is (n, cells), whether a cell's centre lies on the object.
    """

    inside: Floats
    outside: Floats
    at_centres: NDArray[np.bool_]
    known: NDArray[np.bool_]
    energy_centre: Floats
    pointing_centre: Floats


def objects_of(
    masks: NDArray[np.uint8], cells: tuple[int, int], first: float, stride: float
) -> Objects:
    """(n, side, side) masks: 1 object, 0 background, else unknown; for maps of `cells`."""
    side = masks.shape[1]
    down, across = (layout(count, side, first, stride) for count in cells)
    rows, columns = (
        np.clip(np.rint(first + stride * np.arange(count)), 0, side - 1).astype(int)
        for count in cells
    )
    inside, outside = (masks == OBJECT).astype(np.float64), (masks == BACKGROUND).astype(np.float64)

    def at_cells(pixels: Floats) -> Floats:
        # Laying out is linear, so masks are brought to the cells instead of n² maps to pixels.
        return np.asarray((down.T @ pixels @ across).reshape(len(pixels), -1), np.float64)

    centre = _gaussian(side)
    with np.errstate(invalid="ignore"):
        energy_centre = (centre * inside).sum((1, 2)) / (centre * (inside + outside)).sum((1, 2))
    return Objects(
        inside=at_cells(inside),
        outside=at_cells(outside),
        at_centres=(masks[:, rows][:, :, columns] == OBJECT).reshape(len(masks), -1),
        known=inside.any((1, 2)) & outside.any((1, 2)),
        energy_centre=energy_centre,
        pointing_centre=inside[:, side // 2, side // 2],
    )


def score_maps(maps: Maps, objects: Objects) -> MapScores:
    """Scores of (n, h, w) maps. Raises ValueError where there is not one mask for each map."""
    if maps.reshape(len(maps), -1).shape != objects.inside.shape:
        raise ValueError(
            f"one mask for each map, brought to its cells; received {objects.inside.shape} for "
            f"maps {maps.shape}"
        )
    positive = _positive(maps)
    energy, hits = _energies(positive, objects), _hits(positive, objects)
    values = (
        np.diag(energy),
        _others(energy),
        objects.energy_centre,
        np.diag(hits),
        _others(hits),
        objects.pointing_centre,
    )
    return MapScores(*(np.where(objects.known, value, np.nan) for value in values))


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
    """(n, cells)."""
    positive = np.clip(np.asarray(maps, np.float64).reshape(len(maps), -1), 0, None)
    positive[positive.sum(axis=1) == 0] = 1.0
    return positive


def _gaussian(side: int) -> Floats:
    place = (np.arange(side) - (side - 1) / 2) / (CENTRE_SPREAD * side)
    bell = np.exp(-(place**2) / 2)
    return np.asarray(bell[:, None] * bell, np.float64)


def _energies(positive: Floats, objects: Objects) -> NDArray[np.float64]:
    """(n, n): the energy of map j (column) on the object of image i (row)."""
    inside, outside = objects.inside @ positive.T, objects.outside @ positive.T
    with np.errstate(invalid="ignore"):
        return np.asarray(inside / (inside + outside), np.float64)


def _hits(positive: Floats, objects: Objects) -> NDArray[np.float64]:
    """(n, n): whether map j (column) points at the object of image i (row).

    What is linear between cells is largest at a cell's centre.
    """
    largest = positive == positive.max(axis=1, keepdims=True)
    shares = largest / largest.sum(axis=1, keepdims=True)
    return np.asarray(objects.at_centres @ shares.T, np.float64)


def _others(matrix: NDArray[np.float64]) -> Floats:
    """(n,) means of what is known in each row without its diagonal; NaN where nothing is."""
    others = np.isfinite(matrix) & ~np.eye(len(matrix), dtype=bool)
    with np.errstate(invalid="ignore"):
        means = np.where(others, matrix, 0).sum(axis=1) / others.sum(axis=1)
    return np.asarray(means, np.float64)
