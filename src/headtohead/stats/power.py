"""How often a real difference gets its verdict, before any run: power of the very rule."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headtohead.core.streams import stream
from headtohead.stats import agreed_p, hall, student

STUDIES = 4000
EXACT_SEEDS = 12
"""Beyond, the two t-tests alone: the sign-flip test then costs much and changes power by less
than a point (docs/statistics.md)."""

POWER = 0.8
"""Share of studies that are to find an effect."""

MOST_SEEDS = 200
"""More seeds than this nobody is advised to train."""


@dataclass(frozen=True)
class Power:
    """The share of studies with `seeds` seeds whose verdict finds an effect of this size.

    `effect` is the true mean difference in standard deviations of the paired differences.
    """

    effect: float
    seeds: int
    power: float


def expected_power(
    effects: Sequence[float],
    seeds: Sequence[int],
    *,
    tests: int,
    level: float,
    studies: int = STUDIES,
) -> tuple[Power, ...]:
    """Power of one comparison at Holm's strictest step (level / tests), normal differences.

    By simulation from a fixed stream, the same noise for every effect; its standard error is at
    most 0.5 / √studies. At Holm's later steps, when others are decided, it is larger.
    """
    found = []
    for n in seeds:
        noise = stream(0, "power", n).normal(size=(studies, n))
        for effect in effects:
            samples = noise + effect
            p = agreed_p(samples) if n <= EXACT_SEEDS else _t_only(samples)
            right = (p * max(tests, 1) <= level) & (samples.mean(axis=1) > 0)
            reachable = 2 / 2**n * max(tests, 1) <= level
            found.append(Power(effect, n, float(np.mean(right)) if reachable else 0.0))
    return tuple(found)


def seeds_to_find(effect: float, *, tests: int, level: float, fewest: int) -> int | None:
    """About how many seeds find an effect of this size in a share POWER of studies.

    At least `fewest`; None where MOST_SEEDS are too few. `effect` is positive, in standard
    deviations of the paired differences; the rule is that of `expected_power`.
    """

    def enough(seeds: int) -> bool:
        (found,) = expected_power([effect], [seeds], tests=tests, level=level, studies=STUDIES // 4)
        return found.power >= POWER

    low, high = max(fewest, 1), MOST_SEEDS
    if low > high or not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def _t_only(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.maximum(student(samples), hall(samples)), dtype=np.float64)
