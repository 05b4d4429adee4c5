"""Pools over regions of several sizes: the pyramid and R-MAC."""

from headtohead.backbones.layers import MOST_WIDE, are_widths
from headtohead.core.errors import UsageError, brief
from headtohead.heads.base import HeadEntry
from headtohead.heads.option_checks import whole
from headtohead.heads.pooling import LinearOnPool
from headtohead.heads.pools import CellMaxima, RegionMaxima


class SpatialPyramid(LinearOnPool):
    """Maxima over grids of 1 × 1, 2 × 2 and 4 × 4 cells, side by side, then one linear layer: SPP.

    He et al. 2014 (arXiv 1406.4729). `levels` are the grids' sides. Cells are those of adaptive
    pooling: row i of n covers ⌊i·H/n⌋ to ⌈(i+1)·H/n⌉, so that cells overlap, and repeat, where a
    map has fewer rows than the grid. `levels=[1]` is `gmp`.
    """

    permutation_invariant = False
    translation_invariant = False
    linear_at_one_place = True

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        levels: tuple[int, ...] = (1, 2, 4),
    ) -> None:
        if not are_widths(levels) or not levels:
            raise UsageError(
                f"levels takes one grid's side or more, whole numbers from 1 to {MOST_WIDE:,}; "
                f"received {brief(repr(levels))}."
            )
        self.values = sum(level**2 for level in levels)
        super().__init__(channels, size, outputs)
        self.pool = CellMaxima(size, tuple(levels))
        if tuple(levels) == (1,):
            self.linear_on = "the maxima"


class RegionalMax(LinearOnPool):
    """Σ of the maxima over square regions, each divided by its norm over the channels: R-MAC.

    Tolias et al. 2016 (arXiv 1511.05879), with the regions of cirtorch's `rmac`: the whole map,
    then for each of `levels` scales regions of side ⌊2·min(H, W)/(level + 1)⌋ that overlap by
    about 40 %. On square maps the first scale is the whole map once more, as there.
    """

    permutation_invariant = False
    translation_invariant = False

    def __init__(self, channels: int, size: tuple[int, int], outputs: int, levels: int = 3) -> None:
        super().__init__(channels, size, outputs)
        self.pool = RegionMaxima(size, whole("levels", levels))


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
