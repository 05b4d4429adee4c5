"""The fifth claim: the reference trains faster, by a rule of its own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from headtohead.analysis.learning import in_closed_form, no_epochs
from headtohead.analysis.pairs import HeadTarget, Targets
from headtohead.claims.base import (
    ClaimFigure,
    Measure,
    Question,
    Ruling,
    measure,
    pairs,
)
from headtohead.core.text import confidence, counted, seconds_text, significant, with_sign
from headtohead.probes.speed import SPEED, Speed
from headtohead.report.charts.chart import Chart
from headtohead.report.charts.dots import Dot, DotChart, DotRow, dot_chart
from headtohead.report.charts.style import HeadStyle, head_styles
from headtohead.stats import (
    Outcome,
    PairedDifference,
    bounds,
    holm,
    paired_difference,
    seeds_needed,
    verdict,
)
from headtohead.stats.targets import Approach, reached
from headtohead.study_data import BySeed, StudyData


@final
class SpeedClaim:
    """A step takes less time, and so does the way to the target."""

    name = "speed"
    tested = False

    def question(self, data: StudyData) -> Question:
        """Both parts must agree, see `faster`: with the study's target, or one of the reference."""
        targets = data.targets
        goal = None
        if targets is not None and targets.heads:
            horizon = targets.heads[0].epochs.horizon
            majority = data.file.majority_share("validation")
            named_late = any("target" in change.rules for change in data.late_changes)
            goal = Goal(targets.target, horizon, majority, targets.declared and not named_late)
        level = data.study.verdict.level
        asked = faster(data.reference, data.against, speeds_of(data), data.seeds, goal, level)
        untrained = in_closed_form(data.study, data.by_head)
        if not untrained:
            return asked
        note = f"{no_epochs(untrained)}, and no time to the target"
        if asked.ruling is None or not {data.reference, data.against} & set(untrained):
            return replace(asked, notes=(*asked.notes, note))
        return replace(asked, ruling=Ruling("inconclusive", note))

    def figure(self, data: StudyData) -> ClaimFigure:
        """What is known of a step, of the epochs to the target, and of the time to it."""
        return ClaimFigure(tuple(speed_charts(data)), anchor="#speed")


CLAIM = SpeedClaim()


@dataclass(frozen=True)
class Speeds:
    """How fast one head trains.

    `step` (rounds,) processor seconds per image of a training step, in rounds that are paired
    between heads; `wall` likewise on the clock. `epochs` maps seed to the epochs until the
    target was reached, at most the `horizon` that all were watched for; seeds in `late` had not
    reached it by then. `pictures` is the number of images in an epoch's training steps.
    """

    step: NDArray[np.float64]
    wall: NDArray[np.float64]
    epochs: Mapping[int, float]
    late: frozenset[int]
    pictures: int

    def to_target(self) -> dict[int, float]:
        """Seed → processor seconds of training until the target, restricted like `epochs`."""
        each = float(np.median(self.step)) * self.pictures
        return {seed: epochs * each for seed, epochs in self.epochs.items()}


@dataclass(frozen=True)
class Goal:
    """A validation accuracy, the epochs that all runs were watched for, and what is no feat.

    `majority` is the accuracy of always predicting the most frequent class; `declared` says whether
    the study named the target before it ran.
    """

    target: float
    horizon: float
    majority: float
    declared: bool


def speeds_of(data: StudyData) -> dict[str, Speeds]:
    """Head → how fast it trains; empty without a speed session or a target."""
    speed, targets = data.session(SPEED), data.targets
    if speed is None or targets is None:
        return {}
    pictures, late = data.file.sizes["train"], _late(data, targets)
    speeds = {}
    for item in targets.heads:
        recipe = data.study.recipe_for(item.head)
        place = speed.heads.index(item.head)
        speeds[item.head] = Speeds(
            step=speed.cpu[place] / speed.batch_size[place],
            wall=speed.wall[place] / speed.batch_size[place],
            epochs=dict(zip(item.seeds, item.epochs.values, strict=True)),
            late=frozenset(seed for head, seed in late if head == item.head),
            pictures=recipe.batch(pictures) * recipe.steps(pictures),
        )
    return speeds


def faster(
    reference: str,
    against: str,
    speeds: Mapping[str, Speeds],
    seeds: Sequence[int],
    goal: Goal | None,
    level: float,
) -> Question:
    """Measured per step, in paired rounds, and tested on the way to the target.

    Supported (refuted): a step takes less (more) processor time in every round, and the
    processor time saved until the target, epochs times steps, paired by seed, is above (below) 0
    by the study's three tests. Where the two parts disagree it is inconclusive, and where the
    second part is but an estimate: the target was taken from results, or in half of the pairs
    neither run reached it, so that their difference is that of a step alone.
    """
    times = {head: speed.to_target() for head, speed in speeds.items()}
    statement = f"{reference} trains faster than {against}"
    measures = _speed_measures(speeds, times, goal)
    if goal is None or reference not in speeds or against not in speeds:
        ruling = Ruling("inconclusive", "no speed session with both heads yet")
        return Question(statement, measures=measures, ruling=ruling)
    per_step, rounds = _step_part(speeds[reference].step / speeds[against].step)
    saved = pairs(times, against, reference, seeds)
    difference = paired_difference(list(saved.values()), level)
    said = verdict(statement, difference, holm({"": difference.p_agreed})[""], 1)
    to_target = {"supported": 1, "refuted": -1}.get(said.outcome, 0)
    outcome: Outcome = "inconclusive"
    neither = len(saved.keys() & speeds[reference].late & speeds[against].late)
    mostly = 2 * neither >= len(saved) > 0
    reservations = list(_reservations(goal))
    if mostly:
        reservations.append(
            f"in {neither} of {counted(len(saved), 'pair')} neither run reached the target"
        )
    if per_step == to_target and not reservations:
        outcome = said.outcome
    part = _PART[to_target] if goal.declared and not mostly else "an estimate"
    rule = (
        f"both parts must agree. Per step: {rounds}. To the target: {part}{_saved(difference)}, "
        f"{counted(difference.n, 'seed')}"
    )
    if difference.n < seeds_needed(1, level):
        rule = f"{rule}, at least {seeds_needed(1, level)} needed"
    ruling = Ruling(outcome, "; ".join((rule, *reservations)))
    return Question(statement, measures=measures, notes=_censored(speeds, goal), ruling=ruling)


def _step_part(ratio: NDArray[np.float64]) -> tuple[int, str]:
    """1 where the reference's step is the faster in every round, -1 the slower, else 0; in words.

    `ratio`: (rounds,) of its time to the other's.
    """
    part = int((ratio < 1).all()) - int((ratio > 1).all())
    return part, (
        f"{_PART[part]}, × {np.median(ratio):.3f} "
        f"({ratio.min():.3f} to {ratio.max():.3f} over {len(ratio)} rounds)"
    )


def _saved(difference: PairedDifference) -> str:
    """The seconds saved, as an interval; where there is none, the reason."""
    if ends := bounds(difference):
        sure = f"{confidence(difference.level)} t interval"
        return f", {with_sign(ends[0], 1)} to {with_sign(ends[1], 1)} s saved ({sure})"
    if difference.n < 2 or difference.mean is None:
        return ""
    return f", {with_sign(difference.mean, 1)} s saved ({difference.why_no_interval})"


def _reservations(goal: Goal) -> Iterator[str]:
    """Why the way to this target decides nothing, whatever was measured."""
    if not goal.declared:
        yield "no target was declared beforehand (verdict.target)"
    if goal.target <= goal.majority:
        yield "the target is no better than always predicting the most frequent class"


_PART = {1: "faster", -1: "slower", 0: "undecided"}


def _speed_measures(
    speeds: Mapping[str, Speeds], times: BySeed, goal: Goal | None
) -> tuple[Measure, ...]:
    where = "the target" if goal is None else f"{100 * goal.target:g} % validation accuracy"

    def each(attribute: str) -> dict[str, float | None]:
        found = {head: getattr(speed, attribute) for head, speed in speeds.items()}
        return {head: float(np.median(value)) for head, value in found.items()}

    epochs = {head: speed.epochs for head, speed in speeds.items()}
    return (
        Measure("processor time of a training step, per image", "seconds", each("step")),
        Measure("wall-clock time of a training step, per image", "seconds", each("wall")),
        measure(f"epochs to {where}, restricted mean", "epochs", epochs),
        measure(f"processor time to {where}, restricted mean", "seconds", times),
    )


def _censored(speeds: Mapping[str, Speeds], goal: Goal) -> tuple[str, ...]:
    return tuple(
        f"{head}: {len(speed.late)} of {len(speed.epochs)} runs did not reach "
        f"the target and count as {goal.horizon:g} epochs, as long as all were watched"
        for head, speed in speeds.items()
        if speed.late
    )


Runs = frozenset[tuple[str, int]]


def speed_charts(data: StudyData) -> Iterator[Chart]:
    """What is known of a step, of the epochs to the target, and of the time to it."""
    styles = head_styles(data.study.heads)
    speed, targets = data.session(SPEED), data.targets
    if speed is not None:
        yield _step_chart(speed, styles)
    if targets is None or not targets.heads:
        return
    late = _late(data, targets)
    yield _epochs_chart(targets, late, styles, in_closed_form(data.study, data.by_head))
    times = {head: speed.to_target() for head, speed in speeds_of(data).items()}
    if times:
        yield _seconds_chart(targets, times, late, styles)


def _late(data: StudyData, targets: Targets) -> Runs:
    """Runs that had not reached the target when the epochs were over that all were watched for."""
    horizon = targets.heads[0].epochs.horizon if targets.heads else 0
    found = set()
    for run in data.runs:
        accuracies = tuple(epoch.val_accuracy for epoch in run.history)
        seconds = tuple(epoch.seconds for epoch in run.history)
        epochs = reached(Approach(accuracies, seconds), targets.target).epochs
        if epochs is None or epochs > horizon:
            found.add((run.record.head, run.record.seed))
    return frozenset(found)


def _step_chart(speed: Speed, styles: Mapping[str, HeadStyle]) -> Chart:
    rows = []
    for place, head in enumerate(speed.heads):
        size, step = speed.batch_size[place], 1000 * speed.cpu[place]
        dots = tuple(
            Dot(float(t / size), f"round {i}: {_of_step(t, size)}") for i, t in enumerate(step, 1)
        )
        middle = float(np.median(step))
        said = f"median {_of_step(middle, size)} of {size}"
        rows.append(DotRow(head, dots, Dot(middle / size, said)))
    return dot_chart(
        DotChart(
            "speed-step",
            "Processor time of a training step",
            "milliseconds per image; left is faster",
            f"Small: each of {speed.cpu.shape[1]} rounds, in which heads take turns; large: their "
            f"median. One worker on {speed.device}.",
            tuple(rows),
            styles,
        )
    )


def _of_step(milliseconds: float, images: int) -> str:
    each, step = significant(milliseconds / images), significant(milliseconds)
    return f"{each} ms an image, {step} ms a step"


def _epochs_chart(
    targets: Targets, late: Runs, styles: Mapping[str, HeadStyle], untrained: Sequence[str]
) -> Chart:
    rows = []
    without = f" {no_epochs(untrained)}." if untrained else ""
    for item in targets.heads:
        dots = []
        for seed, value in zip(item.seeds, item.epochs.values, strict=True):
            is_late = (item.head, seed) in late
            text = f"not within {value:g} epochs" if is_late else f"epoch {value:g}"
            dots.append(Dot(value, f"seed {seed}: {text}", is_late))
        middle = Dot(item.epochs.mean, f"mean {item.epochs.mean:.1f} epochs")
        rows.append(DotRow(item.head, tuple(dots), middle))
    return dot_chart(
        DotChart(
            "speed-epochs",
            f"Epochs to {100 * targets.target:g} % validation accuracy",
            "epochs; left is faster",
            f"Small: each seed; large: their mean. {_censoring(targets.heads)}{without}",
            tuple(rows),
            styles,
            whole=True,
        )
    )


def _seconds_chart(
    targets: Targets,
    times: Mapping[str, Mapping[int, float]],
    late: Runs,
    styles: Mapping[str, HeadStyle],
) -> Chart:
    rows = []
    for head, seconds in times.items():
        dots = []
        for seed, value in seconds.items():
            is_late = (head, seed) in late
            text = f"{'more than ' if is_late else ''}{seconds_text(value)}"
            dots.append(Dot(value, f"seed {seed}: {text}", is_late))
        mean = float(np.mean(list(seconds.values())))
        rows.append(DotRow(head, tuple(dots), Dot(mean, f"mean {seconds_text(mean)}")))
    return dot_chart(
        DotChart(
            "speed-seconds",
            f"Processor time to {100 * targets.target:g} % validation accuracy",
            "seconds; left is faster",
            "Epochs to the target times the median step: what the claim about speed compares. "
            f"{_censoring(targets.heads)}",
            tuple(rows),
            styles,
        )
    )


def _censoring(items: Sequence[HeadTarget]) -> str:
    if all(item.epochs.reached == item.epochs.n for item in items):
        return "Every run reached it."
    horizon = items[0].epochs.horizon
    return f"Triangles: not reached, counted as the {horizon:g} epochs that all runs were given."
