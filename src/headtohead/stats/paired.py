"""Values over seeds, and differences paired by seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import stdtrit

from headtohead.stats.location import EXACT_UP_TO, hall, sign_flip, student, without_spread

DECIMALS = 12
"""Differences of shares are rounded here: 0.85 - 0.86 must equal a margin of 0.01, not miss it."""


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1) of `n` values; `sd` is None for one value."""

    n: int
    mean: float
    sd: float | None


@dataclass(frozen=True)
class Estimate:
    """A mean over `n` seeds with Student's t interval at confidence 1 - level: no verdict.

    None where the values do not give it: no values, one value, values that are not finite; no
    interval for values that are all equal.
    """

    n: int
    mean: float | None
    sd: float | None
    level: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class PairedDifference:
    """Differences paired by seed, first minus second, and what they say.

    `low` and `high` bound Student's t interval of the mean at confidence 1 - level; None with
    fewer than two pairs, and where all differences are equal. `p` is the two-sided sign-flip
    p-value, `p_t` the larger one of Student's t and Hall's correction of it, each None without
    pairs; `exact` says whether every sign vector was counted.
    """

    differences: tuple[float, ...]
    mean: float | None
    sd: float | None
    level: float
    low: float | None
    high: float | None
    p: float | None
    p_t: float | None
    exact: bool

    @property
    def n(self) -> int:
        """The number of pairs."""
        return len(self.differences)

    @property
    def why_no_interval(self) -> str:
        """In words, why there is no interval; empty where there is one."""
        if self.low is not None:
            return ""
        if self.n < 2:
            return f"{'1 seed' if self.n else 'no seeds'}, no interval"
        alike = "both" if self.n == 2 else f"all {self.n}"
        return f"no interval: {alike} differences are equal"

    @property
    def p_agreed(self) -> float | None:
        """The largest p-value: at most the level where all tests reject."""
        return None if self.p is None or self.p_t is None else max(self.p, self.p_t)


class Interval(Protocol):
    """What has two ends, or none."""

    @property
    def low(self) -> float | None:
        """The lower end."""

    @property
    def high(self) -> float | None:
        """The upper end."""


def bounds(found: Interval | None) -> tuple[float, float] | None:
    """Both ends of an interval; None where it has none, or there is nothing that has one."""
    if found is None or found.low is None or found.high is None:
        return None
    return found.low, found.high


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

    None, too, where all values are equal: they show no spread, and an interval without width would
    promise a certainty that nobody has. And where `level` is so small that the interval has no end.
    """
    found = spread(differences)
    if found is None or found.sd is None or without_spread(np.asarray([differences]))[0]:
        return None
    # Of the small tail, whose level has digits that are lost in 1 - level / 2.
    half = -float(stdtrit(found.n - 1, level / 2)) * found.sd / math.sqrt(found.n)
    if not math.isfinite(half):
        return None
    return round(found.mean - half, DECIMALS), round(found.mean + half, DECIMALS)


def estimate(values: Sequence[float], level: float) -> Estimate:
    """Mean and t interval of values or paired differences that no verdict hangs on."""
    found = spread(values)
    interval = t_interval(values, level)
    return Estimate(
        n=len(values),
        mean=found.mean if found and math.isfinite(found.mean) else None,
        sd=found.sd if found else None,
        level=level,
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
    )


def paired_difference(differences: Sequence[float], level: float) -> PairedDifference:
    """Summarise differences paired by seed (first minus second), rounded to 12 decimals."""
    differences = [round(value, DECIMALS) for value in differences]
    found = spread(differences)
    interval = t_interval(differences, level)
    sample = np.asarray([differences], dtype=np.float64)
    return PairedDifference(
        differences=tuple(differences),
        mean=found.mean if found else None,
        sd=found.sd if found else None,
        level=level,
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        p=sign_flip(differences) if found else None,
        p_t=float(max(student(sample)[0], hall(sample)[0])) if found else None,
        exact=len(differences) <= EXACT_UP_TO,
    )
