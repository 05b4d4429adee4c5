"""The interval that goes with a verdict: that of the test which did not reject, at its own level.

The interval that is printed is Student's, at the study's level. A verdict asks three tests, each at
a level that Holm's correction makes stricter, so that an interval which excludes 0 may stand
beside "inconclusive". The interval here is the set of differences that the deciding test does not
reject: it holds 0 exactly where that test did not reject 0.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

import numpy as np
from scipy.special import stdtrit

from headtohead.stats.location import Floats, Side, hall, moments, sign_flips, student
from headtohead.stats.paired import DECIMALS, t_interval

Test: TypeAlias = Literal["sign-flip", "Student's t", "Hall's t"]

Key = TypeVar("Key", bound=Hashable)
"""What names a test of a family."""

STEPS = 48
"""Halvings that find an end of the sign-flip interval, to 1e-14 of the values' range."""


@dataclass(frozen=True)
class Deciding:
    """The test with the largest p-value of the three, and its interval at confidence 1 - level.

    `level` is the one at which Holm's step-down correction stopped. `low` and `high` are None where
    the interval has no end: so few values that the test cannot reject anything at that level, or a
    one-sided test, which has one end alone.
    """

    test: Test
    p: float
    level: float
    low: float | None
    high: float | None


def holm_levels(p_values: Mapping[Key, float | None], level: float) -> dict[Key, float]:
    """The level of each test of a family at the step where Holm's correction left it.

    A rejected test's own step; for all others the step that stopped the procedure, whose smallest
    p-value was above its level, as are then theirs (Holm 1979, Scand. J. Stat. 6).
    """
    ordered = sorted(p_values, key=lambda name: _known(p_values[name]))
    found: dict[Key, float] = {}
    at = level
    stopped = False
    for place, name in enumerate(ordered):
        if not stopped:
            at = level / (len(ordered) - place)
            stopped = _known(p_values[name]) > at
        found[name] = at
    return found


def deciding(
    differences: Sequence[float], level: float, side: Side = "two-sided", bound: float = 0.0
) -> Deciding:
    """The test with the largest p-value that the mean is not `bound`, and its interval at `level`.

    "greater" ("less") tests whether the mean lies above (below) `bound`; of the interval the lower
    (upper) end is kept. Raises ValueError for no values.
    """
    sample = np.asarray([[round(value - bound, DECIMALS) for value in differences]])
    tests: tuple[tuple[Test, Callable[[Floats, Side], Floats]], ...] = (
        ("sign-flip", sign_flips),
        ("Student's t", student),
        ("Hall's t", hall),
    )
    p = {name: float(test(sample, side)[0]) for name, test in tests}
    name = max(p, key=p.__getitem__)
    interval = {"sign-flip": _sign_flip, "Student's t": t_interval, "Hall's t": _hall}[name]
    # One side of a test at a level is one end of its two-sided interval at twice the level.
    both = level if side == "two-sided" else 2 * level
    low, high = interval(differences, both) or (None, None)
    return Deciding(
        name, p[name], level, None if side == "less" else low, None if side == "greater" else high
    )


def _known(p: float | None) -> float:
    return 1.0 if p is None else p


def _hall(differences: Sequence[float], level: float) -> tuple[float, float] | None:
    """Hall's interval: his cubic is monotone and has an inverse in closed form."""
    n, interval = len(differences), t_interval(differences, level)
    if n < 3 or interval is None:
        return interval
    values = np.asarray([differences], dtype=np.float64)
    mean, sd, third = (float(part[0]) for part in moments(values, np.array([False])))
    skewness = third / sd**3
    quantile = float(stdtrit(n - 1, 1 - level / 2)) / math.sqrt(n)

    def end(y: float) -> float:
        shifted = y - skewness / (6 * n)
        if abs(skewness) < 1e-9:
            return mean - sd * shifted
        return mean - sd * 3 / skewness * (float(np.cbrt(1 + skewness * shifted)) - 1)

    low, high = sorted((end(quantile), end(-quantile)))
    return round(low, DECIMALS), round(high, DECIMALS)


def _sign_flip(differences: Sequence[float], level: float) -> tuple[float, float] | None:
    """The differences that the sign-flip test does not reject; None where it rejects none."""
    values = np.asarray(differences, dtype=np.float64)
    middle, air = float(values.mean()), float(np.ptp(values)) or 1.0
    ends = []
    for outside in (float(values.min()) - air, float(values.max()) + air):
        if sign_flips(values[None, :] - outside)[0] <= level:
            ends.append(_last_kept(values, middle, outside, level))
    return (round(ends[0], DECIMALS), round(ends[1], DECIMALS)) if len(ends) == 2 else None


def _last_kept(values: Floats, kept: float, rejected: float, level: float) -> float:
    """Between a difference that the test keeps and one that it rejects, where it changes."""
    for _ in range(STEPS):
        between = (kept + rejected) / 2
        if sign_flips(values[None, :] - between)[0] > level:
            kept = between
        else:
            rejected = between
    return kept
