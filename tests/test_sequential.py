"""Alpha is spent as published, and each look does what an enumeration by hand does."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from headtohead.stats import sequential, sign_flip
from headtohead.stats.sequential import Design, nominal_levels, sequential_p, take_looks
from headtohead.store.looks import LookRecord, LooksRecord, read_looks, write_looks

LEVEL = 0.05
CLEAR = [0.02, 0.03, 0.025, 0.018, 0.031, 0.022, 0.027]


@pytest.mark.parametrize(
    ("spending", "published"),
    [
        # Five equally spaced looks, two-sided 5 % (Jennison & Turnbull 2000; gsDesign's sfLDOF
        # and sfLDPocock).
        ("obrien-fleming", [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
        ("pocock", [2.4380, 2.4268, 2.4101, 2.3966, 2.3859]),
    ],
)
def test_boundaries_are_the_published_ones(
    spending: sequential.Spending, published: list[float]
) -> None:
    """A boundary that is off spends another level than the report says."""
    design = Design((4, 8, 12, 16, 20), LEVEL, spending)
    z = stats.norm.isf(np.array(nominal_levels(design)) / 2)
    assert z == pytest.approx(published, abs=2e-4)
    assert design.spent()[-1] == pytest.approx(LEVEL)


def test_one_look_is_the_plain_test() -> None:
    """A design of a single look must cost nothing."""
    design = Design((7,), LEVEL)
    assert sequential_p(np.array(CLEAR), design) == (sign_flip(CLEAR),)
    assert nominal_levels(design) == pytest.approx((LEVEL,))


values = st.lists(st.integers(-6, 6).map(lambda n: n / 4), min_size=6, max_size=6)


@given(values)
def test_p_values_are_counts_of_sign_vectors(sample: list[float]) -> None:
    """Every choice of signs in plain loops: the exactness that the level hangs on."""
    design = Design((3, 5, 6), 0.4)
    signed = np.array(sample)
    vectors = [np.array(signs) for signs in itertools.product((1, -1), repeat=6)]
    gone: set[int] = set()
    expected: list[float] = []
    for n, spent in zip(design.looks, design.spent(), strict=True):
        sums = [abs(float(vector[:n] @ signed[:n])) for vector in vectors]
        before = set(gone)
        counts = {
            i: len(before)
            + sum(1 for j, total in enumerate(sums) if j not in before and total >= own - 1e-9)
            for i, own in enumerate(sums)
        }
        expected.append(expected[-1] if 0 in before else counts[0] / 64)
        gone |= {i for i in counts if i not in before and counts[i] / 64 <= spent}
    assert sequential_p(signed, design) == pytest.approx(expected)


def test_more_pairs_than_can_be_enumerated_are_sampled_the_same_each_time() -> None:
    """A maximum above 20 must neither take forever nor change from report to report."""
    design = Design((7, 24), LEVEL)
    sample = np.array(CLEAR)
    first = sequential_p(sample, design)
    assert first == sequential_p(sample, design)
    assert first[0] == pytest.approx(2 / 2**7, abs=2e-3)


def test_a_clear_difference_is_decided_at_the_first_look_and_no_further_one_taken() -> None:
    """Seeds after a decision are wasted, and looks after it are not in the design."""
    design = Design((7, 10), LEVEL)
    (look,) = take_looks([*CLEAR, 0.02, 0.02, 0.02], design)
    assert (look.n, look.decision) == (7, 1)
    assert look.low is not None
    assert look.low > 0
    (look,) = take_looks([-value for value in CLEAR], design)
    assert look.decision == -1


def test_no_difference_is_looked_at_to_the_end() -> None:
    """The last look ends the study undecided; it does not pick a winner."""
    values = [0.01, -0.01, 0.02, -0.02, 0.0, 0.01, -0.01, 0.02, -0.02, 0.0]
    looks = take_looks(values, Design((7, 10), LEVEL))
    assert [look.n for look in looks] == [7, 10]
    assert not any(look.decision for look in looks)
    assert take_looks(values[:6], Design((7, 10), LEVEL)) == ()


def test_one_outlier_is_no_decision() -> None:
    """The sign-flip test alone would decide: the t-tests must agree."""
    (look,) = take_looks([0.001] * 6 + [0.3], Design((7,), LEVEL))
    assert look.p <= look.spent
    assert look.decision == 0


def test_a_design_says_which_looks_can_decide() -> None:
    """O'Brien and Fleming's first look at 7 of 20 can never decide: `plan` must say so."""
    assert Design((7, 10, 14, 20), LEVEL, "pocock").able() == (7, 10, 14, 20)
    assert Design((7, 10, 14, 20), LEVEL, "obrien-fleming").able() == (10, 14, 20)


@pytest.mark.parametrize("looks", [(2, 1000), (2, 3, 1000), (2, 30, 31, 1000)])
def test_a_look_that_spends_next_to_nothing_costs_the_others_nothing(
    looks: tuple[int, ...],
) -> None:
    """Else a study with such looks stops at its first one with an error of the solver."""
    design = Design(looks, LEVEL, "obrien-fleming")
    levels = nominal_levels(design)
    assert levels[0] < 1e-300
    assert levels[-1] == pytest.approx(LEVEL, abs=2e-6)
    assert all(level <= spent + 1e-9 for level, spent in zip(levels, design.spent(), strict=True))


def test_a_look_without_a_level_has_no_interval_and_decides_nothing(tmp_path: Path) -> None:
    """Else `looks.json` holds an infinite number, and the ledger cannot be opened again."""
    design = Design((2, 1000), LEVEL, "obrien-fleming")
    (look,) = take_looks([0.01, 0.02], design)
    assert (look.low, look.high, look.decision) == (None, None, 0)
    record = LooksRecord(
        reference="gap",
        other="fc",
        looks=design.looks,
        level=LEVEL,
        spending="obrien-fleming",
        seeds=2,
        taken=(LookRecord(differences=(0.01, 0.02), **vars(look)),),
    )
    write_looks(tmp_path, record)
    assert read_looks(tmp_path) == record


def test_looks_over_random_signs_cannot_decide_below_their_smallest_p_value() -> None:
    """Else `plan` calls a look at 100 of 1,000 pairs able that no data whatever can pass."""
    design = Design((100, 1000), LEVEL, "obrien-fleming")
    clear = np.linspace(0.01, 0.02, 100)
    assert sequential_p(clear, design)[0] > design.spent()[0]
    assert design.able() == (1000,)
