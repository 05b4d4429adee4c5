"""Whether paired differences centre on 0: three tests, each for many samples at once.

Samples are (S, n): S of them, n differences in each. A test for one sample is a test for S = 1,
so that simulations measure the very code that gives verdicts.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from headtohead.core.streams import stream

Side: TypeAlias = Literal["two-sided", "greater", "less"]
Floats: TypeAlias = NDArray[np.float64]

EXACT_UP_TO = 20
RESAMPLES = 99_999
TIE = 1e-10
"""Sums nearer than this share of Σ|d| tie: the order of an addition must decide nothing."""

CELLS = 2**21  # sums in memory at once


def sign_flip(differences: Sequence[float]) -> float:
    """Two-sided p-value of the sign-flip test for one sample, as `sign_flips` has it.

    Raises ValueError for no values.
    """
    return float(sign_flips(np.asarray([differences], dtype=np.float64))[0])


def sign_flips(samples: Floats, side: Side = "two-sided") -> Floats:
    """(S,) p-values of the sign-flip (one-sample permutation) test that differences centre on 0.

    Exact over all 2^n sign vectors for n ≤ 20. Beyond, 99,999 random sign vectors from a fixed
    stream, the observed one counted in (Phipson & Smyth 2010, doi 10.2202/1544-6115.1585), so
    that p is never 0. Sums that tie with the observed one up to rounding count as extreme.
    Raises ValueError for no values.
    """
    if not samples.shape[1]:
        raise ValueError("the sign-flip test needs at least one difference; received none")
    if side == "less":
        return sign_flips(-samples, "greater")
    exact = samples.shape[1] <= EXACT_UP_TO
    rows = max(1, CELLS // (2 ** samples.shape[1] if exact else RESAMPLES + 1))
    parts = [
        _tail(_sums(samples[start : start + rows]), samples[start : start + rows], side)
        for start in range(0, len(samples), rows)
    ]
    return np.concatenate([np.empty(0), *parts])


def _tail(sums: Floats, samples: Floats, side: Side) -> Floats:
    if side == "two-sided":
        sums = np.abs(sums)
    slack = TIE * np.abs(samples).sum(axis=1)
    return np.asarray(np.mean(sums >= (sums[:, 0] - slack)[:, None], axis=1), dtype=np.float64)


def _sums(samples: Floats) -> Floats:
    return all_sums(samples) if samples.shape[1] <= EXACT_UP_TO else _random_sums(samples)


def all_sums(samples: Floats) -> Floats:
    """(S, 2^n) sums under every choice of signs, the observed sum first.

    A value's two signs are the halves of every block of 2^(its position + 1) columns: the sums
    of the first m values, tiled, stand in the columns of the sums of all n.
    """
    sums = np.zeros((len(samples), 1))
    for value in samples.T:
        sums = np.concatenate([sums + value[:, None], sums - value[:, None]], axis=1)
    return sums


def random_signs(n: int, first: int | None = None) -> Floats:
    """(RESAMPLES + 1, n) signs of ±1: the observed ones (all +1) first, then random, fixed ones.

    Of these columns the `first`, where only so many are asked for.
    """
    drawn = stream(0, "sign-flip").integers(0, 2, size=(RESAMPLES, n), dtype=np.int8)[:, :first]
    signs = np.ones((RESAMPLES + 1, drawn.shape[1]))
    np.multiply(drawn, 2.0, out=signs[1:])  # in place: of 1,000 pairs they are 800 MB
    signs[1:] -= 1
    return signs


def _random_sums(samples: Floats) -> Floats:
    return np.asarray(samples @ random_signs(samples.shape[1]).T, dtype=np.float64)


def student(samples: Floats, side: Side = "two-sided") -> Floats:
    """(S,) p-values of Student's one-sample t-test; 1 with fewer than two values.

    Values that are all equal give 0 away from 0: the sign-flip test keeps such a sample honest.
    """
    return _t_tail(_t(samples), samples.shape[1], side)


def hall(samples: Floats, side: Side = "two-sided") -> Floats:
    """(S,) p-values of Student's t corrected for skewness by Hall's transformation.

    With it a few differences that are all on one side because the other tail is long and rare
    decide less easily. Monotone in the mean for a given skewness, unlike Johnson's correction of
    1978, which loses power where effects are large (Hall 1992, J. R. Stat. Soc. B 54, 221-228).
    Where it turns the sign around, p is 1. As `student` with fewer than three values.
    """
    n = samples.shape[1]
    if n < 3:
        return student(samples, side)
    flat = without_spread(samples)
    mean, sd, third = moments(samples, flat)
    skewness = third / sd**3
    ratio = mean / sd
    moved = ratio + skewness * ratio**2 / 3 + skewness**2 * ratio**3 / 27 + skewness / (6 * n)
    away = np.where(mean == 0, 0.0, np.copysign(np.inf, mean))
    t = np.where(flat, away, moved * np.sqrt(n))
    turned = (np.sign(t) != np.sign(mean)) & (mean != 0)
    return np.asarray(np.where(turned, 1.0, _t_tail(t, n, side)), dtype=np.float64)


def moments(samples: Floats, flat: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """(S,) means, deviations (1 where `flat`) and unbiased third central moments.

    Of three values or more.
    """
    n = samples.shape[1]
    mean = samples.mean(axis=1)
    sd = np.where(flat, 1.0, samples.std(axis=1, ddof=1))
    third = n / ((n - 1) * (n - 2)) * np.sum((samples - mean[:, None]) ** 3, axis=1)
    return mean, sd, third


def agreed_p(samples: Floats, side: Side = "two-sided") -> Floats:
    """(S,) largest of the three p-values: at most the level where all three tests reject."""
    p = np.stack([test(samples, side) for test in (sign_flips, student, hall)])
    return np.asarray(p.max(axis=0), dtype=np.float64)


def without_spread(samples: Floats) -> NDArray[np.bool_]:
    """Which samples have no spread beyond rounding."""
    largest = np.abs(samples).max(axis=1)
    return np.asarray(np.ptp(samples, axis=1) <= TIE * largest, dtype=np.bool_)


def _t(samples: Floats) -> Floats:
    """(S,) values of mean / (standard error), ±infinite where all values are equal."""
    n = samples.shape[1]
    mean = samples.mean(axis=1)
    if n < 2:
        return np.zeros(len(samples))
    flat = without_spread(samples)
    error = np.where(flat, 1.0, samples.std(axis=1, ddof=1) / np.sqrt(n))
    away = np.where(mean == 0, 0.0, np.copysign(np.inf, mean))
    return np.asarray(np.where(flat, away, mean / error), dtype=np.float64)


def _t_tail(t: Floats, n: int, side: Side) -> Floats:
    if n < 2:
        return np.ones(len(t))
    if side == "two-sided":
        return np.asarray(2 * stdtr(n - 1, -np.abs(t)), dtype=np.float64)
    return np.asarray(stdtr(n - 1, -t if side == "greater" else t), dtype=np.float64)
