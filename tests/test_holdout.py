"""A test split's size is told, and where it came from."""

import pytest

from headtohead.data.holdout import ENOUGH, carved, half_width, holdout_lines


def test_widths_are_those_of_the_normal_approximation() -> None:
    """1.96 · sqrt(0.9 · 0.1 / n)."""
    assert half_width(100) == pytest.approx(0.0588)
    assert half_width(ENOUGH) <= 0.05 < half_width(ENOUGH - 1)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ((), ()),
        (("train", "validation", "test"), ()),
        (("train", "validation"), ("test",)),
        (("train", "test"), ("validation",)),
        ((None, "train", "validation"), ("test",)),
    ],
    ids=str,
)
def test_carved_splits_are_named(given: tuple[str | None, ...], taken: tuple[str, ...]) -> None:
    """A user who thinks that train/ is all trained on must learn that it is not."""
    assert carved(given) == taken
    assert any("train/" in line for line in holdout_lines(1000, given)) == ("test" in taken)


def test_small_test_splits_are_warned_of() -> None:
    """Else a verdict over seeds reads like one over images."""
    assert list(holdout_lines(ENOUGH, ())) == []
    (line,) = holdout_lines(25, ())
    assert "25 images" in line
    assert "±11.8 points" in line
