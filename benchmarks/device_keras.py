"""Keras's `fit` of device.py's heads on a prepared set in memory; started by device.py.

The first of Keras's backends that is installed and sees the device is taken: TensorFlow, the
article's, then JAX, then PyTorch. Prints a JSON list, one entry per head with the training
images/s of every epoch after the first, which compiles; an empty list where Keras cannot run so.
"""

import argparse
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from headtohead.data.prepared import load_prepared


def sees(backend: str, device: str) -> bool:
    """Whether the backend is installed and has the device; imports it where that must be asked."""
    if importlib.util.find_spec(backend) is None:
        return False
    if device == "cpu":
        return True
    if backend == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    if backend == "jax":
        import jax

        return bool(jax.default_backend() == "gpu")
    import torch

    return torch.cuda.is_available()


def model(head: str, side: int) -> Any:
    """The article's convolutions under `head`, on uint8 images, compiled as there."""
    import keras
    from keras import layers

    built = [keras.Input((side, side, 3), dtype="uint8"), layers.Rescaling(1 / 255)]
    for width in (32, 32, 64):
        built += [
            layers.Conv2D(width, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(2),
        ]
    if head == "gap":
        built += [layers.GlobalAveragePooling2D()]
    else:
        built += [layers.Flatten(), layers.BatchNormalization(), layers.Dense(100), layers.ReLU()]
        built += [layers.Dropout(0.5)] if head == "fc_dropout" else []
        built += [layers.BatchNormalization(), layers.Dense(100), layers.ReLU()]
    network = keras.Sequential([*built, layers.Dense(1, activation="sigmoid")])
    network.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    return network


def measure(options: argparse.Namespace, backend: str) -> list[dict[str, Any]]:
    import keras

    class Clock(keras.callbacks.Callback):
        """Seconds of each epoch."""

        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seconds.append(time.perf_counter() - self.began)

    stored = load_prepared(options.prepared)
    count = min(options.pictures, len(stored.labels)) // options.batch * options.batch
    images, labels = np.asarray(stored.images[:count]), stored.labels[:count]
    entries = []
    for head in options.heads:
        clock = Clock()
        model(head, images.shape[1]).fit(
            images, labels, batch_size=options.batch, epochs=options.epochs, verbose=0,
            callbacks=[clock],
        )  # fmt: skip
        rates = [count / seconds for seconds in clock.seconds[1:]]
        entries.append({"head": head, "backend": backend, "keras": keras.__version__,
                        "pictures_per_second": rates})  # fmt: skip
    return entries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--device", choices=["cpu", "cuda"], required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--pictures", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--heads", nargs="+", required=True)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    backends = ("tensorflow", "jax", "torch") if importlib.util.find_spec("keras") else ()
    backend = next((name for name in backends if sees(name, options.device)), None)
    if backend is None:
        print(f"no Keras with a backend that sees {options.device}", file=sys.stderr)
        print("[]")
        return
    os.environ["KERAS_BACKEND"] = backend
    print(json.dumps(measure(options, backend)))


if __name__ == "__main__":
    main()
