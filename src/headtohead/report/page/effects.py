"""What heads differ by: the forest of paired differences, and parameters against accuracy."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from headtohead.report.baseline import Baseline
from headtohead.report.figures import Look
from headtohead.report.page.chart import (
    GRID,
    INK,
    NEUTRAL,
    Chart,
    Drawing,
    draw_largest_class,
    drawing,
    keep_within,
    log_ticks,
    name_margin,
    name_rows,
    shortened,
)
from headtohead.report.page.findings import picture_bounds
from headtohead.report.summary import HeadComparison, HeadResult, Summary

ROW = 46.0
BESIDE, LABEL_HEIGHT = 9.0, 14.0
"""Units between a mark and its name, and from one name's middle to the next one's."""


def forest(summary: Summary) -> Chart | None:
    """The reference minus each other head on test accuracy, in points: seeds, mean, interval."""
    shown = [item for item in summary.comparisons if item.comparison.difference.n]
    if not shown:
        return None
    heads = list(summary.file.study.heads)
    names = [f"− {item.other}" for item in shown]
    margins = (name_margin(names), 14.0, 44.0, 22.0)
    with drawing(height=66 + ROW * len(shown), margins=margins) as paper:
        axes = paper.axes
        margin = 100 * summary.file.study.verdict.margin
        axes.axvspan(-margin, margin, color=GRID, alpha=0.6, linewidth=0)
        axes.axvline(0, color=NEUTRAL, linewidth=1)
        name_rows(paper, [heads.index(item.other) for item in shown], names)
        for row, item in enumerate(shown):
            _draw_row(paper, summary, item, row)
        better = shortened(summary.reference, 110)
        axes.set_xlabel(f"points of test accuracy; right: {better} is better", loc="right")
        return paper.finish(
            "forest",
            f"{summary.reference} minus each other head",
            " ".join(_legend(shown, margin)),
            "; ".join(
                f"{summary.reference} minus {item.other}: {difference_text(item)}" for item in shown
            ),
        )


def _legend(shown: Sequence[HeadComparison], margin: float) -> Iterator[str]:
    """What the marks are that are drawn, and why some are not."""
    yield "Dots: seeds. Diamond: their mean."
    if any(_bounds(item) for item in shown):
        yield f"Line: {_confidence(shown)} interval (Student's t) over seeds."
    if not all(_bounds(item) for item in shown):
        yield "One seed, or seeds that differ by the same, have no interval, so no line."
    if any(picture_bounds(item) for item in shown):
        yield f"Dotted: {_confidence(shown)} interval over test pictures, for these networks."
    yield (
        f"Shaded: the margin of ±{margin:g} point{'s' if margin != 1 else ''} within which heads "
        f"count as equally good."
    )


def _draw_row(paper: Drawing, summary: Summary, item: HeadComparison, row: int) -> None:
    """One comparison: seeds below, the two intervals, the mean on top."""
    axes = paper.axes
    index = list(summary.file.study.heads).index(item.other)
    label = f"{summary.reference} minus {item.other}"
    values = [100 * value for value in item.comparison.difference.differences]
    below = row + 0.22
    seeds = axes.plot(values, [below] * len(values), "o", color=NEUTRAL, markersize=4)
    paper.belongs(index, *seeds)
    said = [f"seed {s}: {v:+.2f} points" for s, v in zip(item.seeds, values, strict=True)]
    paper.readable(label, index, [(value, below) for value in values], said)
    bounds = _bounds(item)
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
    paper.readable(label, index, [(mean, row)], [difference_text(item)])


def _bounds(item: HeadComparison) -> tuple[float, float] | None:
    difference = item.comparison.difference
    if difference.low is None or difference.high is None:
        return None
    return 100 * difference.low, 100 * difference.high


def _confidence(shown: Sequence[HeadComparison]) -> str:
    return f"{100 * (1 - shown[0].comparison.difference.level):g} %"


def difference_text(item: HeadComparison) -> str:
    """`+0.52 points on average, 95 % interval −0.1 to +1.1`, or that there is no interval."""
    difference = item.comparison.difference
    text = f"{100 * (difference.mean or 0.0):+.2f} points"
    bounds = _bounds(item)
    if bounds is None:
        if difference.n < 2:
            return f"{text} from one seed, no interval"
        return f"{text} on average over {difference.n} seeds, {difference.why_no_interval}"
    return (
        f"{text} on average over {difference.n} seeds, {100 * (1 - difference.level):g} % interval "
        f"{bounds[0]:+.2f} to {bounds[1]:+.2f}"
    )


def against_parameters(
    heads: Sequence[HeadResult],
    looks: Mapping[str, Look],
    order: Sequence[str],
    baseline: Baseline,
) -> Chart | None:
    """The head's own parameters (logarithmic) against test accuracy: seeds, mean, largest class."""
    known = [head for head in heads if head.spreads["test_accuracy"] is not None]
    if not known:
        return None
    with drawing() as paper:
        axes = paper.axes
        axes.set_xscale("log")
        told = [_draw_mark(paper, h, looks[h.head], order.index(h.head)) for h in known]
        told.append(draw_largest_class(paper, baseline.test))
        axes.margins(x=0.12)
        keep_within(axes, 0, 100)
        axes.set_xticks(log_ticks(*axes.get_xlim()))
        axes.xaxis.set_major_formatter(lambda value, _: _short(value))
        axes.xaxis.set_minor_formatter(lambda *_: "")
        axes.set(xlabel="parameters of the head, logarithmic", ylabel="test accuracy (%)")
        _name_marks(paper, [(order.index(h.head), h.head, *_mark(h)) for h in known])
        return paper.finish(
            "parameters",
            "Parameters against accuracy",
            "Up and to the left is better. Rings: seeds; large marks: their mean; dashed: always "
            "naming the largest class.",
            "; ".join(told),
        )


def _accuracies(head: HeadResult) -> list[tuple[int, float]]:
    """(seed, per cent) of every finished run with a test accuracy."""
    return [
        (run.seed, 100 * found)
        for run in head.runs
        if run.finished and (found := run.metrics["test_accuracy"]) is not None
    ]


def _mark(head: HeadResult) -> tuple[float, float]:
    """Where a head's mean stands: parameters (a head may have none, and zero has no logarithm)."""
    mean = float(np.mean([value for _, value in _accuracies(head)]))
    return max(head.parameters.head, 1), mean


def _draw_mark(paper: Drawing, head: HeadResult, look: Look, index: int) -> str:
    """One head's seeds and mean; what a reader without sight is told of it."""
    values, (count, mean) = _accuracies(head), _mark(head)
    accuracies = [value for _, value in values]
    rings = paper.axes.plot(
        [count] * len(values),
        accuracies,
        "o",
        color=look.color,
        markerfacecolor="none",
        markersize=4.5,
        clip_on=False,
    )
    marks = paper.axes.plot(
        [count], [mean], look.marker, color=look.color, markersize=9, clip_on=False, zorder=3
    )
    paper.belongs(index, *rings, *marks)
    label = f"{head.head}, {head.parameters.head:,} parameters in the head"
    paper.readable(label, index, [(count, mean)], [f"mean {mean:.2f} %"])
    said = [f"seed {seed}: {value:.2f} %" for seed, value in values]
    paper.readable(label, index, [(count, value) for value in accuracies], said)
    return f"{head.head}: {head.parameters.head:,} parameters, {mean:.1f} % test accuracy"


def _name_marks(paper: Drawing, marks: Sequence[tuple[int, str, float, float]]) -> None:
    """Names beside marks (head, name, x, y), towards the middle, none over another."""
    axes = paper.axes
    (left, right), middle = axes.get_xlim(), math.prod(axes.get_xlim()) ** 0.5
    for side, mine in (
        (1, [mark for mark in marks if mark[2] < middle]),
        (-1, [mark for mark in marks if mark[2] >= middle]),
    ):
        places = [axes.transData.transform(mark[2:]) for mark in mine]
        lifted = spread_out([float(y) for _, y in places], LABEL_HEIGHT)
        for (index, name, x, y), (across, up), to in zip(mine, places, lifted, strict=True):
            edge, _ = axes.transData.transform((right if side > 0 else left, y))
            text = axes.annotate(
                shortened(name, abs(float(edge) - float(across)) - BESIDE),
                (x, y),
                xytext=(side * BESIDE, to - float(up)),
                textcoords="offset points",
                va="center",
                ha="left" if side > 0 else "right",
                arrowprops={"arrowstyle": "-", "color": NEUTRAL, "linewidth": 0.7},
            )
            paper.belongs(index, text)
            if text.arrow_patch is not None:
                paper.belongs(index, text.arrow_patch)


def spread_out(places: Sequence[float], gap: float) -> list[float]:
    """Places moved as little as it takes that each is `gap` from the next, in their order."""
    order = sorted(range(len(places)), key=places.__getitem__)
    groups: list[list[float]] = []  # [sum of places less their rank's offset, members]
    for at in order:
        groups.append([places[at], 1])
        # A group's middle is the mean of its members' own; groups that then touch become one.
        while len(groups) > 1 and _end(groups[-2], gap) + gap > _start(groups[-1], gap):
            total, members = groups.pop()
            groups[-1][0] += total
            groups[-1][1] += members
    moved = [_start(group, gap) + gap * k for group in groups for k in range(int(group[1]))]
    found = [0.0] * len(places)
    for at, place in zip(order, moved, strict=True):
        found[at] = place
    return found


def _start(group: Sequence[float], gap: float) -> float:
    return group[0] / group[1] - gap * (group[1] - 1) / 2


def _end(group: Sequence[float], gap: float) -> float:
    return group[0] / group[1] + gap * (group[1] - 1) / 2


def _short(count: float) -> str:
    """`100`, `10 k`, `1 M`."""
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:g}{letter}"
    return f"{count:g}"
