"""The interval of the test that stood against a verdict."""

import numpy as np
import pytest
from scipy import stats

from headtohead.stats import (
    compare_family,
    deciding,
    hall,
    holm_levels,
    paired_difference,
    sign_flip,
    verdict,
)
from headtohead.stats.deciding import _hall, _sign_flip
from stated import stated

WIDE = (0.05, 0.07, 0.06, 0.05, 0.0, 0.01, -0.01)
NORMAL = tuple(np.random.default_rng(3).normal(0.01, 0.02, 9).round(4))


def test_holm_stops_where_a_p_value_is_too_large() -> None:
    """The level that an interval must have for it to hold 0 exactly where nothing is decided."""
    found = holm_levels({"a": 0.001, "b": 0.03, "c": 0.04, "d": None}, 0.05)
    assert found == {"a": 0.0125, "b": 0.05 / 3, "c": 0.05 / 3, "d": 0.05 / 3}
    assert holm_levels({"a": 0.001, "b": 0.01}, 0.05) == {"a": 0.025, "b": 0.05}


@pytest.mark.parametrize("values", [WIDE, NORMAL])
@pytest.mark.parametrize("level", [0.05, 0.025])
def test_each_interval_holds_what_its_test_does_not_reject(
    values: tuple[float, ...], level: float
) -> None:
    """Else the interval that explains a verdict contradicts it."""
    for interval, test in (
        (_sign_flip, sign_flip),
        (_hall, lambda v: float(hall(np.asarray([v]))[0])),
    ):
        bounds = interval(values, level)
        assert bounds is not None
        low, high = bounds
        inside, outside = (low + 1e-6, high - 1e-6), (low - 1e-6, high + 1e-6)
        assert all(test([v - theta for v in values]) > level for theta in inside)
        assert all(test([v - theta for v in values]) <= level for theta in outside)


def test_students_interval_is_scipys() -> None:
    """Where Student's test has the largest p-value, its own interval at Holm's level is shown."""
    values = (0.02, 0.021, 0.022, 0.019, 0.018, 0.0205, 0.08, -0.02)
    found = deciding(values, 0.02)
    low, high = stats.t.interval(0.98, 7, np.mean(values), stats.sem(values))
    if found.test == "Student's t":
        assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p == max(
        sign_flip(values), stats.ttest_1samp(values, 0).pvalue, float(hall(np.array([values]))[0])
    )


def test_the_deciding_interval_holds_zero_and_stands_beside_the_verdict() -> None:
    """An interval without 0 beside "inconclusive" reads like a mistake."""
    found = compare_family({"fc": WIDE, "fc_dropout": WIDE}, "gap", 0.05, 0.01)["fc"]
    assert found.better.outcome == "inconclusive"
    assert found.difference.low is not None
    assert found.difference.low > 0
    assert found.deciding is not None
    assert (found.deciding.test, found.deciding.level) == ("sign-flip", 0.025)
    assert (found.deciding.low, found.deciding.high) == pytest.approx((-0.01, 0.07))
    assert "-1.00 to +7.00 points" in found.better.rule


def test_a_decided_pair_needs_no_second_interval() -> None:
    """Nor does one whose printed interval holds 0."""
    clear = [0.05, 0.06, 0.055, 0.05, 0.052, 0.048, 0.051]
    pairs = {"fc": clear, "same": [0.01, -0.01, 0.02, -0.02, 0.0, 0.01, -0.01]}
    family = compare_family(pairs, "gap", 0.05, 0.01)
    assert family["fc"].better.outcome == "supported"
    assert {item.deciding for item in family.values()} == {None}


SHARED = {
    "gmp": (0.006, -0.002, -0.004, 0.004, 0.004, 0.008, 0.01),
    "cosine": (0.0, -0.01, -0.004, -0.002, 0.0, 0.002, 0.0),
    "mlp": (0.014, -0.01, -0.006, -0.002, -0.002, 0.01, 0.004),
}
"""Three comparisons of a study of 25 heads; the last two intervals lie within the margin."""


def test_a_bound_that_passes_the_margin_says_why_it_decides_nothing() -> None:
    """Else "at least as good: inconclusive" stands beside a bound that looks decisive."""
    family = compare_family(SHARED, "gap", 0.05, 0.01)
    found = {name: item for name, item in family.items() if item.deciding_margin}
    assert set(found) == {"cosine", "mlp"}
    tests = {"cosine": "Hall's t", "mlp": "sign-flip"}
    for name, item in found.items():
        low, against = item.difference.low, item.deciding_margin
        assert low is not None
        assert against is not None
        assert against.test == tests[name]
        assert against.low is not None
        assert against.low <= -0.01 < low
        assert against.high is None
        assert against.level == 0.0125 < against.p
        told = stated(item.not_worse.rule.partition("seeds: ")[2], "sign-flip", "Hall")
        assert told[0] == "-1"
        assert told[2] == f"{against.p:.3g}"
        assert told[3:] == ["0.0125", f"{100 * against.low:+.2f}"]


def test_an_interval_below_the_margin_says_why_it_refutes_nothing() -> None:
    """The other side of the same question."""
    worse = [-value - 0.03 for value in WIDE]
    item = compare_family({"fc": worse, "other": [0.0] * 7}, "gap", 0.05, 0.03)["fc"]
    against = item.deciding_margin
    assert (item.not_worse.outcome, item.difference.high is not None) == ("inconclusive", True)
    assert item.difference.high is not None
    assert against is not None
    assert against.high is not None
    assert against.low is None
    assert item.difference.high < -0.03 <= against.high
    assert f"{100 * against.high:+.2f}" in item.not_worse.rule


def test_a_p_value_above_the_level_is_not_printed_as_the_level() -> None:
    """Else "p = 0.05: p > 0.05" contradicts itself."""
    item = paired_difference([0.05, 0.06, 0.055, 0.05, 0.052, 0.048, 0.051], 0.05)
    assert "p = 0.05003 " in verdict("a beats b", item, 0.05003, 1).rule


def test_one_comparison_is_corrected_for_nothing() -> None:
    """Else "Holm over 1" sends a reader to look for a correction that there is not."""
    clear = [0.05, 0.06, 0.055, 0.05, 0.052, 0.048, 0.051]
    for values in (clear, SHARED["cosine"], [0.0, *WIDE[:4], 0.0, 0.0]):
        (item,) = compare_family({"fc": values}, "gap", 0.05, 0.01).values()
        assert "Holm" not in item.better.rule + item.not_worse.rule
