"""Epochs and seconds to a target accuracy; a target that is not reached is censored, not dropped.

A run that never reached the target took at least as long as it was trained. Means are therefore
restricted: the time spent below the target within a common horizon, which every run has (Royston
& Parmar 2013, BMC Med. Res. Methodol. 13:152). Medians are None where half of the runs or more
are censored.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Approach:
    """One run on its way: validation accuracy after each epoch and the seconds that each took.

    `failed` marks a run that diverged: it will never reach a target that it has not reached.
    """

    accuracies: tuple[float, ...]
    seconds: tuple[float, ...]
    failed: bool = False


@dataclass(frozen=True)
class Reached:
    """When one run first reached the target: `epochs` and `seconds`, None where it never did."""

    epochs: int | None
    seconds: float | None


@dataclass(frozen=True)
class TimeToTarget:
    """One head's runs: `reached` of `n`, and for epochs (or seconds) median and restricted mean.

    `values` are the restricted times, run by run, each at most `horizon`.
    """

    n: int
    reached: int
    median: float | None
    mean: float
    horizon: float
    values: tuple[float, ...]


def reached(approach: Approach, target: float) -> Reached:
    """The first epoch, counted from 1, whose validation accuracy is at least `target`."""
    for index, accuracy in enumerate(approach.accuracies):
        if accuracy >= target:
            return Reached(index + 1, math.fsum(approach.seconds[: index + 1]))
    return Reached(None, None)


def horizons(approaches: Sequence[Approach]) -> tuple[int, float] | None:
    """Epochs and seconds that every run which came to its end was trained for; None without one."""
    whole = [run for run in approaches if not run.failed and run.accuracies]
    if not whole:
        return None
    return (
        min(len(run.accuracies) for run in whole),
        min(math.fsum(run.seconds) for run in whole),
    )


def time_to_target(times: Sequence[float | None], horizon: float) -> TimeToTarget | None:
    """Median and restricted mean of times, None standing for censored; None for no runs.

    A time beyond the horizon counts as censored: other runs were not watched for so long.
    """
    if not times:
        return None
    known = [math.inf if time is None or time > horizon else time for time in times]
    middle = float(np.median(known)) if sum(map(math.isinf, known)) < len(known) / 2 else math.inf
    restricted = tuple(min(time, horizon) for time in known)
    return TimeToTarget(
        n=len(known),
        reached=sum(map(math.isfinite, known)),
        median=middle if math.isfinite(middle) else None,
        mean=float(np.mean(restricted)),
        horizon=horizon,
        values=restricted,
    )
