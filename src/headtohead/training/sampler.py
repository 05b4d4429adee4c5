"""In which order a run is shown its images."""

import numpy as np
from numpy.typing import NDArray

from headtohead.config.recipe import RecipeSpec
from headtohead.core.streams import stream

Rows = NDArray[np.int64]


def epoch_order(recipe: RecipeSpec, train: Rows, seed: int, epoch: int) -> Rows:
    """The rows of epoch `epoch` (from 1): full batches, one after the other.

    One pass over `train` in an order of its own; what does not fill a batch comes back in the next
    epoch's. With `steps_per_epoch`, epochs are cut from one endless sequence of passes. Every pass
    has a stream of its own: an epoch's order does not depend on whether others were drawn.
    """
    size = recipe.batch(len(train)) * recipe.steps(len(train))
    if recipe.steps_per_epoch is None:
        return _pass(recipe, train, seed, epoch)[:size]
    first = (epoch - 1) * size
    passes = range(first // len(train), (first + size - 1) // len(train) + 1)
    rows = np.concatenate([_pass(recipe, train, seed, number + 1) for number in passes])
    start = first - passes[0] * len(train)
    return rows[start : start + size]


def _pass(recipe: RecipeSpec, train: Rows, seed: int, number: int) -> Rows:
    generator = stream(seed, "order", number)
    if recipe.shuffle_buffer is None:
        return generator.permutation(train)
    return buffered_shuffle(train, recipe.shuffle_buffer, generator)


def buffered_shuffle(rows: Rows, size: int, generator: np.random.Generator) -> Rows:
    """Each of `rows` once, drawn from a window of `size` that moves over them.

    What `tf.data.Dataset.shuffle(size)` does in one pass: a row that is drawn gives its place in
    the window to the next one; at the end the window is emptied in random order.
    """
    window, coming = rows[:size].tolist(), iter(rows[size:].tolist())
    drawn = []
    for place in generator.random(len(rows)).tolist():
        index = int(place * len(window))
        drawn.append(window[index])
        following = next(coming, None)
        if following is None:
            window[index] = window[-1]
            window.pop()
        else:
            window[index] = following
    return np.array(drawn, np.int64)
