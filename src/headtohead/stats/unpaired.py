"""Two groups of runs that share no seeds: other software, or another machine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from headtohead.stats.location import without_spread
from headtohead.stats.paired import bounds


@dataclass(frozen=True)
class UnpairedDifference:
    """Mean of the first group less that of the second.

    `low` and `high` bound Welch's t interval at confidence 1 - level; None where a group has fewer
    than two finite values or nothing varies within either.
    """

    mean: float
    low: float | None
    high: float | None

    def within(self, margin: float) -> bool | None:
        """Whether the groups are equal up to `margin`: the interval lies within ±`margin`.

        At a level of 5 % these are two one-sided tests at 2.5 % each. None without an interval.
        """
        ends = bounds(self)
        return None if ends is None else -margin < ends[0] and ends[1] < margin


def unpaired_difference(
    first: Sequence[float], second: Sequence[float], level: float
) -> UnpairedDifference:
    """Welch's t interval for groups whose spreads may differ (Welch 1947, Biometrika 34)."""
    mean = float(np.mean(first) - np.mean(second))
    if min(len(first), len(second)) < 2 or not np.isfinite(mean) or not _vary(first, second):
        return UnpairedDifference(mean, None, None)
    sizes = np.array([len(first), len(second)])
    errors = np.array([np.var(first, ddof=1), np.var(second, ddof=1)]) / sizes
    freedom = errors.sum() ** 2 / np.sum(errors**2 / (sizes - 1))
    half = float(stdtrit(freedom, 1 - level / 2) * np.sqrt(errors.sum()))
    return UnpairedDifference(mean, mean - half, mean + half)


def _vary(*groups: Sequence[float]) -> bool:
    return not all(without_spread(np.asarray([group], dtype=np.float64))[0] for group in groups)
