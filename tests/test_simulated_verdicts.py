"""The rules keep their level: simulated studies, false verdicts against the binomial bound.

Small here; `benchmarks/simulate_verdicts.py` does the same with 20,000 studies and more.
"""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from headtohead.stats import (
    agreed_p,
    compare_family,
    holm_adjusted,
    student,
)
from headtohead.stats.sequential import Design, Spending, decide, sequential_p, t_at_looks

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int], int], list[Floats]]
LEVEL, STUDIES, TESTS, SEEDS = 0.05, 2000, 3, 7


def normal(rng: np.random.Generator, size: tuple[int, int], pairs: int) -> list[Floats]:
    reference = rng.normal(size=size)
    return [reference - rng.normal(size=size) for _ in range(pairs)]


def skewed_heads(rng: np.random.Generator, size: tuple[int, int], pairs: int) -> list[Floats]:
    reference = rng.exponential(size=size)
    return [reference - rng.exponential(size=size) for _ in range(pairs)]


def skewed(rng: np.random.Generator, size: tuple[int, int], pairs: int) -> list[Floats]:
    return [2 - rng.gamma(4, 0.5, size=size) for _ in range(pairs)]


def discrete(rng: np.random.Generator, size: tuple[int, int], pairs: int) -> list[Floats]:
    reference = rng.binomial(100, 0.85, size=size)
    return [(reference - rng.binomial(100, 0.85, size=size)) / 100 for _ in range(pairs)]


def tied(rng: np.random.Generator, size: tuple[int, int], pairs: int) -> list[Floats]:
    return [rng.choice([-1.0, 0.0, 0.0, 1.0], size=size) for _ in range(pairs)]


draws = pytest.mark.parametrize("draw", [normal, skewed_heads, skewed, discrete, tied])


def at_most(level: float, hits: NDArray[np.bool_]) -> bool:
    """Whether so many hits can be chance at `level`: the bound fails one time in 10,000."""
    return bool(hits.sum() <= stats.binom.ppf(0.9999, len(hits), level))


def families(draw: Draw) -> list[Floats]:
    return draw(np.random.default_rng(11), (STUDIES, SEEDS), TESTS)


@draws
def test_equal_heads_are_told_apart_at_most_at_the_level(draw: Draw) -> None:
    """Else one study in twenty is not the price of a verdict, but more."""
    p = holm_adjusted(np.stack([agreed_p(values) for values in families(draw)], axis=1))
    assert at_most(LEVEL, np.asarray((p <= LEVEL).any(axis=1)))


def at_the_margin(draw: Draw) -> dict[str, NDArray[np.bool_]]:
    """Side → which families have a head called better (worse) than the margin that it is at."""
    found = {}
    for side in ("greater", "less"):
        p = np.stack([agreed_p(values, side) for values in families(draw)], axis=1)
        found[side] = np.asarray((holm_adjusted(p) <= LEVEL / 2).any(axis=1))
    return found


@pytest.mark.parametrize("side", ["greater", "less"])
@pytest.mark.parametrize("draw", [normal, skewed_heads, discrete, tied])
def test_a_head_that_is_worse_by_the_margin_is_judged_at_most_at_half_the_level(
    draw: Draw, side: str
) -> None:
    """Differences at the margin itself, where a verdict is falsest while hardest to see."""
    assert at_most(LEVEL / 2, at_the_margin(draw)[side])


@draws
def test_at_the_margin_both_sides_together_keep_the_level(draw: Draw) -> None:
    """Skewed differences spend more than half of it on one side, and so much less on the other."""
    found = at_the_margin(draw)
    assert at_most(LEVEL, found["greater"] | found["less"])


def test_holm_keeps_the_level_where_some_heads_do_differ() -> None:
    """Two heads that differ must not buy the third a false verdict."""
    same, other, third = families(normal)
    samples = [same, other + 3, third - 3]
    p = holm_adjusted(np.stack([agreed_p(values) for values in samples], axis=1))
    assert at_most(LEVEL, p[:, 0] <= LEVEL)
    assert (p[:, 1:] <= LEVEL).mean() > 0.5


def test_what_is_simulated_is_what_gives_verdicts() -> None:
    """Else the rates above belong to another rule than the report's."""
    rng = np.random.default_rng(12)
    samples = [values + 1.2 for values in normal(rng, (40, 8), TESTS)]
    p = holm_adjusted(np.stack([agreed_p(values) for values in samples], axis=1))
    for study in range(40):
        pairs = {str(i): list(values[study]) for i, values in enumerate(samples)}
        found = compare_family(pairs, "gap", LEVEL, 0.01)
        outcomes = [found[str(i)].better.outcome != "inconclusive" for i in range(TESTS)]
        assert outcomes == list(p[study] <= LEVEL)


@pytest.mark.parametrize("spending", ["pocock", "obrien-fleming"])
@draws
def test_looking_four_times_does_not_deceive(draw: Draw, spending: Spending) -> None:
    """Unspent looks would find a difference that is not there in one study of eight."""
    design = Design((5, 7, 9, 11), LEVEL, spending)
    samples = draw(np.random.default_rng(13), (800, 11), 1)[0]
    p = np.array([sequential_p(values, design) for values in samples])
    means = np.stack([samples[:, :n].mean(axis=1) for n in design.looks], axis=1)
    decided = decide(p, t_at_looks(samples, design), means, design)
    assert at_most(LEVEL, (decided != 0).any(axis=1))


@pytest.mark.parametrize("draw", [normal, skewed_heads, discrete, tied])
@pytest.mark.parametrize("seeds", [5, 7, 12])
def test_intervals_over_seeds_cover(draw: Draw, seeds: int) -> None:
    """A 95 % interval that holds the truth less often is too short: see the bootstrap's."""
    samples = draw(np.random.default_rng(14), (STUDIES, seeds), 1)[0]
    assert at_most(LEVEL, student(samples) <= LEVEL)


def test_more_seeds_and_larger_differences_are_found_more_often() -> None:
    """A rule that never decides is safe and useless."""
    rng = np.random.default_rng(15)
    found = {
        (effect, seeds): float(
            np.mean(TESTS * agreed_p(rng.normal(effect, 1, (500, seeds))) <= LEVEL)
        )
        for effect in (0.5, 1.5)
        for seeds in (7, 11)
    }
    assert found[0.5, 7] < found[1.5, 7] < found[1.5, 11]
    assert found[1.5, 11] > 0.75
