"""The first claim: the reference has fewer parameters. Counted, not tested."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from matplotlib.axes import Axes

from headtohead.analysis.baseline import baseline_of
from headtohead.analysis.run_results import RunResult
from headtohead.claims.base import ClaimFigure, Measure, Question, Ruling, Unit
from headtohead.core.text import counted
from headtohead.probes.costs import COSTS
from headtohead.report.charts.chart import (
    Chart,
    Drawing,
    draw_largest_class,
    drawing,
    keep_within,
    log_ticks,
    shortened,
    text_width,
)
from headtohead.report.charts.style import NEUTRAL, HeadStyle, head_styles
from headtohead.study_data import StudyData

BESIDE, LABEL_HEIGHT = 9.0, 14.0
"""Units between a mark and its name, and from one name's middle to the next one's."""


@dataclass(frozen=True)
class ModelSize:
    """What a head and its model cost, counted; the last four are None without evidence."""

    head: int
    model: int
    multiply_adds_head: int | None = None
    multiply_adds: int | None = None
    weight_bytes: int | None = None
    activation_bytes: int | None = None


@final
class ParametersClaim:
    """The whole model with the reference has fewer parameters."""

    name = "parameters"
    tested = False

    def question(self, data: StudyData) -> Question:
        """Parameters, multiply-adds and bytes of every head."""
        return fewer_parameters(data.reference, data.against, sizes_of(data))

    def figure(self, data: StudyData) -> ClaimFigure:
        """Parameters of the head against test accuracy."""
        chart = parameters_chart(data)
        return ClaimFigure(() if chart is None else (chart,), anchor="#parameters")


CLAIM = ParametersClaim()


def sizes_of(data: StudyData) -> dict[str, ModelSize]:
    """What every head costs, as far as it was counted."""
    found = data.evidence(COSTS)
    costs = {head: found[head, seed] for head, seed in reversed(list(found))}
    sizes = {}
    for result in reversed(data.results):
        counts, cost = result.parameters, costs.get(result.head)
        sizes[result.head] = ModelSize(
            head=counts.head,
            model=counts.total,
            multiply_adds_head=cost.multiply_adds_head if cost else None,
            multiply_adds=cost.multiply_adds if cost else None,
            weight_bytes=cost.weight_bytes if cost else None,
            activation_bytes=cost.activation_bytes if cost else None,
        )
    return {head: sizes[head] for head in data.heads}


def fewer_parameters(reference: str, against: str, sizes: Mapping[str, ModelSize]) -> Question:
    """Counted: whether the whole model with `reference` has fewer parameters."""
    rows: tuple[tuple[str, Unit, str], ...] = (
        ("parameters of the head", "count", "head"),
        (
            "parameters of the model, batch-norm statistics and other stored values included",
            "count",
            "model",
        ),
        ("multiply-adds of the head, one image", "count", "multiply_adds_head"),
        ("multiply-adds of the model, one image", "count", "multiply_adds"),
        ("weights in memory", "bytes", "weight_bytes"),
        ("kept by a training step, one image", "bytes", "activation_bytes"),
    )
    measures = tuple(
        Measure(name, unit, {head: getattr(size, field) for head, size in sizes.items()})
        for name, unit, field in rows
    )
    statement = f"{reference} has fewer parameters than {against}"
    if reference not in sizes or against not in sizes:
        missing = reference if reference not in sizes else against
        ruling = Ruling("inconclusive", f"counted: no run of {missing} yet")
    else:
        mine, theirs = sizes[reference].model, sizes[against].model
        relation = (
            "fewer than" if mine < theirs else "as many as" if mine == theirs else "more than"
        )
        ruling = Ruling(
            "supported" if mine < theirs else "refuted",
            f"counted over the whole model: {mine:,}, {relation} {theirs:,}",
        )
    return Question(statement, measures=measures, ruling=ruling, evaluated=False)


def parameters_chart(data: StudyData) -> Chart | None:
    """The head's own parameters (logarithmic) against test accuracy: seeds, mean, largest class."""
    styles = head_styles(data.study.heads)
    order = list(styles)
    known = [runs for runs in data.by_head.values() if _accuracies(runs)]
    if not known:
        return None
    with drawing() as paper:
        axes = paper.axes
        axes.set_xscale("log")
        told = [_draw_mark(paper, h, styles[h[0].head], order.index(h[0].head)) for h in known]
        told.append(draw_largest_class(paper, baseline_of(data.file).test))
        axes.margins(x=0.12)
        keep_within(axes, 0, 100)
        axes.set_xticks(log_ticks(*axes.get_xlim()))
        axes.xaxis.set_major_formatter(lambda value, _: _short(value))
        axes.xaxis.set_minor_formatter(lambda *_: "")
        axes.set(xlabel="parameters of the head, logarithmic", ylabel="test accuracy (%)")
        named = [runs for runs in known if runs[0].head in data.shown_in_full]
        _name_marks(paper, [(order.index(h[0].head), h[0].head, *_mark(h)) for h in named])
        caption = (
            "Up and to the left is better. Rings: seeds; large marks: their mean; dashed: always "
            "predicting the largest class."
        )
        if len(named) < len(known):
            caption += f" {counted(len(known) - len(named), 'more head')} without a name."
        return paper.finish(
            "parameters",
            "Parameters against accuracy",
            caption,
            "; ".join(told),
        )


def _accuracies(runs: Sequence[RunResult]) -> list[tuple[int, float]]:
    """(seed, per cent) of every finished run with a test accuracy."""
    return [
        (run.seed, 100 * found)
        for run in runs
        if run.finished and (found := run.metrics["test_accuracy"]) is not None
    ]


def _mark(runs: Sequence[RunResult]) -> tuple[float, float]:
    """Where a head's mean stands: parameters (a head may have none, and zero has no logarithm)."""
    mean = float(np.mean([value for _, value in _accuracies(runs)]))
    return max(runs[0].parameters.head, 1), mean


def _draw_mark(paper: Drawing, runs: Sequence[RunResult], style: HeadStyle, index: int) -> str:
    """One head's seeds and mean; what a reader without sight is told of it."""
    values, (count, mean) = _accuracies(runs), _mark(runs)
    head, own = runs[0].head, runs[0].parameters.head
    accuracies = [value for _, value in values]
    rings = paper.axes.plot(
        [count] * len(values),
        accuracies,
        "o",
        color=style.color,
        markerfacecolor="none",
        markersize=4.5,
        clip_on=False,
    )
    marks = paper.axes.plot(
        [count], [mean], style.marker, color=style.color, markersize=9, clip_on=False, zorder=3
    )
    paper.belongs(index, *rings, *marks)
    label = f"{head}, {own:,} parameters in the head"
    paper.readable(label, index, [(count, mean)], [f"mean {mean:.2f} %"])
    said = [f"seed {seed}: {value:.2f} %" for seed, value in values]
    paper.readable(label, index, [(count, value) for value in accuracies], said)
    return f"{head}: {own:,} parameters, {mean:.1f} % test accuracy"


@dataclass(frozen=True)
class _Name:
    """A mark's name, to the right of it (`side` 1) or to the left (−1); places in the SVG."""

    index: int
    text: str
    at: tuple[float, float]
    across: float
    up: float
    side: int

    @property
    def end(self) -> float:
        """Where it ends, away from its mark."""
        return self.across + self.side * (BESIDE + text_width(self.text))


def _name_marks(paper: Drawing, marks: Sequence[tuple[int, str, float, float]]) -> None:
    """Names beside marks (head, name, x, y), towards the middle, none over another."""
    found = [_name_of(paper.axes, *mark) for mark in marks]
    right, left = ([name for name in found if name.side == side] for side in (1, -1))
    meet = right and left and max(n.end for n in right) > min(n.end for n in left)
    low, high = (float(y) for _, y in paper.axes.transAxes.transform([(0, 0), (1, 1)]))
    room = (low + LABEL_HEIGHT / 2, high - LABEL_HEIGHT / 2)
    for mine in (found,) if meet else (right, left):
        lifted = kept_within(
            spread_out([name.up for name in mine], LABEL_HEIGHT), LABEL_HEIGHT, room
        )
        for name, to in zip(mine, lifted, strict=True):
            text = paper.axes.annotate(
                name.text,
                name.at,
                xytext=(name.side * BESIDE, to - name.up),
                textcoords="offset points",
                va="center",
                ha="left" if name.side > 0 else "right",
                arrowprops={"arrowstyle": "-", "color": NEUTRAL, "linewidth": 0.7},
            )
            paper.belongs(name.index, text)
            if text.arrow_patch is not None:
                paper.belongs(name.index, text.arrow_patch)


def _name_of(axes: Axes, index: int, name: str, x: float, y: float) -> _Name:
    left, right = axes.get_xlim()
    side = 1 if x < (left * right) ** 0.5 else -1
    across, up = map(float, axes.transData.transform((x, y)))
    edge = float(axes.transData.transform((right if side > 0 else left, y))[0])
    return _Name(index, shortened(name, abs(edge - across) - BESIDE), (x, y), across, up, side)


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


def kept_within(places: Sequence[float], gap: float, room: tuple[float, float]) -> list[float]:
    """Spread places moved into `room` (lowest, highest), still `gap` apart as far as it allows."""
    order = sorted(range(len(places)), key=places.__getitem__)
    found = list(places)
    for rank, at in enumerate(reversed(order)):
        found[at] = min(found[at], room[1] - gap * rank)
    for rank, at in enumerate(order):
        found[at] = max(found[at], room[0] + gap * rank)
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
