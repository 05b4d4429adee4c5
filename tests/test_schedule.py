"""The learning rate over a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtohead.config.recipe import RecipeSpec
from headtohead.training.schedule import constant, schedule_of


def factors(train: int = 64, **recipe: object) -> list[float]:
    """Of every step of a run of 2 epochs of 4 steps."""
    spec = RecipeSpec.model_validate({"epochs": 2, "batch_size": 16, **recipe})
    factor = schedule_of(spec, train)
    return [factor(step) for step in range(1, spec.epochs * spec.steps(train) + 1)]


def test_a_recipe_without_a_schedule_is_constant() -> None:
    """Else a study of an earlier version trains otherwise than it did."""
    assert factors() == [1.0] * 8
    assert schedule_of(RecipeSpec(), 100) is constant


def test_cosine_falls_from_the_full_rate_and_never_rises() -> None:
    """Else the last epochs, which evaluation judges, are trained at too high a rate."""
    values = factors(schedule="cosine")
    assert values[0] == 1.0
    assert values[4] == pytest.approx(0.5)
    assert values[-1] == pytest.approx(0.0380602, rel=1e-5)  # (1 + cos(7 pi / 8)) / 2
    assert values == sorted(values, reverse=True)


def test_warm_up_rises_linearly_to_the_full_rate() -> None:
    """Else Adam's first steps, with few gradients to go by, are the largest."""
    assert factors(warmup=0.5)[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    values = factors(warmup=0.25, schedule="cosine")
    assert values[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert values[2:] == sorted(values[2:], reverse=True)


@given(
    train=st.integers(1, 500),
    epochs=st.integers(1, 5),
    warmup=st.floats(0, 0.99),
    schedule=st.sampled_from(["constant", "cosine"]),
)
def test_every_step_moves_the_weights(
    train: int, epochs: int, warmup: float, schedule: str
) -> None:
    """Else some steps of a run are spent for nothing."""
    values = factors(train, epochs=epochs, warmup=warmup, schedule=schedule)
    assert all(0 < value <= 1 for value in values)
