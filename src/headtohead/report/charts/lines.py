"""A head's lines, drawn alike in every chart: each seed faint, their mean strong."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.collections import LineCollection
from numpy.typing import NDArray

from headtohead.report.charts.chart import Drawing
from headtohead.report.charts.style import HeadStyle

SEED_ALPHA = 0.35
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """One line: (n,) places in data units and what is said at each; NaN in `y` is a gap."""

    label: str
    x: Values
    y: Values
    said: tuple[str, ...]


@dataclass(frozen=True)
class HeadLines:
    """One head's mean and its seeds; `index` is the head's place among the study's heads.

    `every` is the step between two markers.
    """

    head: str
    index: int
    style: HeadStyle
    mean: Line
    seeds: tuple[Line, ...]
    every: int = 1


def draw_head(paper: Drawing, lines: HeadLines) -> None:
    """Draw it; one seed alone is its own mean."""
    style = lines.style
    if len(lines.seeds) > 1:
        for line in lines.seeds:
            make_readable(paper, lines.index, line)
        places = [np.column_stack([line.x, line.y]) for line in lines.seeds]
        faint = LineCollection(
            places, colors=style.color, linewidths=1, alpha=SEED_ALPHA, clip_on=False
        )
        paper.belongs(lines.index, faint)
        paper.axes.add_collection(faint)
    make_readable(paper, lines.index, lines.mean)
    (drawn,) = paper.axes.plot(
        lines.mean.x,
        lines.mean.y,
        color=style.color,
        linestyle=style.dashes,
        marker=style.marker,
        markerfacecolor="white" if style.hollow else style.color,
        markevery=lines.every,
        label=lines.head,
        clip_on=False,
    )
    paper.belongs(lines.index, drawn)


def make_readable(paper: Drawing, index: int, line: Line) -> None:
    """Its values, for the pointer."""
    known = [
        (float(x), float(y), said)
        for x, y, said in zip(line.x, line.y, line.said, strict=True)
        if math.isfinite(y)
    ]
    paper.readable(line.label, index, [(x, y) for x, y, _ in known], [said for *_, said in known])


def mean_label(head: str, seeds: Sequence[object]) -> str:
    """`gap, mean of 7 seeds`; of one seed the head alone."""
    return f"{head}, mean of {len(seeds)} seeds" if len(seeds) > 1 else head
