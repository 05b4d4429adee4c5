"""Pools over regions of several sizes: the pyramid and R-MAC."""

import math
from itertools import product

import torch
from torch import Tensor

from headtohead.backbones.layers import are_widths, dense
from headtohead.core.errors import UsageError
from headtohead.heads.base import Head, HeadEntry
from headtohead.heads.options import whole
from headtohead.heads.pooling import GlobalPool

Region = tuple[slice, slice]

SMALLEST_NORM = 1e-6
"""Added to a region's norm before it divides, as in cirtorch."""


class SpatialPyramid(Head):
    """Maxima over grids of 1 × 1, 2 × 2 and 4 × 4 cells, side by side, then one linear layer: SPP.

    He et al. 2014 (arXiv 1406.4729). `levels` are the grids' sides. Cells are those of adaptive
    pooling: row i of n covers ⌊i·H/n⌋ to ⌈(i+1)·H/n⌉, so that cells overlap, and repeat, where a
    map has fewer rows than the grid. `levels=[1]` is `gmp`.
    """

    permutation_invariant = False
    translation_invariant = False

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        levels: tuple[int, ...] = (1, 2, 4),
    ) -> None:
        super().__init__(channels, size, outputs)
        if not are_widths(levels) or not levels:
            raise UsageError(
                f"levels takes one grid's side or more, whole numbers of at least 1; "
                f"received {levels!r}."
            )
        self.cells = [
            region
            for level in levels
            for region in product(_cells(size[0], level), _cells(size[1], level))
        ]
        self.linear = dense(channels * len(self.cells), outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        pooled = [features[:, :, rows, columns].amax(dim=(2, 3)) for rows, columns in self.cells]
        logits: Tensor = self.linear(torch.cat(pooled, dim=1))
        return logits


def _cells(length: int, count: int) -> list[slice]:
    return [
        slice(index * length // count, math.ceil((index + 1) * length / count))
        for index in range(count)
    ]


class RegionalMax(GlobalPool):
    """Σ of the maxima over square regions, each divided by its norm over the channels: R-MAC.

    Tolias et al. 2016 (arXiv 1511.05879), with the regions of cirtorch's `rmac`: the whole map,
    then for each of `levels` scales regions of side ⌊2·min(H, W)/(level + 1)⌋ that overlap by
    about 40 %. On square maps the first scale is the whole map once more, as there.
    """

    permutation_invariant = False
    translation_invariant = False

    def __init__(self, channels: int, size: tuple[int, int], outputs: int, levels: int = 3) -> None:
        super().__init__(channels, size, outputs)
        self.regions = regions_of(size, whole("levels", levels))

    def pool(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C)."""
        pooled = torch.stack(
            [features[:, :, rows, columns].amax(dim=(2, 3)) for rows, columns in self.regions]
        )
        norms: Tensor = torch.linalg.vector_norm(pooled, dim=2, keepdim=True)
        return (pooled / (norms + SMALLEST_NORM)).sum(dim=0)


def regions_of(size: tuple[int, int], levels: int) -> list[Region]:
    """The rows and columns of R-MAC's regions on maps of `size` (height, width)."""
    height, width = size
    short, long = min(size), max(size)
    # Regions along the longer side at the first scale: 2 to 7, overlapping by about 40 %.
    gaps = [(long - short) / (count - 1) for count in range(2, 8)]
    overlaps = [abs((short**2 - short * gap) / short**2 - 0.4) for gap in gaps]
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


REGIONS: dict[str, HeadEntry] = {
    "spp": HeadEntry(
        SpatialPyramid,
        {},
        "spatial pyramid: maxima over three grids",
        formula="W·[max(x) over each cell of 1 × 1, 2 × 2, 4 × 4] + b",
        parameters="sum(n*n for n in levels)*D*K + K",
        source="He et al. 2014, arXiv 1406.4729",
        when="places matter coarsely; 21 times the weights of gmp.",
    ),
    "rmac": HeadEntry(
        RegionalMax,
        {},
        "normalised maxima over regions of three scales, summed",
        formula="W·Σ over regions R of max_R(x)/‖max_R(x)‖ + b",
        parameters="D*K + K",
        source="Tolias et al. 2016, arXiv 1511.05879",
        when="retrieval; objects of different sizes at the parameters of gmp.",
    ),
}
