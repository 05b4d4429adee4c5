"""Keras's `fit` on arrays in memory, its steps timed; the backend is whichever was imported."""

import argparse
from typing import Any

import keras
from numpy.typing import NDArray
from stepping import Clock


class Steps(keras.callbacks.Callback):
    """Tells the clock of every batch."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.clock.step()


def time_fit(
    model: keras.Model, images: NDArray[Any], labels: NDArray[Any], options: argparse.Namespace
) -> None:
    """One epoch, compiled as the article does."""
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    clock = Clock(options.steps)
    callbacks = [Steps(clock)]
    model.fit(images, labels, batch_size=options.batch, verbose=0, callbacks=callbacks)
    clock.say()
