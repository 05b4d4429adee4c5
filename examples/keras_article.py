"""The article's experiment in today's TensorFlow and Keras, from photographs to a comparison.

    python examples/keras_article.py --data FOLDER --out runs/keras

FOLDER has one subfolder of photographs per class, or `train/`, `validation/` and `test/` above
them; `tfds` stands for TensorFlow Datasets' own cats_vs_dogs. The steps are the article's, in its
order: load, look, pre-process, build, fit, compare. What has moved on since is said where it has.
Needs tensorflow, keras and matplotlib: `make peers` installs them in `.venv-peers`; `tfds` needs
tensorflow-datasets, too.

Epochs are written to `<out>/<head>/seed-<n>/history.jsonl`, in the form of headtohead's ledger, so
that `headtohead report DIR --beside keras=runs/keras` draws them beside its own.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import matplotlib as mpl
import tensorflow as tf
from keras import layers

mpl.use("agg")
from matplotlib import pyplot as plt

TRAIN_BATCH_SIZE = 64
VALID_BATCH_SIZE = 1000
SPLITS = ("train", "validation", "test")
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif"}
HEADS = ("fc", "avgpool2x2", "fc_dropout", "gap")


# Load. The article's `tfds.Split.TRAIN.subsplit` is gone: splits are named by strings now.


def load(options: argparse.Namespace) -> tuple[tf.data.Dataset, tf.data.Dataset, int]:
    """Training and validation images as they are stored, and how many there are to train on."""
    if options.data == "tfds":
        import tensorflow_datasets as tfds

        train, valid = tfds.load(
            "cats_vs_dogs", split=["train[:80%]", "train[80%:90%]"], as_supervised=True
        )
        return train, valid, len(train)
    train, valid = photographs(Path(options.data), options.limit)
    return stored(train), stored(valid), len(train)


def photographs(folder: Path, limit: int | None) -> tuple[list[tuple[str, int]], ...]:
    """(path, label) of training and validation, in an order that mixes the classes."""
    if all((folder / name).is_dir() for name in SPLITS):
        train, valid = (shuffled(labelled(folder / name)) for name in SPLITS[:2])
        if limit is None:
            return train, valid
        return train[: int(0.8 * limit)], valid[: int(0.1 * limit)]
    pairs = shuffled(labelled(folder))[:limit]
    cut, end = int(0.8 * len(pairs)), int(0.9 * len(pairs))
    return pairs[:cut], pairs[cut:end]


def labelled(folder: Path) -> list[tuple[str, int]]:
    classes = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    if len(classes) != 2:
        raise SystemExit(f"{folder} must have two folders, one per class; it has {len(classes)}.")
    return [
        (str(path), label)
        for label, entry in enumerate(classes)
        for path in sorted(entry.iterdir())
        if path.suffix.lower() in SUFFIXES
    ]


def shuffled(pairs: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """The same order for every seed: what TensorFlow Datasets has on disk."""
    keras.utils.set_random_seed(0)
    return [pairs[i] for i in tf.random.shuffle(tf.range(len(pairs))).numpy()]


def stored(pairs: list[tuple[str, int]]) -> tf.data.Dataset:
    paths, labels = [path for path, _ in pairs], [label for _, label in pairs]
    files = tf.data.Dataset.from_tensor_slices((paths, labels))
    return files.map(decode, num_parallel_calls=tf.data.AUTOTUNE)


def decode(path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image, label


# Look.


def look(pictures: tf.data.Dataset, path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(8, 4))
    for panel, (image, label) in zip(axes, pictures.take(2), strict=True):
        panel.imshow(image)
        panel.set_title(f"class {int(label)}, {image.shape[0]} × {image.shape[1]} pixels")
    figure.savefig(path)


# Pre-process.


def pre_process_image(size: int):
    def to_square(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.cast(image, tf.float32)
        image = image / 255.0
        image = tf.image.resize(image, (size, size))
        return image, label

    return to_square


# Build. Keras 3 wants the input's shape as a layer, and the pool's window: the article's
# `AveragePooling2D()`, 2 × 2 by default, no longer runs. Its text says "global"; `gap` is.


def convolutions(size: int) -> keras.Sequential:
    """What the article calls the head: the part that all classifiers share the design of."""
    head = keras.Sequential([keras.Input((size, size, 3))])
    for width in (32, 32, 64):
        head.add(layers.Conv2D(width, (3, 3)))
        head.add(layers.BatchNormalization())
        head.add(layers.Activation("relu"))
        head.add(layers.MaxPooling2D(pool_size=(2, 2)))
    return head


def fully_connected(dropout: float | None) -> list[keras.Layer]:
    return [
        layers.Flatten(),
        layers.BatchNormalization(),
        layers.Dense(100),
        layers.Activation("relu"),
        *([layers.Dropout(dropout)] if dropout else []),
        layers.BatchNormalization(),
        layers.Dense(100),
        layers.Activation("relu"),
    ]


def build(head: str, size: int) -> keras.Sequential:
    """Convolutions of its own for every head: the recorded runs started anew, too."""
    classifier = {
        "fc": lambda: fully_connected(None),
        "fc_dropout": lambda: fully_connected(0.5),
        "avgpool2x2": lambda: [layers.AveragePooling2D((2, 2)), layers.Flatten()],
        "gap": lambda: [layers.GlobalAveragePooling2D()],
    }[head]()
    return keras.Sequential(
        [convolutions(size), *classifier, layers.Dense(1, activation="sigmoid")]
    )


# Fit.


class History(keras.callbacks.Callback):
    """Writes epochs as headtohead's ledger has them; rates are those of the training steps."""

    def __init__(self, path: Path, pictures: int) -> None:
        super().__init__()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("w", encoding="utf-8")
        self.pictures = pictures

    def on_epoch_begin(self, epoch: int, logs=None) -> None:
        self.began = time.perf_counter(), time.process_time()

    def on_train_batch_end(self, batch: int, logs=None) -> None:
        self.trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        wall, cpu = self.began
        record = {
            "epoch": epoch + 1,
            **{name: float(value) for name, value in (logs or {}).items()},
            "seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - cpu,
            "pictures_per_second": self.pictures / (self.trained - wall),
        }
        self.file.write(json.dumps(record) + "\n")
        self.file.flush()

    def on_train_end(self, logs=None) -> None:
        self.file.close()


def fit(head: str, options: argparse.Namespace) -> dict[str, list[float]]:
    train, valid, pictures = load(options)
    to_square = pre_process_image(options.image_size)
    train, valid = train.map(to_square), valid.map(to_square)
    if options.keep == "memory":
        train, valid = train.cache(), valid.cache()
    keras.utils.set_random_seed(options.seed)
    steps = options.steps_per_epoch or max(1, pictures // TRAIN_BATCH_SIZE)
    valid = valid if options.validation_steps is None else valid.repeat()
    model = build(head, options.image_size)
    model.compile(
        optimizer=keras.optimizers.Adam(), loss="binary_crossentropy", metrics=["accuracy"]
    )
    run = options.out / head / f"seed-{options.seed}"
    fitted = model.fit(
        train.shuffle(1000).repeat().batch(TRAIN_BATCH_SIZE),
        steps_per_epoch=steps,
        epochs=options.epochs,
        validation_data=valid.batch(VALID_BATCH_SIZE),
        validation_steps=options.validation_steps,
        callbacks=[
            keras.callbacks.TensorBoard(log_dir=options.out / "tensorboard" / head / run.name),
            History(run / "history.jsonl", steps * TRAIN_BATCH_SIZE),
        ],
        verbose=2,
    )
    return fitted.history


# Compare.


def compare(histories: dict[str, dict[str, list[float]]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4.5))
    for head, history in histories.items():
        epochs = range(1, len(history["accuracy"]) + 1)
        (line,) = axes.plot(epochs, history["val_accuracy"], label=f"{head}, validation")
        axes.plot(epochs, history["accuracy"], "--", color=line.get_color(), alpha=0.5)
        print(f"{head:12s} validation accuracy {history['val_accuracy'][-1]:.4f}")
    axes.set(xlabel="epoch", ylabel="accuracy", title="validation; dashed: training")
    axes.legend()
    figure.savefig(path)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", required=True, help="a folder of photographs, or tfds")
    parser.add_argument("--heads", default="fc,avgpool2x2,fc_dropout", help=", ".join(HEADS))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--image-size", type=int, default=100)
    parser.add_argument("--limit", type=int, help="at most this many photographs in all")
    parser.add_argument("--steps-per-epoch", type=int, help="the article has 363")
    parser.add_argument(
        "--validation-steps",
        type=int,
        help="of 1,000; the article has 10 (default: every image once)",
    )
    parser.add_argument(
        "--keep",
        choices=["nothing", "memory"],
        default="nothing",
        help="keep decoded images after the first epoch; the article decodes them anew",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/keras"))
    options = parser.parse_args()
    if options.data == "tfds" and options.limit is not None:
        parser.error("--limit is for a folder of photographs, not for tfds.")
    unknown = set(options.heads.split(",")) - set(HEADS)
    if unknown:
        parser.error(f"no head {', '.join(sorted(unknown))}; there are {', '.join(HEADS)}.")
    return options


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    look(load(options)[0], options.out / "pictures.png")
    histories = {head: fit(head, options) for head in options.heads.split(",")}
    compare(histories, options.out / "comparison.png")


if __name__ == "__main__":
    main()
