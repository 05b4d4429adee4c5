"""A row of dots for each head: every seed or round, their middle, and what chance would give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from headtohead.report.charts.chart import (
    WIDTH,
    Chart,
    Drawing,
    drawing,
    name_margin,
    name_rows,
    text_width,
)
from headtohead.report.charts.style import INK, HeadStyle

ROW = 52.0
ABOVE, BELOW, LOWEST = 0.14, 0.12, 0.44
"""In rows: from a row's middle up to the mean, down to the first dots and to the lowest ones."""

TICK_GAP = 8.0
"""Units between two labels of the axis, at the least."""

STEP, NEAR = 0.11, 5.5
"""Rows between dots that would touch, and the units within which they do."""


@dataclass(frozen=True)
class Dot:
    """A value on the axis and what is said there; an `open` one is at least that, not more."""

    value: float
    said: str
    open: bool = False


@dataclass(frozen=True)
class DotRow:
    """One head: `dots`, their `middle`, its `interval`, a line, and `chance`, a bar in ink."""

    head: str
    dots: tuple[Dot, ...]
    middle: Dot
    chance: Dot | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class DotChart:
    """What is drawn: `line` is chance that is the same for all heads, `chance` the bars' name.

    `styles` are of all heads of the study, in its order. `whole` values are counts: between them
    there is nothing to label.
    """

    name: str
    title: str
    axis: str
    caption: str
    rows: tuple[DotRow, ...]
    styles: Mapping[str, HeadStyle]
    line: Dot | None = None
    chance: str = ""
    whole: bool = False

    def place_of(self, row: DotRow) -> int:
        """The position in the study of a row's head."""
        return list(self.styles).index(row.head)


def dot_chart(plan: DotChart) -> Chart:
    """The chart. Its rows are in the order given; a head's row is hidden with the head."""
    names = [row.head for row in plan.rows]
    margins = (name_margin(names), 14.0, 44.0, 12.0)
    with drawing(WIDTH, 62 + ROW * len(names), margins) as paper:
        axes = paper.axes
        name_rows(paper, [plan.place_of(row) for row in plan.rows], names)
        if plan.line is not None:
            dashes = (0, (4, 3))
            at = plan.line.value
            axes.axvline(at, color=INK, linewidth=1, linestyle=dashes, label=plan.line.said)
            middle = (plan.line.value, len(names) / 2 - 0.5)
            paper.readable("all heads", None, [middle], [plan.line.said])
        every = [d.value for row in plan.rows for d in (*row.dots, row.middle)]
        every += [row.chance.value for row in plan.rows if row.chance is not None]
        every += [end for row in plan.rows for end in row.interval or ()]
        every += [plan.line.value] if plan.line is not None else []
        air = 0.06 * (max(every) - min(every)) or 0.06 * abs(every[0]) or 1.0
        air = max(air, 0.5) if plan.whole else air  # or no whole number but one is on the axis
        axes.set_xlim(min(every) - air, max(every) + air)
        axes.set_xlabel(plan.axis, loc="right")
        _tick(axes, whole=plan.whole)
        for place, row in enumerate(plan.rows):
            _draw_row(paper, plan, row, place)
        told = "; ".join(
            f"{row.head}: {row.middle.said}" + (f", {row.chance.said}" if row.chance else "")
            for row in plan.rows
        )
        if plan.line is not None:
            told += f"; {plan.line.said}"
        return paper.finish(plan.name, plan.title, plan.caption, f"{plan.title}. {told}.")


def _tick(axes: Axes, *, whole: bool) -> None:
    """As many round numbers, up to eight, as have room side by side."""
    wide = axes.get_window_extent().width
    for most in range(8, 1, -1):
        axes.xaxis.set_major_locator(
            MaxNLocator(most, integer=whole, steps=[1, 2, 5, 10], min_n_ticks=1 if whole else 2)
        )
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        labels = axes.xaxis.get_major_formatter().format_ticks(ticks)
        if sum(text_width(label) + TICK_GAP for label in labels) <= wide:
            return


def _draw_row(paper: Drawing, plan: DotChart, row: DotRow, place: int) -> None:
    """`place`: from the top; the first row's bar is named for all."""
    axes, head, style = paper.axes, plan.place_of(row), plan.styles[row.head]
    dots = sorted(row.dots, key=lambda dot: dot.value)
    down = lowered(paper, [dot.value for dot in dots], STEP, LOWEST - BELOW)
    at = [(dot.value, place + BELOW + by) for dot, by in zip(dots, down, strict=True)]
    for dot, (x, y) in zip(dots, at, strict=True):
        (mark,) = axes.plot(
            [x],
            [y],
            ">" if dot.open else "o",
            color=style.color,
            markerfacecolor="none",
            markeredgewidth=1.3,
            markersize=4.5,
        )
        paper.belongs(head, mark)
    paper.readable(row.head, head, at, [dot.said for dot in dots])
    if row.chance is not None:
        (bar,) = axes.plot(
            [row.chance.value],
            [place - ABOVE],
            "|",
            color=INK,
            markersize=17,
            markeredgewidth=2,
            label=plan.chance if plan.chance and place == 0 else None,
        )
        paper.belongs(head, bar)
        paper.readable(row.head, head, [(row.chance.value, place - ABOVE)], [row.chance.said])
    if row.interval is not None:
        ends = [place - ABOVE] * 2
        line = axes.plot(row.interval, ends, color=style.color, linewidth=2, solid_capstyle="butt")
        paper.belongs(head, *line)
    (middle,) = axes.plot(
        [row.middle.value], [place - ABOVE], style.marker, color=style.color, markersize=8
    )
    paper.belongs(head, middle)
    paper.readable(row.head, head, [(row.middle.value, place - ABOVE)], [row.middle.said])


def lowered(paper: Drawing, values: Sequence[float], step: float, most: float) -> list[float]:
    """The rows by which each of the rising `values` goes down, `step` by step and at most `most`.

    None then covers one before it.
    """
    levels = _levels(paper, values)
    step = min(step, most / max(max(levels, default=0), 1))
    return [step * level for level in levels]


def _levels(paper: Drawing, values: Sequence[float]) -> list[int]:
    """The row below the first in which each of the rising `values` covers none before it."""
    taken: list[float] = []  # by level: the place of its last dot
    found = []
    for value in values:
        across, _ = paper.axes.transData.transform((value, 0))
        free = [level for level, last in enumerate(taken) if across - last >= NEAR]
        level = free[0] if free else len(taken)
        taken[level : level + 1] = [float(across)]
        found.append(level)
    return found
