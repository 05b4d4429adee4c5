"""How sure a difference between two heads is over images, not seeds.

An interval over seeds holds for one test split; this one says what other test images would do
to the same trained networks. The two stand side by side and are never mixed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betaincinv, stdtrit

from headtohead.stats.location import without_spread

Floats: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """One run's answers on its test split: `rows` (n,) of the prepared set, `correct` (n,).

    `scores` (n,) are what each image adds to a metric that is not accuracy: see
    `headtohead.stats.metrics.picture_scores`. None for accuracy.
    """

    rows: Rows
    correct: NDArray[np.bool_]
    scores: Floats | None = None


@dataclass(frozen=True)
class PictureInterval:
    """The mean difference over test images, and its interval at confidence 1 - level.

    Of accuracy, or of the metric that the answers have scores of.
    `pictures` of `clusters` duplicate groups (an image without duplicates is its own) over
    `seeds` seeds; `differing` clusters are those on which the two heads do not score the same.
    `low` and `high` are None where fewer than two clusters differ, and where all differ alike.
    """

    mean: float
    low: float | None
    high: float | None
    level: float
    pictures: int
    clusters: int
    differing: int
    seeds: int


@dataclass(frozen=True)
class McNemar:
    """One seed's discordant test images: right by the first head alone, by the second alone.

    `p` is the exact two-sided binomial one (McNemar 1947, Psychometrika 12). Descriptive: it
    speaks of two trained networks, not of two heads.
    """

    seed: int
    first_only: int
    second_only: int
    p: float


def picture_interval(
    pairs: Mapping[int, tuple[Answers, Answers]], groups: Mapping[int, int], level: float
) -> PictureInterval | None:
    """The interval over images for the first of two heads minus the second; None without pairs.

    `pairs` has, for each seed, both runs' answers on the same rows; `groups` names the duplicate
    group of a row, a row without entry being alone. Each image's difference is averaged over
    the seeds whose test split has it; the standard error is cluster-robust over groups, with the
    t quantile of (clusters - 1) degrees of freedom and the factor G / (G - 1) (Cameron & Miller
    2015, J. Human Resources 50, section II; Miller 2024, arXiv 2411.00640, for model
    evaluation). Raises ValueError where the runs of a pair answered on different rows.
    """
    if not pairs:
        return None
    distinct, place = _places([_shared(first, second) for first, second in pairs.values()])
    values = np.concatenate([_lead(first, second) for first, second in pairs.values()])
    signs = np.concatenate([difference(first, second) for first, second in pairs.values()])
    # Negative, so that no row without a group can share a group's number.
    cluster = np.array([groups.get(row, -1 - row) for row in distinct.tolist()], dtype=np.int64)
    position = np.unique(cluster, return_inverse=True)[1][place]
    mean = float(values.mean())
    sums = np.bincount(position, weights=values)
    sizes = np.bincount(position)
    count = len(sums)
    differing = int(np.count_nonzero(np.bincount(position, weights=signs)))
    low: float | None = None
    high: float | None = None
    if count > 1 and differing > 1 and not without_spread((sums / sizes)[None, :])[0]:
        residuals = sums - mean * sizes
        error = np.sqrt(count / (count - 1) * np.sum(residuals**2)) / len(values)
        half = float(stdtrit(count - 1, 1 - level / 2) * error)
        low, high = mean - half, mean + half
    return PictureInterval(mean, low, high, level, len(distinct), count, differing, len(pairs))


def _places(rows: Sequence[Rows]) -> tuple[Rows, Rows]:
    """The distinct rows of all seeds, ascending, and the place among them of each, seed by seed."""
    distinct, place = np.unique(rows[0], return_inverse=True)
    if all(np.array_equal(rows[0], other) for other in rows[1:]):  # one split for all seeds
        return distinct, np.tile(place, len(rows))
    return np.unique(np.concatenate(rows), return_inverse=True)


def share_interval(right: int, images: int, level: float) -> tuple[float, float]:
    """The exact binomial interval of a share at confidence 1 - level: `right` of `images`.

    Clopper & Pearson 1934, Biometrika 26. Raises ValueError for no images.
    """
    if not 0 <= right <= images or not images:
        raise ValueError(f"a share needs images and as many or fewer right: {right} of {images}")
    low = float(betaincinv(right, images - right + 1, level / 2)) if right else 0.0
    high = float(betaincinv(right + 1, images - right, 1 - level / 2)) if right < images else 1.0
    return low, high


def difference(first: Answers, second: Answers) -> Floats:
    """(n,) of 1, 0 and -1: right by the first alone, by both or none, by the second alone."""
    return first.correct.astype(np.float64) - second.correct.astype(np.float64)


def _lead(first: Answers, second: Answers) -> Floats:
    """(n,) by how much the first scores more on each image."""
    if first.scores is None or second.scores is None:
        return difference(first, second)
    return first.scores - second.scores


def mcnemar(pairs: Mapping[int, tuple[Answers, Answers]]) -> tuple[McNemar, ...]:
    """McNemar's exact test of each seed's two networks. Raises ValueError as `picture_interval`."""
    found = []
    for seed, (first, second) in pairs.items():
        _shared(first, second)
        signed = difference(first, second)
        mine, theirs = int(np.sum(signed > 0)), int(np.sum(signed < 0))
        p = min(1.0, 2 * float(bdtr(min(mine, theirs), mine + theirs, 0.5)))
        found.append(McNemar(seed, mine, theirs, p))
    return tuple(found)


def _shared(first: Answers, second: Answers) -> Rows:
    if not np.array_equal(first.rows, second.rows):
        raise ValueError(
            f"two runs of one seed must answer on the same test images; received "
            f"{len(first.rows)} and {len(second.rows)} rows that differ"
        )
    return first.rows
