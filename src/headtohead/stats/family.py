"""One family of comparisons: Holm's correction, and verdicts on its pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from headtohead.core.text import above, confidence, counted, with_sign
from headtohead.stats.deciding import Deciding, Key, deciding, holm_levels
from headtohead.stats.location import Floats, Side, agreed_p
from headtohead.stats.paired import (
    DECIMALS,
    PairedDifference,
    bounds,
    paired_difference,
)

Outcome: TypeAlias = Literal["supported", "refuted", "inconclusive", "not judged"]
"""What a claim comes to. "not judged" stands for all three where what was measured cannot be
trusted (`stats/lag.py`); the tests here never give it."""

Pair: TypeAlias = tuple[str, str]
"""Two heads' names: the first minus the second."""

TESTS = "largest p of sign-flip, Student's and Hall's t"


@dataclass(frozen=True)
class Verdict:
    """One claim's outcome, with the rule that gave it, in words and numbers."""

    claim: str
    outcome: Outcome
    rule: str


@dataclass(frozen=True)
class PairComparison:
    """One pair of a family: whether the first is better, and whether it is at least as good.

    `p_holm` is the difference's largest p-value, Holm-adjusted over the family's `tests`.
    `deciding` is what stood against a verdict where the interval excludes 0 and `better` is
    inconclusive all the same; else None. `deciding_margin` is the same for `not_worse`, where the
    interval excludes a difference of minus the margin.
    """

    difference: PairedDifference
    tests: int
    p_holm: float
    better: Verdict
    not_worse: Verdict
    deciding: Deciding | None = None
    deciding_margin: Deciding | None = None


def not_judged(verdict: Verdict, reason: str) -> Verdict:
    """The verdict of a claim whose measurements cannot be trusted, with the reason beside it."""
    return Verdict(verdict.claim, "not judged", reason)


def holm(p_values: Mapping[Key, float | None]) -> dict[Key, float]:
    """Holm's step-down adjusted p-values of a named family (Holm 1979).

    A test without a p-value stays in the family as 1: what could not be tested makes the
    others no easier.
    """
    known = [1.0 if p is None else p for p in p_values.values()]
    adjusted = holm_adjusted(np.asarray([known], dtype=np.float64))[0]
    return dict(zip(p_values, map(float, adjusted), strict=True))


def holm_adjusted(p_values: Floats) -> Floats:
    """(S, k) p-values of S families of k tests → adjusted ones (Holm 1979, Scand. J. Stat. 6)."""
    tests = p_values.shape[1]
    order = np.argsort(p_values, axis=1, kind="stable")
    scaled = np.take_along_axis(p_values, order, axis=1) * (tests - np.arange(tests))
    raised = np.minimum(np.maximum.accumulate(scaled, axis=1), 1.0)
    adjusted = np.empty_like(raised)
    np.put_along_axis(adjusted, order, raised, axis=1)
    return adjusted


def seeds_needed(tests: int, level: float) -> int:
    """The fewest seeds with which a family of `tests` can reject anything: 2/2^n ≤ level/tests.

    2/2^n is the smallest p-value of the two-sided sign-flip test with n pairs.
    """
    n = 1
    while 2 / 2**n > level / max(tests, 1):
        n += 1
    return n


def compare_family(
    pairs: Mapping[str, Sequence[float]], reference: str, level: float, margin: float
) -> dict[str, PairComparison]:
    """`compare_pairs` of the reference with each other head, by the other's name."""
    family = {(reference, name): values for name, values in pairs.items()}
    return {other: found for (_, other), found in compare_pairs(family, level, margin).items()}


def compare_pairs(
    pairs: Mapping[Pair, Sequence[float]], level: float, margin: float
) -> dict[Pair, PairComparison]:
    """Verdicts on pairs of heads: one family, Holm-adjusted.

    `pairs` maps two heads' names to differences paired by seed, first minus second, in the
    metric's unit (a share); every test of the family is in it, be it without differences.
    Superiority is two-sided; "at least as good" is one-sided at `margin` at half the level, a
    family of its own.
    """
    found = {pair: paired_difference(values, level) for pair, values in pairs.items()}
    at_zero = _corrected({pair: d.p_agreed for pair, d in found.items()}, level)
    at_margin = {
        side: _corrected({pair: _margin_p(d, margin, side) for pair, d in found.items()}, level / 2)
        for side in _SIDES
    }
    sides = {pair: {side: at_margin[side][pair] for side in _SIDES} for pair in pairs}
    return {
        pair: _compared(pair, difference, at_zero[pair], sides[pair], margin, len(pairs))
        for pair, difference in found.items()
    }


@dataclass(frozen=True)
class _Corrected:
    """A test within its family: its p-value, Holm-adjusted, and the level that Holm gives it."""

    p: float
    level: float


def _corrected(p_values: Mapping[Pair, float | None], level: float) -> dict[Pair, _Corrected]:
    adjusted, levels = holm(p_values), holm_levels(p_values, level)
    return {pair: _Corrected(adjusted[pair], levels[pair]) for pair in p_values}


def _compared(
    pair: Pair,
    difference: PairedDifference,
    at_zero: _Corrected,
    at_margin: Mapping[Side, _Corrected],
    margin: float,
    tests: int,
) -> PairComparison:
    """The verdicts on one pair, by its tests within the family of `tests`."""
    first, other = pair
    good = f"{first} is at least as good as {other} within {counted(100 * margin, 'point')}"
    against = stood_against(difference, at_zero.p, at_zero.level, tests)
    against_margin = _stood_at_margin(difference, margin, at_margin, tests)
    return PairComparison(
        difference=difference,
        tests=tests,
        p_holm=at_zero.p,
        better=verdict(f"{first} beats {other}", difference, at_zero.p, tests, against),
        not_worse=_not_worse(good, difference, at_margin, tests, margin, against_margin),
        deciding=against,
        deciding_margin=against_margin,
    )


def stood_against(
    difference: PairedDifference, p_holm: float, holm_level: float, tests: int
) -> Deciding | None:
    """The test that did not reject where the printed interval excludes 0; None elsewhere."""
    ends = bounds(difference)
    enough = difference.n >= seeds_needed(tests, difference.level)
    if ends is None or ends[0] <= 0 <= ends[1] or not enough or p_holm <= difference.level:
        return None
    return deciding(difference.differences, holm_level)


def _stood_at_margin(
    difference: PairedDifference,
    margin: float,
    corrected: Mapping[Side, _Corrected],
    tests: int,
) -> Deciding | None:
    """The test that did not reject where the interval lies on one side of -margin; else None."""
    ends = bounds(difference)
    if ends is None or ends[0] <= -margin <= ends[1]:
        return None
    side: Side = "greater" if ends[0] > -margin else "less"
    enough = difference.n >= seeds_needed(tests, difference.level)
    if not enough or corrected[side].p <= difference.level / 2:
        return None
    return deciding(difference.differences, corrected[side].level, side, -margin)


def verdict(
    claim: str,
    difference: PairedDifference,
    p_holm: float,
    tests: int,
    against: Deciding | None = None,
) -> Verdict:
    """Whether the first of a pair is the better one; `against` is what `stood_against` found.

    Supported (refuted): the largest p-value of the three tests, Holm-adjusted, is at most the
    level, and the t interval at 1 - level lies above (below) 0, as it then does. Differences that
    are all equal have no interval, and their sign stands for it. Anything else is inconclusive.
    """
    few = _too_few(claim, difference.n, seeds_needed(tests, difference.level))
    level = difference.level
    bounds = _bounds(difference)
    if few or bounds is None:
        return few or Verdict(claim, "inconclusive", "no interval")
    low, high = bounds
    interval = difference.why_no_interval or (
        f"{confidence(level)} t interval {points(low)} to {points(high)} points"
    )
    numbers = (
        f"mean {points(difference.mean or 0.0)}, {interval}, p = {_p(p_holm, level)} "
        f"({TESTS}{_over(tests)}), {counted(difference.n, 'seed')}"
    )
    if p_holm <= level and low > 0:
        return Verdict(claim, "supported", f"{numbers}: above 0, p ≤ {level:g}")
    if p_holm <= level and high < 0:
        return Verdict(claim, "refuted", f"{numbers}: below 0, p ≤ {level:g}")
    reason = f"p > {level:g}{deciding_text(against, tests)}"
    if low <= 0 <= high:
        reason = "the difference is 0" if difference.why_no_interval else "the interval holds 0"
    return Verdict(claim, "inconclusive", f"{numbers}: {reason}")


def deciding_text(found: Deciding | None, tests: int) -> str:
    """What stood against a verdict, in words: its test, and its interval, which holds 0."""
    if found is None:
        return ""
    interval = ""
    if ends := bounds(found):
        level = f" (Holm's level {found.level:.3g})" if tests > 1 else ""
        interval = (
            f", whose {confidence(found.level, 4)} interval{level} is "
            f"{points(ends[0])} to {points(ends[1])} points"
        )
    return f": decided by the {_NAMED[found.test]}{interval}"


def margin_text(found: Deciding | None, margin: float, tests: int, of: str = "") -> str:
    """Why a bound that passes minus the margin decides nothing; empty where nothing stood against.

    `of` names the difference where the text does not stand beside it: " of gap minus fc".
    """
    if found is None:
        return ""
    end, where, value = ("upper", "below", found.high)
    if found.high is None:
        end, where, value = ("lower", "above", found.low)
    level = f"Holm's level of {found.level:.3g}" if tests > 1 else f"{found.level:.3g}"
    edge = f"{'-' if margin else ''}{counted(100 * margin, 'point')}"
    own = "" if value is None else f"; its own {end} bound at that level is {points(value)} points"
    return (
        f"the {end} bound{of} is {where} {edge}, but the "
        f"{_NAMED[found.test]} does not reject (p = {above(found.p, found.level, 3)}, above "
        f"{level}{own})"
    )


def _p(p: float, level: float) -> str:
    """In three digits, or in as many as show that it is above the level."""
    return above(p, level, 3) if p > level else f"{p:.3g}"


def _over(tests: int) -> str:
    """Holm's correction, where there is more than one test to correct for."""
    return f"; Holm over {tests}" if tests > 1 else ""


_SIDES: tuple[Side, ...] = ("greater", "less")
_NAMED = {"sign-flip": "sign-flip test", "Student's t": "t-test", "Hall's t": "t-test by Hall"}


def _bounds(difference: PairedDifference) -> tuple[float, float] | None:
    """The t interval; of differences that are all equal the mean, which the tests then judge."""
    if (ends := bounds(difference)) is not None:
        return ends
    known = difference.n > 1 and difference.sd is not None
    return (difference.mean, difference.mean) if known and difference.mean is not None else None


def _margin_p(difference: PairedDifference, margin: float, side: Side) -> float | None:
    """The three tests' largest one-sided p-value that the mean lies above (below) -margin."""
    shifted = [round(value + margin, DECIMALS) for value in difference.differences]
    return float(agreed_p(np.asarray([shifted]), side)[0]) if shifted else None


def _not_worse(
    claim: str,
    difference: PairedDifference,
    corrected: Mapping[Side, _Corrected],
    tests: int,
    margin: float,
    against: Deciding | None,
) -> Verdict:
    """Non-inferiority: three one-sided tests at half the level, Holm-adjusted, against -margin.

    Half the level, so that Student's test alone is what the printed interval says (ICH E9, section
    3.5), and because skewness, which two sides share, is all on one side here. `against` is what
    stood against a verdict where the interval excludes -margin.
    """
    half = difference.level / 2
    few = _too_few(claim, difference.n, seeds_needed(tests, difference.level))
    bounds = _bounds(difference)
    if few or bounds is None:
        return few or Verdict(claim, "inconclusive", "no interval")
    low, high = bounds
    p_above, p_below = corrected["greater"].p, corrected["less"].p
    shown = difference.why_no_interval or f"lower bound {points(low)} points"
    numbers = (
        f"one-sided at {half:g}, margin {counted(100 * margin, 'point')}: {shown}, "
        f"p = {_p(p_above, half)} (as above{_over(tests)}), {counted(difference.n, 'seed')}"
    )
    upper = "" if difference.why_no_interval else f"; upper bound {points(high)} points"
    if p_above <= half and low > -margin:
        return Verdict(claim, "supported", numbers)
    if p_below <= half and high < -margin:
        return Verdict(claim, "refuted", f"{numbers}{upper}")
    if against is None:
        return Verdict(claim, "inconclusive", numbers)
    shown = f"{numbers}{upper}" if high < -margin else numbers
    return Verdict(claim, "inconclusive", f"{shown}: {margin_text(against, margin, tests)}")


def _too_few(claim: str, n: int, needed: int) -> Verdict | None:
    if n >= needed:
        return None
    return Verdict(claim, "inconclusive", f"{counted(n, 'seed')}, at least {needed} needed")


def points(share: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return with_sign(100 * share)
