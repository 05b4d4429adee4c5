"""What heads differ by: the forest of paired differences."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from headtohead.core.text import confidence, counted, minus, with_sign
from headtohead.report.charts.chart import (
    Chart,
    Drawing,
    drawing,
    name_margin,
    name_rows,
    shortened,
)
from headtohead.report.charts.dots import lowered
from headtohead.report.charts.style import GRID, INK, NEUTRAL
from headtohead.report.comparisons import HeadComparison
from headtohead.report.intervals import OVER_LOOKS, over_seeds
from headtohead.report.page.findings import picture_bounds
from headtohead.report.summary import Summary

ROW = 46.0
BELOW, STEP, DEEPEST = 0.2, 0.12, 0.24
"""In rows: from a row's middle down to its seeds, between seeds that would touch, and at most."""


def forest(summary: Summary, drawn: Collection[str]) -> Chart | None:
    """The family's comparisons on the primary metric, in points: seeds, mean, interval."""
    able = [item for item in summary.comparisons if item.comparison.difference.n]
    shown = [item for item in able if item.other in drawn]
    if not shown:
        return None
    heads = list(summary.file.study.heads)
    one = all(item.first == summary.reference for item in shown)
    names = [f"− {item.other}" if one else f"{item.first} − {item.other}" for item in shown]
    margins = (name_margin(names), 14.0, 44.0, 22.0)
    with drawing(height=66 + ROW * len(shown), margins=margins) as paper:
        axes = paper.axes
        margin = 100 * summary.file.study.verdict.margin
        axes.axvspan(-margin, margin, color=GRID, alpha=0.6, linewidth=0)
        axes.axvline(0, color=NEUTRAL, linewidth=1)
        name_rows(paper, [heads.index(item.other) for item in shown], names)
        _set_limits(paper, summary, shown, margin)
        for row, item in enumerate(shown):
            _draw_row(paper, summary, item, row)
        better = shortened(summary.reference, 110) if one else "the first"
        axes.set_xlabel(f"points of {summary.metric}; right: {better} is better", loc="right")
        return paper.finish(
            "forest",
            against(summary) if one else "The declared comparisons",
            " ".join((*_legend(summary, shown, margin), *_left_out(len(able) - len(shown)))),
            minus("; ".join(f"{item.pair}: {difference_text(summary, item)}" for item in shown)),
        )


def against(summary: Summary) -> str:
    """`gap minus each other head`, or minus those that the study declares."""
    study = summary.file.study
    every = len(study.family) == len(study.heads) - 1
    others = "each other head" if every else "the heads that it is compared with"
    return f"{summary.reference} minus {others}"


def _left_out(count: int) -> Iterator[str]:
    if count:
        yield f"{count} more comparisons are in the table."


def _legend(summary: Summary, shown: Sequence[HeadComparison], margin: float) -> Iterator[str]:
    """What the marks are that are drawn, and why some are not."""
    sure = confidence(shown[0].comparison.difference.level)
    yield "Dots: seeds. Diamond: their mean."
    if any(_bounds(summary, item) for item in shown):
        yield f"Line: {sure} interval (Student's t) over seeds."
    for item in shown:
        found = over_seeds(summary, item)
        if found.about == OVER_LOOKS:
            repeated = f"the repeated one, which holds over all its looks at {found.confidence}"
            yield f"That of {item.pair} is {repeated}."
        elif found.about:
            yield f"That of {item.pair} is not corrected for its looks."
    if not all(_bounds(summary, item) for item in shown):
        yield "One seed, or seeds that differ by the same, have no interval, so no line."
    if any(picture_bounds(item) for item in shown):
        yield f"Dotted: {sure} interval over test images, for these networks."
    yield (
        f"Shaded: the margin of ±{counted(margin, 'point')} within which heads count as equally "
        f"good."
    )


def _draw_row(paper: Drawing, summary: Summary, item: HeadComparison, row: int) -> None:
    """One comparison: seeds below, the two intervals, the mean on top."""
    axes = paper.axes
    index = list(summary.file.study.heads).index(item.other)
    label = item.pair
    pairs = zip(item.comparison.difference.differences, item.seeds, strict=True)
    ordered = sorted((100 * value, seed) for value, seed in pairs)
    values = [value for value, _ in ordered]
    below = [row + BELOW + down for down in lowered(paper, values, STEP, DEEPEST)]
    seeds = axes.plot(values, below, "o", color=NEUTRAL, markersize=4)
    paper.belongs(index, *seeds)
    said = [f"seed {seed}: {with_sign(value)} points" for value, seed in ordered]
    paper.readable(label, index, list(zip(values, below, strict=True)), said)
    bounds = _bounds(summary, item)
    if bounds is not None:
        line = axes.plot(bounds, [row, row], color=INK, linewidth=2, solid_capstyle="butt")
        paper.belongs(index, *line)
    beside = picture_bounds(item)
    if beside is not None:
        dots = (0, (2, 1.5))
        line = axes.plot(beside, [row - 0.2] * 2, color=NEUTRAL, linewidth=2, linestyle=dots)
        paper.belongs(index, *line)
    mean = float(np.mean(values))
    paper.belongs(index, *axes.plot([mean], [row], "D", color=INK, markersize=6.5))
    paper.readable(label, index, [(mean, row)], [difference_text(summary, item)])


def _set_limits(
    paper: Drawing, summary: Summary, shown: Sequence[HeadComparison], margin: float
) -> None:
    """The axis holds all that will be drawn: dots are spread by where they will lie."""
    places = [-margin, margin]
    for item in shown:
        places += [100 * value for value in item.comparison.difference.differences]
        for bounds in (_bounds(summary, item), picture_bounds(item)):
            places += bounds or ()
    air = 0.05 * (max(places) - min(places))
    paper.axes.set_xlim(min(places) - air, max(places) + air)


def _bounds(summary: Summary, item: HeadComparison) -> tuple[float, float] | None:
    """In points."""
    bounds = over_seeds(summary, item).bounds
    return None if bounds is None else (100 * bounds[0], 100 * bounds[1])


def difference_text(summary: Summary, item: HeadComparison) -> str:
    """`+0.52 points on average, 95 % interval −0.1 to +1.1`, or that there is no interval."""
    difference, found = item.comparison.difference, over_seeds(summary, item)
    text = f"{with_sign(100 * (difference.mean or 0.0))} points"
    if found.bounds is None:
        if difference.n < 2:
            return f"{text} from one seed, no interval"
        return f"{text} on average over {difference.n} seeds, {found.why_not}"
    low, high = (with_sign(100 * end) for end in found.bounds)
    return (
        f"{text} on average over {difference.n} seeds, {found.confidence} "
        f"interval{found.in_brackets} {low} to {high}"
    )
