"""Looking at a comparison more than once without deceiving oneself: alpha spent over the looks.

The number of pairs at each look, the level and the way of spending are declared beforehand
(Lan & DeMets 1983, Biometrika 70, 659-663). Two things must have happened at a decision, in one
direction:

- the *sequential sign-flip test* has rejected. It is exact: conditional on the sizes of the
  differences, every choice of signs is equally likely if the heads do not differ, so the sign
  vectors that would have been rejected at each look are counted, and the look may reject as many
  more as its share of the level allows;
- Student's t and Hall's correction of it are at most the look's nominal level, that of the
  normal group-sequential boundary (Jennison & Turnbull 2000, Group Sequential Methods, sections
  4.4 and 19.3). The interval at that level is a repeated confidence interval: all looks'
  intervals together cover at confidence 1 - level.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from headtohead.stats.location import (
    EXACT_UP_TO,
    RESAMPLES,
    TIE,
    Floats,
    all_sums,
    hall,
    random_signs,
    student,
)
from headtohead.stats.paired import t_interval

Spending: TypeAlias = Literal["pocock", "obrien-fleming"]

GRID = 1001  # points of the numerical integration: boundaries to about five digits
FARTHEST = 37.0  # standard deviations of a boundary at most: a normal tail beyond is 0 as a number


@dataclass(frozen=True)
class Design:
    """What is declared before the first pair: pairs at each look, ascending, the last the most."""

    looks: tuple[int, ...]
    level: float
    spending: Spending = "pocock"

    def spent(self) -> tuple[float, ...]:
        """The level spent up to and including each look; the last is the whole level."""
        times = [n / self.looks[-1] for n in self.looks]
        if self.spending == "pocock":
            return tuple(self.level * math.log(1 + (math.e - 1) * t) for t in times)
        z = -ndtri(self.level / 4)  # each side spends half the level
        return tuple(float(4 * ndtr(-z / math.sqrt(t))) for t in times)

    def able(self) -> tuple[int, ...]:
        """The looks that can decide at all: 2/2^n is the least p-value of n pairs.

        Over random sign vectors, of which one is the observed one, none is below its share.
        """
        least = 0.0 if self.looks[-1] <= EXACT_UP_TO else 1 / (RESAMPLES + 1)
        pairs = zip(self.looks, self.spent(), strict=True)
        return tuple(n for n, spent in pairs if max(2 / 2**n, least) <= spent * (1 + TIE))


@dataclass(frozen=True)
class Look:
    """What one look shows of `n` pairs.

    `p` is the sequential sign-flip p-value, to be compared with `spent`; `p_t` the larger one of
    Student's and Hall's, to be compared with `nominal`; `low` and `high` bound the repeated
    confidence interval. `decision` is 1 (first better), -1 (second better) or 0 (not decided).
    """

    n: int
    mean: float
    p: float
    spent: float
    p_t: float
    nominal: float
    low: float | None
    high: float | None
    decision: Literal[-1, 0, 1]


def take_looks(differences: Sequence[float], design: Design) -> tuple[Look, ...]:
    """The looks that `differences`, in the order of their seeds, suffice for, up to a decision."""
    values = np.asarray(differences, dtype=np.float64)
    taken = [n for n in design.looks if n <= len(values)]
    if not taken:
        return ()
    p = np.array([sequential_p(values, design)])
    p_t = t_at_looks(values[None, :], design)
    means = np.array([[values[:n].mean() for n in taken]])
    decisions = decide(p, p_t, means, design)[0]
    nominal = nominal_levels(design)
    found: list[Look] = []
    for index, n in enumerate(taken):
        bounds = t_interval(list(values[:n]), nominal[index]) or (None, None)
        direction = decisions[index]
        found.append(
            Look(
                n=n,
                mean=float(means[0, index]),
                p=float(p[0, index]),
                spent=design.spent()[index],
                p_t=float(p_t[0, index]),
                nominal=nominal[index],
                low=bounds[0],
                high=bounds[1],
                decision=1 if direction > 0 else -1 if direction < 0 else 0,
            )
        )
        if direction:
            break
    return tuple(found)


def decide(p: Floats, p_t: Floats, means: Floats, design: Design) -> NDArray[np.int64]:
    """(S, K) decisions of S studies at their first K looks: 1, -1, or 0 for none.

    The sign-flip test's rejection stays; the t-tests must agree with it at the look that decides.
    """
    looks = p.shape[1]
    spent, nominal = np.array(design.spent()[:looks]), np.array(nominal_levels(design)[:looks])
    signs = np.sign(means).astype(np.int64)
    rejects = p <= spent * (1 + TIE)
    first = np.argmax(rejects, axis=1)
    direction = np.take_along_axis(signs, first[:, None], axis=1)
    rejected = np.logical_or.accumulate(rejects, axis=1)
    agreed = rejected & (p_t <= nominal) & (signs == direction)
    return np.where(agreed, signs, 0)


def t_at_looks(samples: Floats, design: Design) -> Floats:
    """(S, K) larger one of Student's and Hall's p-value at the looks that samples suffice for."""
    taken = [n for n in design.looks if n <= samples.shape[1]]
    columns = [np.maximum(student(samples[:, :n]), hall(samples[:, :n])) for n in taken]
    return np.stack(columns, axis=1) if columns else np.empty((len(samples), 0))


def sequential_p(values: NDArray[np.float64], design: Design) -> tuple[float, ...]:
    """The sign-flip test's two-sided p-value at each look that `values` suffice for.

    In stage-wise order: the share of sign vectors that were rejected at an earlier look, or that
    are not and whose sum is as extreme as the observed one. It is at most `spent` where the look
    rejects, and stays what it was at the look that rejected. Exact where the design's maximum is at
    most EXACT_UP_TO, else over the random sign vectors of `sign_flips`.
    """
    alive = np.ones(1, dtype=np.bool_)
    found: list[float] = []
    for n, spent in zip(design.looks, design.spent(), strict=True):
        if n > len(values):
            break
        sums = _sums(values[:n], design.looks[-1])
        if len(alive) < len(sums):
            alive = np.tile(alive, len(sums) // len(alive))
        if not alive[0]:
            found.append(found[-1])
            continue
        statistic = np.abs(sums)
        slack = TIE * float(np.abs(values[:n]).sum())
        ordered = np.sort(statistic[alive])
        as_extreme = len(ordered) - np.searchsorted(ordered, statistic - slack)
        before = len(alive) - len(ordered)
        found.append(float(before + as_extreme[0]) / len(alive))
        alive &= before + as_extreme > spent * len(alive) * (1 + TIE)
    return tuple(found)


def _sums(values: Floats, most: int) -> Floats:
    """(M,) sums under every (or every random) choice of signs, the observed one first."""
    if most <= EXACT_UP_TO:
        return np.asarray(all_sums(values[None, :])[0], dtype=np.float64)
    return np.asarray(random_signs(most, len(values)) @ values, dtype=np.float64)


@cache
def nominal_levels(design: Design) -> tuple[float, ...]:
    """Two-sided nominal level of each look's normal boundary.

    By Armitage, McPherson & Rowe's recursion (1969, J. R. Stat. Soc. A 132) on the partial sums
    of a Brownian motion, so that the chance to cross first at a look is what the look spends.
    A look that spends next to nothing (`obrien-fleming` at 2 of 1,000) cannot be crossed.
    """
    # Imported here because only studies that look more than once need them.
    from scipy import integrate, optimize

    spent = (0.0, *design.spent())
    times = (0.0, *(n / design.looks[-1] for n in design.looks))
    bound = math.sqrt(times[1]) * min(float(-ndtri(spent[1] / 2)), FARTHEST)
    found = [spent[1]]
    grid = np.linspace(-bound, bound, GRID)
    density = _normal_density(grid, math.sqrt(times[1]))
    for k in range(2, len(times)):
        step = math.sqrt(times[k] - times[k - 1])
        more = spent[k] - spent[k - 1]

        def excess(
            b: float,
            x: Floats = grid,
            f: Floats = density,
            step: float = step,
            more: float = more,
        ) -> float:
            leaving = ndtr((x - b) / step) + ndtr(-(b + x) / step)
            return float(integrate.simpson(f * leaving, x=x)) - more

        bound = FARTHEST * math.sqrt(times[k])
        if excess(bound) < 0:  # else this look spends less than a number can tell from nothing
            bound = float(optimize.brentq(excess, 1e-9, bound))
        found.append(float(2 * ndtr(-bound / math.sqrt(times[k]))))
        beyond = np.linspace(-bound, bound, GRID)
        kernel = _normal_density(beyond[:, None] - grid, step)
        density = np.asarray(integrate.simpson(kernel * density, x=grid, axis=1))
        grid = beyond
    return tuple(found)


def _normal_density(x: Floats, deviation: float) -> Floats:
    return np.asarray(np.exp(-((x / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi)))
