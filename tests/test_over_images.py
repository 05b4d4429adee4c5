"""Intervals over images: what duplicates and seeds are counted as."""

import numpy as np
import pytest
from scipy import stats

from headtohead.stats.over_images import Answers, mcnemar, picture_interval

LEVEL = 0.05


def answers(correct: list[int] | np.ndarray, rows: list[int] | None = None) -> Answers:
    found = np.array(correct, dtype=bool)
    return Answers(np.arange(len(found)) if rows is None else np.array(rows), found)


def test_without_duplicates_it_is_the_paired_t_interval_over_pictures() -> None:
    """The plain case must be the one that a reader can check with scipy."""
    rng = np.random.default_rng(0)
    pairs = {s: (answers(rng.random(80) < 0.9), answers(rng.random(80) < 0.7)) for s in range(3)}
    found = picture_interval(pairs, {}, LEVEL)
    assert found is not None
    means = np.mean([a.correct.astype(float) - b.correct for a, b in pairs.values()], axis=0)
    expected = stats.ttest_1samp(means, 0).confidence_interval(1 - LEVEL)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.pictures, found.clusters, found.seeds) == (80, 80, 3)


def test_duplicates_are_one_picture_not_two() -> None:
    """The same photograph saved twice is no new evidence: the interval must not shrink."""
    first, second = [1, 1, 0, 1, 1, 0, 1, 1], [0, 1, 0, 1, 0, 1, 1, 0]
    once = picture_interval({0: (answers(first), answers(second))}, {}, LEVEL)
    groups = {row: row % 8 for row in range(16)}
    twice = picture_interval({0: (answers(first * 2), answers(second * 2))}, groups, LEVEL)
    assert once is not None
    assert twice is not None
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))
    assert (twice.pictures, twice.clusters) == (16, 8)


def test_splits_per_seed_average_each_picture_over_the_seeds_that_test_it() -> None:
    """An image in one test split and not in another has fewer answers, and is still one."""
    pairs = {
        0: (answers([1, 1, 0], [3, 5, 7]), answers([0, 1, 1], [3, 5, 7])),
        1: (answers([1, 0], [3, 9]), answers([0, 0], [3, 9])),
    }
    found = picture_interval(pairs, {}, LEVEL)
    assert found is not None
    assert found.mean == pytest.approx((1 + 0 - 1 + 1 + 0) / 5)
    assert (found.pictures, found.differing) == (4, 2)


def test_too_few_pictures_that_differ_have_no_interval() -> None:
    """An interval from -0 to +0 would be certainty that nobody has."""
    same = answers([1, 0, 1])
    found = picture_interval({0: (same, same)}, {}, LEVEL)
    assert found is not None
    assert (found.mean, found.low, found.high, found.differing) == (0.0, None, None, 0)
    assert picture_interval({}, {}, LEVEL) is None


def test_intervals_cover_with_duplicates_and_would_not_if_they_were_pictures() -> None:
    """Half of the images twice: 95 % must stay 95 %."""
    rng = np.random.default_rng(1)
    source = np.concatenate([np.arange(150), np.arange(150)])
    groups = dict(enumerate(source.tolist()))
    hits = {"grouped": 0, "alone": 0}
    for _ in range(400):
        right = [(rng.random(150) < p)[source] for p in (0.8, 0.6)]
        pair = {0: (answers(right[0]), answers(right[1]))}
        for name, grouping in (("grouped", groups), ("alone", {})):
            found = picture_interval(pair, grouping, LEVEL)
            assert found is not None
            assert found.low is not None
            assert found.high is not None
            hits[name] += found.low <= 0.2 <= found.high
    assert hits["grouped"] >= stats.binom.ppf(0.0001, 400, 0.95)
    assert hits["alone"] < stats.binom.ppf(0.0001, 400, 0.95)


def test_mcnemar_is_the_exact_binomial_test_of_each_seed() -> None:
    """The textbook's test, seed by seed; with nothing discordant it says nothing."""
    pairs = {
        4: (answers([1] * 9 + [0] * 2), answers([0] * 9 + [1] * 2)),
        5: (answers([1, 0]), answers([1, 0])),
    }
    first, second = mcnemar(pairs)
    assert (first.seed, first.first_only, first.second_only) == (4, 9, 2)
    assert first.p == pytest.approx(stats.binomtest(2, 11).pvalue)
    assert second.p == 1.0


def test_answers_on_other_pictures_are_no_pair() -> None:
    """Two runs that were tested on different images must never be paired image by image."""
    with pytest.raises(ValueError, match="same test images"):
        picture_interval({0: (answers([1, 0]), answers([1, 0], [0, 2]))}, {}, LEVEL)


def test_scores_of_pictures_take_the_place_of_being_right() -> None:
    """Without them the interval beside balanced accuracy is one of accuracy."""
    rows, rng = np.arange(50), np.random.default_rng(3)
    first, second = rng.normal(0.8, 0.2, 50), rng.normal(0.7, 0.2, 50)
    right = rng.random(50) < 0.5
    pairs = {0: (Answers(rows, right, first), Answers(rows, ~right, second))}
    found = picture_interval(pairs, {}, LEVEL)
    assert found is not None
    expected = stats.ttest_1samp(first - second, 0).confidence_interval(1 - LEVEL)
    assert found.mean == pytest.approx(np.mean(first - second))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
