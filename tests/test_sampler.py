"""Orders of images: every one is seen, none depends on what was drawn before."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from headtohead.config.recipe import RecipeSpec
from headtohead.core.streams import stream
from headtohead.training.sampler import buffered_shuffle, epoch_order

ROWS = np.arange(100, 150)


def recipe(**values: int) -> RecipeSpec:
    return RecipeSpec.model_validate({"batch_size": 8, **values})


def test_an_epoch_is_full_batches_of_one_pass() -> None:
    order = epoch_order(recipe(), ROWS, 0, 1)
    assert len(order) == 48
    assert len(set(order.tolist())) == 48


@given(
    steps=st.integers(1, 20),
    epochs=st.integers(1, 5),
    buffer=st.none() | st.integers(1, 60),
)
def test_epochs_of_given_length_are_cut_from_endless_passes(
    steps: int, epochs: int, buffer: int | None
) -> None:
    """Else a study that counts its epochs in steps shows some images too rarely."""
    given_steps = RecipeSpec(batch_size=8, steps_per_epoch=steps, shuffle_buffer=buffer)
    shown = [epoch_order(given_steps, ROWS, 3, epoch) for epoch in range(1, epochs + 1)]
    assert all(len(order) == 8 * steps for order in shown)
    rows = np.concatenate(shown)
    for first in range(0, len(rows) - len(ROWS) + 1, len(ROWS)):
        assert sorted(rows[first : first + len(ROWS)]) == ROWS.tolist()
    counts = Counter(rows.tolist()).values()
    assert max(counts) - (min(counts) if len(counts) == len(ROWS) else 0) <= 1


def test_epochs_differ_and_heads_of_one_seed_agree() -> None:
    spec = recipe(steps_per_epoch=6, shuffle_buffer=10)
    first = epoch_order(spec, ROWS, 0, 1)
    assert not np.array_equal(first, epoch_order(spec, ROWS, 0, 2))
    assert not np.array_equal(first, epoch_order(spec, ROWS, 1, 1))
    np.testing.assert_array_equal(first, epoch_order(spec, ROWS, 0, 1))


@given(size=st.integers(1, 70), seed=st.integers(0, 50))
def test_a_picture_never_leaves_the_buffer_before_it_came_in(size: int, seed: int) -> None:
    """A buffer of 1,000 cannot bring forward what is stored 2,000 places later."""
    drawn = buffered_shuffle(ROWS, size, stream(seed, "order", 1))
    assert sorted(drawn) == ROWS.tolist()
    places = np.flatnonzero(drawn[:, None] == ROWS)  # drawn at place i, stored at place j
    drawn_at, stored_at = np.divmod(places, len(ROWS))
    assert (stored_at < drawn_at + size).all()
    if size == 1:
        np.testing.assert_array_equal(drawn, ROWS)


def _naive(count: int, size: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """The window by its definition, with random choices of its own."""
    window, drawn = list(range(min(size, count))), []
    for step in range(count):
        drawn.append(window.pop(generator.integers(len(window))))
        if step + size < count:
            window.append(step + size)
    return np.array(drawn)


def test_a_buffer_shuffles_as_its_definition_does() -> None:
    """How far images travel: else "shuffle(1000)" is another experiment than the article's."""
    rows, size, repeats = np.arange(60), 15, 3000
    generator = np.random.default_rng(0)
    mine = np.array([buffered_shuffle(rows, size, generator) for _ in range(repeats)])
    naive = np.array([_naive(60, size, generator) for _ in range(repeats)])
    error = np.sqrt((mine.var(axis=0) + naive.var(axis=0)) / repeats)
    assert (np.abs(mine.mean(axis=0) - naive.mean(axis=0)) < 5 * error).all()
    np.testing.assert_allclose(mine.var(axis=0), naive.var(axis=0), rtol=0.25)
