"""Times to a target: what is not reached is censored, not dropped."""

import pytest

from headtohead.stats.targets import Approach, horizons, reached, time_to_target


def test_the_first_epoch_at_the_target_counts() -> None:
    """Epochs count from 1, and an accuracy that only touches the target has reached it."""
    run = Approach((0.6, 0.8, 0.7, 0.9), (10.0, 11.0, 12.0, 13.0))
    found = reached(run, 0.8)
    assert (found.epochs, found.seconds) == (2, 21.0)
    assert reached(run, 0.95).epochs is None


def test_runs_that_never_reach_it_make_the_mean_longer_not_shorter() -> None:
    """Dropping them would call the head that fails most often the fastest."""
    found = time_to_target([2, 3, None], 10)
    assert found is not None
    assert (found.n, found.reached, found.mean, found.median) == (3, 2, 5.0, 3.0)
    assert found.values == (2, 3, 10)


def test_half_censored_has_no_median() -> None:
    """The median is beyond what was watched: a number would be an invention."""
    found = time_to_target([2, None], 10)
    assert found is not None
    assert found.median is None
    assert time_to_target([], 10) is None


def test_heads_are_watched_for_equally_long() -> None:
    """A head that was trained longer had more time to reach the target: cut to the others'."""
    runs = [
        Approach((0.1,) * 10, (1.0,) * 10),
        Approach((0.1,) * 20, (1.0,) * 20),
        Approach((0.1,), (1.0,), failed=True),
    ]
    assert horizons(runs) == (10, 10.0)
    assert horizons(runs[2:]) is None
    found = time_to_target([15, 4], 10)
    assert found is not None
    assert (found.reached, found.mean) == pytest.approx((1, 7.0))
