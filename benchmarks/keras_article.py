"""The article's script on a folder of photographs, timed: the peer that `throughput.py` runs.

The article's pipeline and models, line by line, where today's Keras allows: its
`AveragePooling2D()` must now be given its window of 2 × 2, and pictures come from files instead
of from TensorFlow Datasets, decoded in parallel as that library does. Pictures are decoded and
resized anew every epoch, mapped one after the other, shuffled in a window of 1,000, as there.

    .venv-peers/bin/python benchmarks/keras_article.py --data FOLDER --head gap --limit 4000

prints one JSON object: versions, and for every epoch its pictures, its seconds of training (from
the epoch's start to its last step; validation comes after that) and its CPU seconds.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf
from keras import layers

IMAGE_SIZE = 100
TRAIN_BATCH_SIZE = 64
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif"}


def files_of(data: Path, limit: int | None) -> tuple[list[str], list[int]]:
    """Paths and labels in an order that mixes the classes, at most `limit` in all."""
    folders = sorted(entry for entry in data.iterdir() if entry.is_dir())
    if len(folders) != 2:
        raise SystemExit(f"{data} must have two folders, one per class; it has {len(folders)}.")
    pairs = [
        (str(path), label)
        for label, folder in enumerate(folders)
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES
    ]
    keras.utils.set_random_seed(0)
    order = tf.random.shuffle(tf.range(len(pairs))).numpy()[:limit]
    return [pairs[i][0] for i in order], [pairs[i][1] for i in order]


def decode(path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image, label


def pre_process_image(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    image = tf.cast(image, tf.float32)
    image = image / 255.0
    image = tf.image.resize(image, (IMAGE_SIZE, IMAGE_SIZE))
    return image, label


def pictures(paths: list[str], labels: list[int]) -> tf.data.Dataset:
    files = tf.data.Dataset.from_tensor_slices((paths, labels))
    return files.map(decode, num_parallel_calls=tf.data.AUTOTUNE)


def head_model() -> keras.Sequential:
    head = keras.Sequential()
    head.add(keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3)))
    for width in (32, 32, 64):
        head.add(layers.Conv2D(width, (3, 3)))
        head.add(layers.BatchNormalization())
        head.add(layers.Activation("relu"))
        head.add(layers.MaxPooling2D(pool_size=(2, 2)))
    return head


def fully_connected(dropout: float | None) -> keras.Sequential:
    classifier = keras.Sequential()
    classifier.add(layers.Flatten())
    classifier.add(layers.BatchNormalization())
    classifier.add(layers.Dense(100))
    classifier.add(layers.Activation("relu"))
    if dropout is not None:
        classifier.add(layers.Dropout(dropout))
    classifier.add(layers.BatchNormalization())
    classifier.add(layers.Dense(100))
    classifier.add(layers.Activation("relu"))
    classifier.add(layers.Dense(1))
    classifier.add(layers.Activation("sigmoid"))
    return classifier


def classifier_named(name: str) -> keras.Sequential:
    if name == "fc":
        return fully_connected(None)
    if name == "fc_dropout":
        return fully_connected(0.5)
    pool = [layers.AveragePooling2D((2, 2)), layers.Flatten()]
    if name == "gap":
        pool = [layers.GlobalAveragePooling2D()]
    return keras.Sequential([*pool, layers.Dense(1, activation="sigmoid")])


class Stopwatch(keras.callbacks.Callback):
    """Seconds and CPU seconds of each epoch's training, up to its last step."""

    def __init__(self, pictures_per_epoch: int) -> None:
        super().__init__()
        self.pictures = pictures_per_epoch
        self.epochs: list[dict[str, float]] = []

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.began = time.perf_counter(), time.process_time()

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.ended = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        wall, cpu = (end - begin for begin, end in zip(self.began, self.ended, strict=True))
        self.epochs.append({"pictures": self.pictures, "seconds": wall, "cpu_seconds": cpu})


def train(options: argparse.Namespace) -> list[dict[str, float]]:
    paths, labels = files_of(options.data, options.limit)
    cut, end = int(0.8 * len(paths)), int(0.9 * len(paths))
    steps = max(1, cut // TRAIN_BATCH_SIZE)
    cat_train = pictures(paths[:cut], labels[:cut]).map(pre_process_image)
    if options.keep == "memory":
        cat_train = cat_train.cache()
    cat_train = cat_train.shuffle(1000).repeat().batch(TRAIN_BATCH_SIZE)
    cat_valid = pictures(paths[cut:end], labels[cut:end]).map(pre_process_image)
    cat_valid = cat_valid.repeat().batch(min(1000, end - cut))
    model = keras.Sequential([head_model(), classifier_named(options.head)])
    model.compile(
        optimizer=keras.optimizers.Adam(), loss="binary_crossentropy", metrics=["accuracy"]
    )
    stopwatch = Stopwatch(steps * TRAIN_BATCH_SIZE)
    with tempfile.TemporaryDirectory() as log:
        model.fit(
            cat_train,
            steps_per_epoch=steps,
            epochs=options.epochs,
            validation_data=cat_valid,
            validation_steps=max(1, (end - cut) // 1000),
            callbacks=[keras.callbacks.TensorBoard(log_dir=log), stopwatch],
            verbose=0,
        )
    return stopwatch.epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="two folders of photographs")
    parser.add_argument("--head", choices=["fc", "fc_dropout", "gap", "avgpool2x2"], default="gap")
    parser.add_argument("--limit", type=int, help="at most this many photographs")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument(
        "--keep",
        choices=["nothing", "memory"],
        default="nothing",
        help="keep decoded pictures in memory after the first epoch; the article keeps nothing",
    )
    epochs = train(parser.parse_args())
    versions = {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }
    print(json.dumps({"versions": versions, "epochs": epochs}))


if __name__ == "__main__":
    main()
