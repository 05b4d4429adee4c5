"""What heads differ by: the forest of paired differences, parameters against accuracy, seconds."""

from collections.abc import Mapping, Sequence

import numpy as np

from headtohead.report.figures import Look
from headtohead.report.page.chart import GRID, INK, NEUTRAL, Chart, Drawing, drawing
from headtohead.report.page.findings import picture_bounds
from headtohead.report.page.svg import HEAD_ID
from headtohead.report.summary import HeadComparison, HeadResult, Summary

ROW = 46.0


def forest(summary: Summary) -> Chart | None:
    """The reference minus each other head on test accuracy, in points: seeds, mean, interval."""
    shown = [item for item in summary.comparisons if item.comparison.difference.n]
    if not shown:
        return None
    margin = 100 * summary.file.study.verdict.margin
    longest = max(len(item.other) for item in shown)
    margins = (min(150.0, 30 + 6.2 * longest), 14.0, 44.0, 22.0)
    with drawing(height=66 + ROW * len(shown), margins=margins) as paper:
        axes = paper.axes
        axes.axvspan(-margin, margin, color=GRID, alpha=0.6, linewidth=0)
        axes.axvline(0, color=NEUTRAL, linewidth=1)
        for row, item in enumerate(shown):
            _draw_row(paper, summary, item, row)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_yticks(range(len(shown)), [f"− {item.other}" for item in shown])
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"points of test accuracy; right: {summary.reference} is better")
        return paper.finish(
            "forest",
            f"{summary.reference} minus each other head",
            f"Dots: seeds. Diamond: their mean. Line: {_confidence(shown)} interval (Student's t) "
            f"over seeds; dotted: over test pictures, for these networks. Shaded: the margin of "
            f"±{margin:g} point{'s' if margin != 1 else ''} within which heads count as equally "
            f"good.",
            "; ".join(
                f"{summary.reference} minus {item.other}: {difference_text(item)}" for item in shown
            ),
        )


def _draw_row(paper: Drawing, summary: Summary, item: HeadComparison, row: int) -> None:
    """One comparison: seeds below, the two intervals, the mean on top."""
    index = list(summary.file.study.heads).index(item.other)
    label = f"{summary.reference} minus {item.other}"
    values = [100 * value for value in item.comparison.difference.differences]
    below = row + 0.22
    paper.axes.plot(values, [below] * len(values), "o", color=NEUTRAL, markersize=3.5)
    said = [f"seed {s}: {v:+.2f} points" for s, v in zip(item.seeds, values, strict=True)]
    paper.readable(label, index, [(value, below) for value in values], said)
    bounds = _bounds(item)
    if bounds is not None:
        paper.axes.plot(bounds, [row, row], color=INK, linewidth=2, solid_capstyle="butt")
    beside = picture_bounds(item)
    if beside is not None:
        dots = (0, (2, 1.5))
        paper.axes.plot(beside, [row - 0.2] * 2, color=NEUTRAL, linewidth=2, linestyle=dots)
    mean = float(np.mean(values))
    paper.axes.plot([mean], [row], "D", color=INK, markersize=6.5)
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
        return f"{text} from one seed, no interval"
    return (
        f"{text} on average over {difference.n} seeds, {100 * (1 - difference.level):g} % interval "
        f"{bounds[0]:+.2f} to {bounds[1]:+.2f}"
    )


def against_parameters(
    heads: Sequence[HeadResult], looks: Mapping[str, Look], order: Sequence[str]
) -> Chart | None:
    """The head's own parameters (logarithmic) against test accuracy: seeds and mean."""
    known = [head for head in heads if head.spreads["test_accuracy"] is not None]
    if not known:
        return None
    with drawing(margins=(54.0, 60.0, 44.0, 16.0)) as paper:
        told = [_draw_mark(paper, h, looks[h.head], order.index(h.head)) for h in known]
        paper.axes.set_xscale("log")
        paper.axes.xaxis.set_major_formatter(lambda value, _: _short(value))
        paper.axes.xaxis.set_minor_formatter(lambda value, _: "")
        paper.axes.margins(x=0.12)
        paper.axes.set(xlabel="parameters of the head, logarithmic", ylabel="test accuracy (%)")
        return paper.finish(
            "parameters",
            "Parameters against accuracy",
            "Up and to the left is better. Small dots: seeds; large marks: their mean.",
            "; ".join(told),
        )


def _draw_mark(paper: Drawing, head: HeadResult, look: Look, index: int) -> str:
    """One head's seeds and mean; what a reader without sight is told of it."""
    values = [
        (run.seed, 100 * found)
        for run in head.runs
        if run.finished and (found := run.metrics["test_accuracy"]) is not None
    ]
    count = max(head.parameters.head, 1)  # a head may have none, and zero has no logarithm
    accuracies = [value for _, value in values]
    (dots,) = paper.axes.plot(
        [count] * len(values), accuracies, "o", color=look.color, alpha=0.35, markersize=4
    )
    mean = float(np.mean(accuracies))
    (mark,) = paper.axes.plot([count], [mean], look.marker, color=look.color, markersize=9)
    dots.set_gid(f"{HEAD_ID}{index}.seeds")
    mark.set_gid(f"{HEAD_ID}{index}.mean")
    paper.axes.annotate(
        head.head, (count, mean), xytext=(9, 0), textcoords="offset points", va="center"
    )
    label = f"{head.head}, {head.parameters.head:,} parameters in the head"
    paper.readable(label, index, [(count, mean)], [f"mean {mean:.2f} %"])
    said = [f"seed {seed}: {value:.2f} %" for seed, value in values]
    paper.readable(label, index, [(count, value) for value in accuracies], said)
    return f"{head.head}: {head.parameters.head:,} parameters, {mean:.1f} % test accuracy"


def _short(count: float) -> str:
    """`100`, `10 k`, `1 M`."""
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:g}{letter}"
    return f"{count:g}"
