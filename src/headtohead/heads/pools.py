"""What is made of feature maps without weights and without chance: the pools of `PooledHead`.

Each is (N, C, H, W) → (N, values), each image by itself.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from headtohead.heads.base import SMALLEST_NORM, Pool, flatten

Region: TypeAlias = tuple[slice, slice]


def means(features: Tensor) -> Tensor:
    """The mean of each feature map: C values."""
    return features.mean(dim=(2, 3))


def maxima(features: Tensor) -> Tensor:
    """The largest value of each feature map: C values."""
    return features.amax(dim=(2, 3))


def halves(features: Tensor) -> Tensor:
    """Half the mean plus half the maximum: C values."""
    return 0.5 * (means(features) + maxima(features))


def means_and_maxima(features: Tensor) -> Tensor:
    """[mean; max]: 2 · C values."""
    return torch.cat([means(features), maxima(features)], dim=1)


def soft(features: Tensor) -> Tensor:
    """Σ x·eˣ / Σ eˣ of each feature map: C values."""
    values = features.flatten(2)
    return (values * values.softmax(dim=2)).sum(dim=2)


@dataclass(frozen=True)
class Largest:
    """The mean of the `k` largest values of each feature map: C values."""

    k: int

    def __call__(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C)."""
        return features.flatten(2).topk(self.k, dim=2).values.mean(dim=2)


@dataclass(frozen=True)
class WindowMeans:
    """The mean of each `window` × `window` cell, channels last; what fills none is left out."""

    window: int

    def __call__(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, ⌊H/window⌋ · ⌊W/window⌋ · C)."""
        return flatten(functional.avg_pool2d(features, self.window))


@dataclass(frozen=True)
class CellMaxima:
    """The maxima over each cell of grids of so many `levels` a side, on maps of `size`."""

    size: tuple[int, int]
    levels: tuple[int, ...]

    def __call__(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, Σ levels² · C)."""
        cells = cells_of(self.size, self.levels)
        return torch.cat([maxima(features[:, :, r, c].clone()) for r, c in cells], dim=1)


@dataclass(frozen=True)
class RegionMaxima:
    """R-MAC: the maxima over regions of `levels` scales, each divided by its norm, summed."""

    size: tuple[int, int]
    levels: int

    def __call__(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C)."""
        regions = regions_of(self.size, self.levels)
        # Copied, for the maxima of a part of a map in place take four times as long.
        pooled = torch.stack([maxima(features[:, :, r, c].clone()) for r, c in regions])
        norms: Tensor = torch.linalg.vector_norm(pooled, dim=2, keepdim=True)
        first, *others = pooled / (norms + SMALLEST_NORM)
        # One after the other: the bits of `sum` over the regions depend on the batch.
        total: Tensor = sum(others, first)
        return total


def of_stored(pool: Pool, features: Tensor) -> Tensor:
    """What `pool` makes of maps that no gradient goes back to: its numbers to the bit, sooner.

    On a CPU NumPy sorts all values of a map five times as fast as topk finds some of them.
    """
    if not isinstance(pool, Largest) or features.device.type != "cpu":
        return pool(features)
    values = features.flatten(2).contiguous().numpy()
    ascending = torch.from_numpy(np.sort(values, axis=2))
    return ascending[..., -pool.k :].flip(2).mean(dim=2)


@lru_cache
def cells_of(size: tuple[int, int], levels: tuple[int, ...]) -> list[Region]:
    """The rows and columns of each cell of grids of n × n cells, n of `levels`.

    As adaptive pooling has them: row i of n covers ⌊i·H/n⌋ to ⌈(i+1)·H/n⌉.
    """
    return [
        region
        for level in levels
        for region in product(_cells(size[0], level), _cells(size[1], level))
    ]


def _cells(length: int, count: int) -> list[slice]:
    return [
        slice(index * length // count, math.ceil((index + 1) * length / count))
        for index in range(count)
    ]


@lru_cache
def regions_of(size: tuple[int, int], levels: int) -> list[Region]:
    """The rows and columns of R-MAC's regions on maps of `size` (height, width)."""
    height, width = size
    short, long = min(size), max(size)
    # Regions along the longer side at the first scale: 2 to 7, overlapping by about 40 %.
    # In float32, as cirtorch has it: at 5 × 9 two overlaps are equally near, up to rounding.
    gaps = (long - short) / torch.arange(1, 7, dtype=torch.float32)
    overlaps = ((short**2 - short * gaps) / short**2 - 0.4).abs().tolist()
    more = overlaps.index(min(overlaps)) + 1
    found: list[Region] = [(slice(0, height), slice(0, width))]
    for level in range(1, levels + 1):
        side = 2 * short // (level + 1)
        if side == 0:
            break  # the map is too small for further scales
        tops = _starts(height, side, level + (more if height > width else 0))
        lefts = _starts(width, side, level + (more if width > height else 0))
        found += [
            (slice(top, top + side), slice(left, left + side)) for top, left in product(tops, lefts)
        ]
    return found


def _starts(length: int, side: int, count: int) -> list[int]:
    """`count` evenly spaced first rows (or columns) of regions of `side` within `length`."""
    step = (length - side) / (count - 1) if count > 1 else 0.0
    half = side // 2 - 1
    return [math.floor(half + index * step) - half for index in range(count)]
