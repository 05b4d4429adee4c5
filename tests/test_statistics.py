"""The statistics agree with scipy's, and the verdicts keep their level."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from headtohead import stats as statistics
from headtohead.stats.unpaired import unpaired_difference
from stated import stated

SEEDS = 7
LEVEL = 0.05
MARGIN = 0.01
SIDES: list[statistics.Side] = ["two-sided", "greater", "less"]
differences = st.lists(st.integers(-50, 50).map(lambda n: n / 2500), min_size=1, max_size=9)


@given(differences, st.sampled_from(SIDES))
def test_sign_flip_is_scipys_exact_permutation_test(
    values: list[float], side: statistics.Side
) -> None:
    """Ties and zeros are the rule with accuracies: a wrong count of them is a wrong p-value."""
    found = statistics.sign_flips(np.array([values]), side)[0]
    assert found == pytest.approx(_scipy(values, side))


def _scipy(values: list[float], side: str) -> float:
    """scipy doubles the smaller tail; under this symmetric null that is the tail of |sum|."""

    def statistic(sample: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        sums = np.round(np.sum(sample, axis=axis), 9)
        return np.asarray(np.abs(sums) if side == "two-sided" else sums)

    found = stats.permutation_test(
        (np.asarray([*values, 0.0]),),  # scipy asks for two values; a zero changes no sum
        statistic,
        permutation_type="samples",
        alternative="less" if side == "less" else "greater",
        n_resamples=np.inf,
        vectorized=True,
    )
    return float(found.pvalue)


def test_many_seeds_are_sampled_and_agree_with_the_exact_test() -> None:
    """Beyond 20 seeds the p-value is an estimate: it must be near, repeatable and never 0."""
    values = list(np.random.default_rng(0).normal(0.4, 1, statistics.EXACT_UP_TO))
    exact = statistics.sign_flip(values)
    more = [*values, 0.0]  # a zero changes no sum, so the exact p-value stays
    assert statistics.sign_flip(more) == pytest.approx(exact, abs=5e-3)
    assert statistics.sign_flip(more) == statistics.sign_flip(more)
    assert statistics.sign_flip([1.0] * 40) == 1 / (statistics.RESAMPLES + 1)
    assert statistics.paired_difference(values, LEVEL).exact
    assert not statistics.paired_difference(more, LEVEL).exact


def test_interval_is_scipys_paired_t() -> None:
    """A user who checks the interval with scipy must find the same one."""
    first, second = np.random.default_rng(1).normal(0.85, 0.01, (2, SEEDS))
    found = statistics.paired_difference(list(first - second), LEVEL)
    expected = stats.ttest_rel(first, second).confidence_interval(1 - LEVEL)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.n == SEEDS


def test_spread_is_the_sample_deviation_and_one_seed_has_none() -> None:
    """One seed shows no spread, and pretending one of 0 would look like certainty."""
    found = statistics.spread([0.1, 0.2, 0.4])
    assert found is not None
    expected = (3, 7 / 30, np.std([0.1, 0.2, 0.4], ddof=1))
    assert (found.n, found.mean, found.sd) == pytest.approx(expected)
    assert statistics.spread([0.3]) == statistics.Spread(1, 0.3, None)
    assert statistics.spread([]) is None
    assert statistics.t_interval([0.3], LEVEL) is None


def test_holm_steps_down_and_keeps_order() -> None:
    """The textbook example: a wrong step gives verdicts at another level than stated."""
    found = statistics.holm({"a": 0.04, "b": 0.01, "c": 0.03, "d": None})
    assert found == pytest.approx({"a": 0.09, "b": 0.04, "c": 0.09, "d": 1.0})


@given(st.integers(1, 30), st.sampled_from([0.1, 0.05, 0.01]))
def test_seeds_needed_is_the_least_that_can_reject(tests: int, level: float) -> None:
    """`plan` would ask for too many seeds, or for so few that no verdict can ever come."""
    n = statistics.seeds_needed(tests, level)
    assert statistics.sign_flip([1.0] * n) <= level / tests
    assert n == 1 or 2 / 2 ** (n - 1) > level / tests


def test_three_tests_need_seven_seeds() -> None:
    """The default study's number, as the documentation says it."""
    assert statistics.seeds_needed(3, 0.05) == 7
    assert statistics.seeds_needed(0, 0.05) == statistics.seeds_needed(1, 0.05) == 6


def _verdicts(values: list[float], others: int = 2) -> tuple[str, str]:
    """Outcomes of (better, not worse) for one pair in a family with `others` undecided ones."""
    pairs = {"fc": values} | {f"other{i}": [0.0] * len(values) for i in range(others)}
    found = statistics.compare_family(pairs, "gap", LEVEL, MARGIN)["fc"]
    return found.better.outcome, found.not_worse.outcome


CLEAR = [0.02, 0.03, 0.025, 0.018, 0.031, 0.022, 0.027]


@pytest.mark.parametrize(
    ("values", "outcomes"),
    [
        (CLEAR, ("supported", "supported")),
        ([-value for value in CLEAR], ("refuted", "refuted")),
        (CLEAR[:6], ("inconclusive", "inconclusive")),
        ([0.0] * SEEDS, ("inconclusive", "supported")),
        ([0.02, -0.02, 0.03, -0.03, 0.01, -0.01, 0.0], ("inconclusive", "inconclusive")),
        # Sign-flip rejects, but one large difference widens the interval over 0.
        ([0.001] * 6 + [0.3], ("inconclusive", "inconclusive")),
    ],
)
def test_verdicts_need_interval_and_test_to_agree(
    values: list[float], outcomes: tuple[str, str]
) -> None:
    """A verdict that one of the two alone would give is a claim the study does not bear."""
    assert _verdicts(values) == outcomes


def test_a_difference_equal_to_the_margin_decides_nothing() -> None:
    """0.85 - 0.86 is not -0.01 in floating point: rounding must not turn a tie into a verdict."""
    assert _verdicts([0.85 - 0.86] * SEEDS)[1] == "inconclusive"
    assert _verdicts([0.56 - 0.57] * SEEDS)[1] == "inconclusive"


def test_verdict_says_its_rule_in_numbers() -> None:
    """A reader must be able to check the verdict from the line alone."""
    found = statistics.compare_family({"fc": CLEAR, "b": [], "c": []}, "gap", LEVEL, MARGIN)
    rule = found["fc"].better.rule
    assert all(part in rule for part in ("95 %", "Holm over 3", "7 seeds", "p = 0.0469"))
    assert stated(found["b"].better.rule, "needed") == ["0", "7", "needed"]
    assert found["b"].p_holm == 1.0


def test_real_differences_are_found() -> None:
    """A rule that never decides is safe and useless: two points at one point of noise are seen."""
    rng = np.random.default_rng(6)
    hits = sum(_verdicts(list(rng.normal(0.025, 0.01, 12)))[0] == "supported" for _ in range(100))
    assert hits >= 90


@given(differences.filter(lambda values: len(values) > 1), st.sampled_from(SIDES))
def test_student_is_scipys_one_sample_t(values: list[float], side: statistics.Side) -> None:
    """Who checks the p-value with scipy must find the same one; equal values have no t there."""
    found = statistics.student(np.array([values]), side)[0]
    if np.ptp(values) == 0:
        extreme = values[0] != 0 and (side == "two-sided" or (side == "greater") == (values[0] > 0))
        assert found == (0 if extreme else 1 if values[0] or side == "two-sided" else 0.5)
    else:
        assert found == pytest.approx(stats.ttest_1samp(values, 0, alternative=side).pvalue)


def test_halls_t_is_the_formula_of_the_paper() -> None:
    """The correction for skewness, recomputed for one sample by hand."""
    values = np.array([0.1, 0.2, 0.25, 0.3, 1.4])
    ratio = values.mean() / values.std(ddof=1)
    skewness = stats.skew(values, bias=True) * 5**2 / (4 * 3) * (4 / 5) ** 1.5
    moved = ratio + skewness * ratio**2 / 3 + skewness**2 * ratio**3 / 27 + skewness / 30
    expected = 2 * stats.t.sf(np.sqrt(5) * moved, 4)
    assert statistics.hall(values[None])[0] == pytest.approx(expected)


@given(differences)
def test_tests_do_not_care_which_head_is_named_first(values: list[float]) -> None:
    """`gap against fc` and `fc against gap` must be one question, on either side."""
    sample = np.array([values])
    assert statistics.agreed_p(sample) == pytest.approx(statistics.agreed_p(-sample))
    greater, less = statistics.agreed_p(sample, "greater"), statistics.agreed_p(-sample, "less")
    assert greater == pytest.approx(less)


def test_symmetric_values_are_corrected_for_nothing() -> None:
    """Without skewness Hall's t is Student's: power is paid for the correction alone."""
    sample = np.array([[0.1, 0.2, 0.3, 0.4, 0.5]])
    assert statistics.hall(sample) == pytest.approx(statistics.student(sample))


def test_values_that_say_nothing_give_no_small_p() -> None:
    """One pair, or pairs that are all equal to 0, must not reject anything."""
    for sample in ([[0.3]], [[0.0] * 7], [[0.0]]):
        assert statistics.agreed_p(np.array(sample))[0] == 1


def test_no_differences_cannot_be_tested() -> None:
    """An empty comparison must not print a p-value."""
    with pytest.raises(ValueError, match="at least one"):
        statistics.sign_flip([])
    assert statistics.paired_difference([], LEVEL).p is None


@pytest.mark.parametrize("values", [[0.3, 0.3], [0.0] * SEEDS, [0.1 + 0.2, 0.3, 0.3]])
def test_equal_differences_have_no_interval(values: list[float]) -> None:
    """An interval without width promises a certainty that two seeds cannot give."""
    assert statistics.t_interval(values, LEVEL) is None
    found = statistics.paired_difference(values, LEVEL)
    assert (found.low, found.high) == (None, None)
    alike = "both" if len(values) == 2 else f"all {len(values)}"
    assert found.why_no_interval == f"no interval: {alike} differences are equal"


def test_equal_differences_are_decided_by_their_sign() -> None:
    """The sign-flip test is exact: enough seeds that all say the same decide, without interval."""
    assert _verdicts([0.05] * SEEDS) == ("supported", "supported")
    assert _verdicts([-0.05] * SEEDS) == ("refuted", "refuted")


def test_groups_without_spread_have_no_interval() -> None:
    """Other software's two equal runs beside our two equal ones say nothing of a third."""
    found = unpaired_difference([0.8, 0.8], [0.7, 0.7], LEVEL)
    assert (round(found.mean, 9), found.low, found.high) == (0.1, None, None)
    assert unpaired_difference([0.8, 0.8], [0.7, 0.71], LEVEL).low is not None
