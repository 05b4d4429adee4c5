"""The five claims about the reference head, each against one other: numbers in, verdicts out.

Three of them need a test, and are one family under Holm's correction: over-fitting, class maps,
translation. Parameters are counted. Speed has measurements of its own and a rule of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from headtohead.stats import (
    DECIMALS,
    Outcome,
    PairedDifference,
    holm,
    holm_levels,
    paired_difference,
    seeds_needed,
    verdict,
)
from headtohead.stats.family import plural, stood_against

Name: TypeAlias = Literal["parameters", "overfitting", "class_maps", "translation", "speed"]
Unit: TypeAlias = Literal["count", "bytes", "share", "points", "nats", "seconds", "epochs"]
"""Of `share` and `points` alike values are shares of 1; points are what shares differ by."""

BySeed: TypeAlias = Mapping[str, Mapping[int, float]]
"""Head → seed → value."""


@dataclass(frozen=True)
class Measure:
    """One row of a claim's numbers: every head's value in `unit`, None where it is not known."""

    name: str
    unit: Unit
    heads: Mapping[str, float | None]


@dataclass(frozen=True)
class Claim:
    """One claim with its verdict: `statement` is what is claimed, `rule` what decided, in words.

    `difference` is the tested one, paired by seed, positive in the claim's favour; None for
    claims that are not tested. `notes` say what a reader must know about the numbers.
    """

    name: Name
    statement: str
    outcome: Outcome
    rule: str
    measures: tuple[Measure, ...]
    difference: PairedDifference | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """A claim before its test. `tested` says in words what `differences` (by seed) are.

    `lost` says what the ledger once had that the test needs; where it is not empty, there are no
    differences, and it is the reason why nothing is decided.
    """

    name: Name
    statement: str
    tested: str
    differences: Mapping[int, float]
    measures: tuple[Measure, ...]
    notes: tuple[str, ...] = ()
    lost: str = ""


@dataclass(frozen=True)
class Size:
    """What a head and its model cost, counted; the last four are None without evidence."""

    head: int
    model: int
    multiply_adds_head: int | None = None
    multiply_adds: int | None = None
    weight_bytes: int | None = None
    activation_bytes: int | None = None


def measure(name: str, unit: Unit, values: BySeed) -> Measure:
    """Means over seeds."""
    known = {head: list(v.values()) for head, v in values.items()}
    # Rounded as differences are: the mean of 0.1 and -0.1 is no number of its own.
    rounded = {h: round(float(np.mean(v)), DECIMALS) + 0.0 if v else None for h, v in known.items()}
    return Measure(name, unit, rounded)


def pairs(values: BySeed, first: str, second: str, seeds: Sequence[int]) -> dict[int, float]:
    """Seed → first minus second, for those of `seeds` at which both are known."""
    mine, theirs = values.get(first, {}), values.get(second, {})
    return {seed: mine[seed] - theirs[seed] for seed in seeds if seed in mine and seed in theirs}


def decide(questions: Sequence[Question], level: float) -> tuple[Claim, ...]:
    """The tested claims as one family: every question is in it, be it without a pair."""
    found = {q.name: paired_difference(list(q.differences.values()), level) for q in questions}
    p_values: dict[str, float | None] = {
        name: difference.p_agreed for name, difference in found.items()
    }
    adjusted, levels, tests = holm(p_values), holm_levels(p_values, level), len(questions)
    claims = []
    for question in questions:
        name, difference = question.name, found[question.name]
        against = stood_against(difference, adjusted[name], levels[name], tests)
        said = verdict(question.statement, difference, adjusted[name], tests, against)
        claims.append(
            Claim(
                name=name,
                statement=question.statement,
                outcome=said.outcome,
                rule=f"{question.tested}: {question.lost or said.rule}",
                measures=question.measures,
                difference=difference,
                notes=question.notes,
            )
        )
    return tuple(claims)


def fewer_parameters(reference: str, against: str, sizes: Mapping[str, Size]) -> Claim:
    """Counted: whether the whole model with `reference` has fewer parameters."""
    rows: tuple[tuple[str, Unit, str], ...] = (
        ("parameters of the head", "count", "head"),
        ("parameters of the model, batch-norm statistics included", "count", "model"),
        ("multiply-adds of the head, one picture", "count", "multiply_adds_head"),
        ("multiply-adds of the model, one picture", "count", "multiply_adds"),
        ("weights in memory", "bytes", "weight_bytes"),
        ("kept by a training step, one picture", "bytes", "activation_bytes"),
    )
    measures = tuple(
        Measure(name, unit, {head: getattr(size, field) for head, size in sizes.items()})
        for name, unit, field in rows
    )
    statement = f"{reference} has fewer parameters than {against}"
    if reference not in sizes or against not in sizes:
        missing = reference if reference not in sizes else against
        rule = f"counted: no run of {missing} yet"
        return Claim("parameters", statement, "inconclusive", rule, measures)
    mine, theirs = sizes[reference].model, sizes[against].model
    outcome: Outcome = "supported" if mine < theirs else "refuted"
    relation = "fewer than" if mine < theirs else "as many as" if mine == theirs else "more than"
    rule = f"counted over the whole model: {mine:,}, {relation} {theirs:,}"
    return Claim("parameters", statement, outcome, rule, measures)


@dataclass(frozen=True)
class Pace:
    """How fast one head trains.

    `step` (rounds,) processor seconds per picture of a training step, in rounds that are paired
    between heads; `wall` likewise on the clock. `epochs` maps seed to the epochs until the
    target was reached, at most the `horizon` that all were watched for; `reached` of them did.
    `pictures` is the number of pictures in an epoch's training steps.
    """

    step: NDArray[np.float64]
    wall: NDArray[np.float64]
    epochs: Mapping[int, float]
    reached: int
    pictures: int

    def to_target(self) -> dict[int, float]:
        """Seed → processor seconds of training until the target, restricted like `epochs`."""
        each = float(np.median(self.step)) * self.pictures
        return {seed: epochs * each for seed, epochs in self.epochs.items()}


@dataclass(frozen=True)
class Goal:
    """A validation accuracy, the epochs that all runs were watched for, and what is no feat.

    `majority` is the accuracy of always naming the most frequent class; `declared` says whether
    the study named the target before it ran.
    """

    target: float
    horizon: float
    majority: float
    declared: bool


def faster(
    reference: str,
    against: str,
    paces: Mapping[str, Pace],
    seeds: Sequence[int],
    goal: Goal | None,
    level: float,
) -> Claim:
    """Measured per step, in paired rounds, and tested on the way to the target.

    Supported (refuted): a step takes less (more) processor time in every round, and the
    processor time saved until the target, epochs times steps, paired by seed, is above (below) 0
    by the study's three tests. Where the two parts disagree it is inconclusive, and where the
    target was taken from results, which leaves of the second part an estimate.
    """
    times = {head: pace.to_target() for head, pace in paces.items()}
    statement = f"{reference} trains faster than {against}"
    measures = _speed_measures(paces, times, goal)
    if goal is None or reference not in paces or against not in paces:
        rule = "no speed session with both heads yet"
        return Claim("speed", statement, "inconclusive", rule, measures)
    ratio = paces[reference].step / paces[against].step
    per_step = int((ratio < 1).all()) - int((ratio > 1).all())
    difference = paired_difference(list(pairs(times, against, reference, seeds).values()), level)
    said = verdict(statement, difference, holm({"": difference.p_agreed})[""], 1)
    to_target = {"supported": 1, "refuted": -1}.get(said.outcome, 0)
    outcome: Outcome = "inconclusive"
    if per_step == to_target and goal.declared and goal.target > goal.majority:
        outcome = said.outcome
    low, high = difference.low, difference.high
    saved = "" if low is None or high is None else f", {low:+.1f} to {high:+.1f} s saved"
    rule = (
        f"both parts must agree. Per step: {_PART[per_step]}, × {np.median(ratio):.3f} "
        f"({ratio.min():.3f} to {ratio.max():.3f} over {len(ratio)} rounds). To the target: "
        f"{_PART[to_target] if goal.declared else 'an estimate'}{saved} "
        f"({100 * (1 - level):g} % t interval), {plural(difference.n, 'seed')}, at least "
        f"{seeds_needed(1, level)} needed"
    )
    if not goal.declared:
        rule += "; no target was declared beforehand (verdict.target)"
    if goal.target <= goal.majority:
        rule += "; the target is no better than always naming the most frequent class"
    return Claim("speed", statement, outcome, rule, measures, None, _censored(paces, goal))


_PART = {1: "faster", -1: "slower", 0: "undecided"}


def _speed_measures(
    paces: Mapping[str, Pace], times: BySeed, goal: Goal | None
) -> tuple[Measure, ...]:
    where = "the target" if goal is None else f"{100 * goal.target:g} % validation accuracy"

    def each(attribute: str) -> dict[str, float | None]:
        found = {head: getattr(pace, attribute) for head, pace in paces.items()}
        return {head: float(np.median(value)) for head, value in found.items()}

    epochs = {head: pace.epochs for head, pace in paces.items()}
    return (
        Measure("processor time of a training step, per picture", "seconds", each("step")),
        Measure("wall-clock time of a training step, per picture", "seconds", each("wall")),
        measure(f"epochs to {where}, restricted mean", "epochs", epochs),
        measure(f"processor time to {where}, restricted mean", "seconds", times),
    )


def _censored(paces: Mapping[str, Pace], goal: Goal) -> tuple[str, ...]:
    return tuple(
        f"{head}: {len(pace.epochs) - pace.reached} of {len(pace.epochs)} runs did not reach the "
        f"target and count as {goal.horizon:g} epochs, as long as all were watched"
        for head, pace in paces.items()
        if pace.reached < len(pace.epochs)
    )
