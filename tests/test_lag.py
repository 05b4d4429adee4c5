"""Which heads cannot be judged: running training accuracy above the evaluated one."""

import math

from headtohead.analysis.lags import lags_note
from headtohead.stats import LAG, lag
from stated import stated


def test_more_than_three_points_over_seeds_is_a_lag() -> None:
    """Else a head is judged by statistics that are behind its weights."""
    found = lag([(0.90, 0.80), (0.80, 0.82)])
    assert found is not None
    assert (round(found.running, 9), round(found.evaluated, 9), found.seeds) == (0.85, 0.81, 2)
    assert found.excess == 0.04


def test_three_points_are_not_more_than_three_points() -> None:
    """Rounding of 0.53 - 0.50 must not decide."""
    assert LAG < 0.53 - 0.50
    assert lag([(0.53, 0.50)]) is None
    assert lag([(0.5301, 0.50)]) is not None


def test_a_running_accuracy_below_is_how_training_looks() -> None:
    """Dropout and moving weights lower it: no reason to doubt."""
    assert lag([(0.70, 0.90)]) is None


def test_what_was_not_recorded_shows_no_lag() -> None:
    """Records of other software know no evaluated training accuracy."""
    assert lag([]) is None
    assert lag([(0.9, math.nan)]) is None


def test_the_difference_is_that_of_the_printed_numbers() -> None:
    """Else "72.4 as it trains, 64.3 evaluated, 8.2 less" looks like a mistake in the study."""
    found = lag([(0.72440, 0.64286)])
    assert found is not None
    told = stated(lags_note({"gap": found}).partition("mean over seeds: ")[2])
    assert told[:3] == ["72.4", "64.3", "8.1"]
