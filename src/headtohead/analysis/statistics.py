"""Spread over seeds, paired comparisons, and verdicts by a rule stated beforehand.

The rule: an exact sign-flip test (Holm-adjusted over the study's named family) and Student's t
interval on the paired differences must agree. No bootstrap across seeds: with 5 and 7 seeds its
intervals are too short, Student's t keeps its level.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from headtohead.seeds import stream

Outcome: TypeAlias = Literal["supported", "refuted", "inconclusive"]
Side: TypeAlias = Literal["two-sided", "greater", "less"]

EXACT_UP_TO = 20
RESAMPLES = 99_999
DECIMALS = 12
"""Differences of shares are rounded here: 0.85 - 0.86 must equal a margin of 0.01, not miss it."""

CHUNK = 1000


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1) of `n` values; `sd` is None for one value."""

    n: int
    mean: float
    sd: float | None


@dataclass(frozen=True)
class PairedDifference:
    """Differences paired by seed, first minus second, and what they say.

    `low` and `high` bound Student's t interval of the mean at confidence 1 - level; None with
    fewer than two pairs. `p` is the two-sided sign-flip p-value, None without pairs; `exact`
    says whether every sign vector was counted.
    """

    differences: tuple[float, ...]
    mean: float | None
    sd: float | None
    level: float
    low: float | None
    high: float | None
    p: float | None
    exact: bool

    @property
    def n(self) -> int:
        """The number of pairs."""
        return len(self.differences)


@dataclass(frozen=True)
class Verdict:
    """One claim's outcome, with the rule that gave it, in words and numbers."""

    claim: str
    outcome: Outcome
    rule: str


@dataclass(frozen=True)
class Comparison:
    """One pair of a family: whether the first is better, and whether it is at least as good.

    `p_holm` is the difference's p-value, Holm-adjusted over the family's `tests`.
    """

    difference: PairedDifference
    tests: int
    p_holm: float
    better: Verdict
    not_worse: Verdict


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and sample standard deviation; None for no values.

    Values that are not finite (a loss that overflowed) make the mean so, and leave no deviation.
    """
    if not values:
        return None
    known = len(values) > 1 and bool(np.isfinite(values).all())
    sd = float(np.std(values, ddof=1)) if known else None
    return Spread(len(values), float(np.mean(values)), sd)


def t_interval(differences: Sequence[float], level: float) -> tuple[float, float] | None:
    """Student's t interval of the mean at confidence 1 - level; None with fewer than two values.

    A single point where all values are equal: the sign-flip test keeps such a sample honest.
    """
    found = spread(differences)
    if found is None or found.sd is None:
        return None
    half = float(stats.t.ppf(1 - level / 2, found.n - 1)) * found.sd / math.sqrt(found.n)
    return round(found.mean - half, DECIMALS), round(found.mean + half, DECIMALS)


def sign_flip(differences: Sequence[float], side: Side = "two-sided") -> float:
    """P-value of the sign-flip (one-sample permutation) test that differences centre on 0.

    Exact over all 2^n sign vectors for n ≤ 20. Beyond, 99,999 random sign vectors from a fixed
    stream, the observed one counted in (Phipson & Smyth 2010), so that p is never 0. Sums that
    tie with the observed one up to rounding count as extreme. Raises ValueError for no values.
    """
    values = np.asarray(differences, dtype=np.float64)
    if not len(values):
        raise ValueError("the sign-flip test needs at least one difference; received none")
    if side == "less":
        return sign_flip(list(-values), "greater")
    sums = _all_sums(values) if len(values) <= EXACT_UP_TO else _random_sums(values)
    observed = values.sum()
    if side == "two-sided":
        sums, observed = np.abs(sums), abs(observed)
    slack = 1e-10 * np.abs(values).sum()
    return float(np.mean(sums >= observed - slack))


def _all_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2^n,) sums under every choice of signs."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _random_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(RESAMPLES + 1,) sums: the observed one, then random ones, always the same."""
    rng = stream(0, "sign-flip")
    sums = [np.array([values.sum()])]
    for start in range(0, RESAMPLES, CHUNK):
        rows = min(CHUNK, RESAMPLES - start)
        signs = 2.0 * rng.integers(0, 2, size=(rows, len(values))) - 1
        sums.append(signs @ values)
    return np.concatenate(sums)


def paired_difference(differences: Sequence[float], level: float) -> PairedDifference:
    """Summarise differences paired by seed (first minus second), rounded to 12 decimals."""
    differences = [round(value, DECIMALS) for value in differences]
    found = spread(differences)
    interval = t_interval(differences, level)
    return PairedDifference(
        differences=tuple(differences),
        mean=found.mean if found else None,
        sd=found.sd if found else None,
        level=level,
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        p=sign_flip(differences) if found else None,
        exact=len(differences) <= EXACT_UP_TO,
    )


def holm(p_values: Mapping[str, float | None]) -> dict[str, float]:
    """Holm's step-down adjusted p-values of a named family (Holm 1979).

    A test without a p-value stays in the family as 1: what could not be tested makes the
    others no easier.
    """
    known = {name: 1.0 if p is None else p for name, p in p_values.items()}
    adjusted: dict[str, float] = {}
    floor = 0.0
    for rank, name in enumerate(sorted(known, key=lambda name: known[name])):
        floor = max(floor, min(1.0, known[name] * (len(known) - rank)))
        adjusted[name] = floor
    return {name: adjusted[name] for name in p_values}


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
) -> dict[str, Comparison]:
    """Verdicts on the reference against each other head: one family, Holm-adjusted.

    `pairs` maps the other head's name to differences paired by seed, reference minus other, in
    the metric's unit (a share); every test of the family is in it, be it without pairs.
    Superiority is two-sided; "at least as good" is one-sided at `margin`, a family of its own.
    """
    tests = len(pairs)
    found = {name: paired_difference(values, level) for name, values in pairs.items()}
    adjusted = holm({name: difference.p for name, difference in found.items()})
    at_margin = {
        side: holm({n: _margin_p(d, margin, side) for n, d in found.items()})
        for side in ("greater", "less")
    }
    return {
        name: Comparison(
            difference=found[name],
            tests=tests,
            p_holm=adjusted[name],
            better=verdict(f"{reference} beats {name}", found[name], adjusted[name], tests),
            not_worse=_not_worse(
                f"{reference} is at least as good as {name} within "
                f"{_plural(100 * margin, 'point')}",
                found[name],
                (at_margin["greater"][name], at_margin["less"][name]),
                tests,
                margin,
            ),
        )
        for name in pairs
    }


def verdict(claim: str, difference: PairedDifference, p_holm: float, tests: int) -> Verdict:
    """Whether the first of a pair is the better one.

    Supported (refuted): the t interval at 1 - level lies above (below) 0 and the Holm-adjusted
    sign-flip p is at most the level. Anything else is inconclusive.
    """
    few = _too_few(claim, difference.n, seeds_needed(tests, difference.level))
    low, high, level = difference.low, difference.high, difference.level
    if few or low is None or high is None:
        return few or Verdict(claim, "inconclusive", "no interval")
    numbers = (
        f"mean {_points(difference.mean or 0.0)}, {100 * (1 - level):g} % t interval "
        f"{_points(low)} to {_points(high)} points, sign-flip p = {p_holm:.3g} "
        f"(Holm over {tests}), {_plural(difference.n, 'seed')}"
    )
    if p_holm <= level and low > 0:
        return Verdict(claim, "supported", f"{numbers}: above 0, p ≤ {level:g}")
    if p_holm <= level and high < 0:
        return Verdict(claim, "refuted", f"{numbers}: below 0, p ≤ {level:g}")
    reason = "the interval holds 0" if low <= 0 <= high else f"p > {level:g}"
    return Verdict(claim, "inconclusive", f"{numbers}: {reason}")


def _margin_p(difference: PairedDifference, margin: float, side: Side) -> float | None:
    """One-sided sign-flip p-value that the mean lies above (below) -margin."""
    shifted = [round(value + margin, DECIMALS) for value in difference.differences]
    return sign_flip(shifted, side) if shifted else None


def _not_worse(
    claim: str, difference: PairedDifference, p_holm: tuple[float, float], tests: int, margin: float
) -> Verdict:
    """One-sided non-inferiority: the lower bound at confidence 1 - level against -margin."""
    level = difference.level
    few = _too_few(claim, difference.n, seeds_needed(tests, level))
    bounds = t_interval(difference.differences, 2 * level)
    if few or bounds is None:
        return few or Verdict(claim, "inconclusive", "no interval")
    above, below = p_holm
    numbers = (
        f"one-sided at {level:g}, margin {_plural(100 * margin, 'point')}: lower bound "
        f"{_points(bounds[0])} points, sign-flip p = {above:.3g} (Holm over {tests}), "
        f"{_plural(difference.n, 'seed')}"
    )
    if above <= level and bounds[0] > -margin:
        return Verdict(claim, "supported", numbers)
    if below <= level and bounds[1] < -margin:
        return Verdict(claim, "refuted", f"{numbers}; upper bound {_points(bounds[1])} points")
    return Verdict(claim, "inconclusive", numbers)


def _too_few(claim: str, n: int, needed: int) -> Verdict | None:
    if n >= needed:
        return None
    return Verdict(claim, "inconclusive", f"{_plural(n, 'seed')}, at least {needed} needed")


def _plural(number: float, word: str) -> str:
    return f"{number:g} {word}{'' if number == 1 else 's'}"


def _points(share: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * share:+.2f}"
