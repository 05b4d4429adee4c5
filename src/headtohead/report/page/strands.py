"""How a head's line is drawn in every chart: each seed faint, their mean strong."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.collections import LineCollection
from numpy.typing import NDArray

from headtohead.report.figures import Look
from headtohead.report.page.chart import Drawing

SEED_ALPHA = 0.35
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Trace:
    """One line: (n,) places in data units and what is said at each; NaN in `y` is a gap."""

    label: str
    x: Values
    y: Values
    said: tuple[str, ...]


@dataclass(frozen=True)
class Strand:
    """One head's mean and its seeds; `index` is the head's place among the study's heads.

    `every` is the step between two markers.
    """

    head: str
    index: int
    look: Look
    mean: Trace
    seeds: tuple[Trace, ...]
    every: int = 1


def draw_strand(paper: Drawing, strand: Strand) -> None:
    """Draw it; one seed alone is its own mean."""
    look = strand.look
    if len(strand.seeds) > 1:
        for trace in strand.seeds:
            read_trace(paper, strand.index, trace)
        lines = [np.column_stack([trace.x, trace.y]) for trace in strand.seeds]
        faint = LineCollection(
            lines, colors=look.color, linewidths=1, alpha=SEED_ALPHA, clip_on=False
        )
        paper.belongs(strand.index, faint)
        paper.axes.add_collection(faint)
    read_trace(paper, strand.index, strand.mean)
    (line,) = paper.axes.plot(
        strand.mean.x,
        strand.mean.y,
        color=look.color,
        linestyle=look.dashes,
        marker=look.marker,
        markevery=strand.every,
        label=strand.head,
        clip_on=False,
    )
    paper.belongs(strand.index, line)


def read_trace(paper: Drawing, index: int, trace: Trace) -> None:
    """Its values, for the pointer."""
    known = [
        (float(x), float(y), said)
        for x, y, said in zip(trace.x, trace.y, trace.said, strict=True)
        if math.isfinite(y)
    ]
    paper.readable(trace.label, index, [(x, y) for x, y, _ in known], [said for *_, said in known])


def mean_label(head: str, seeds: Sequence[object]) -> str:
    """`gap, mean of 7 seeds`; of one seed the head alone."""
    return f"{head}, mean of {len(seeds)} seeds" if len(seeds) > 1 else head
