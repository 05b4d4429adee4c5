"""Every photograph once through tf.data: read, decode, resize, batch.

`--pipeline article` is the article's script: files are decoded in parallel and images resized one
after the other. `--pipeline tuned` is what tf.data's guide advises: all of it in parallel, in any
order, batches made ahead.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from timing import check, cpu_seconds, files, parser

BATCH_SIZE = 64


def decode(path: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_jpeg(tf.io.read_file(path), channels=3)


def to_square(image: tf.Tensor) -> tf.Tensor:
    return tf.image.resize(tf.cast(image, tf.float32) / 255.0, (100, 100))


def article(paths: tf.data.Dataset) -> tf.data.Dataset:
    decoded = paths.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    return decoded.map(to_square).batch(BATCH_SIZE)


def tuned(paths: tf.data.Dataset) -> tf.data.Dataset:
    pictures = paths.map(
        lambda path: to_square(decode(path)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=False,
    )
    return pictures.batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)


PIPELINES: dict[str, Callable[[tf.data.Dataset], tf.data.Dataset]] = {
    "article": article,
    "tuned": tuned,
}


def main(data: Path, pipeline: str) -> dict[str, float]:
    paths = [str(path) for path in files(data)]
    pictures = PIPELINES[pipeline](tf.data.Dataset.from_tensor_slices(paths))
    began, cpu = time.perf_counter(), cpu_seconds()
    count = sum(len(batch) for batch in pictures)
    seconds = time.perf_counter() - began
    check(count, data)
    return {"seconds": seconds, "cpu_seconds": cpu_seconds() - cpu}


if __name__ == "__main__":
    arguments = parser()
    arguments.add_argument("--pipeline", choices=PIPELINES, required=True)
    options = arguments.parse_args()
    print(json.dumps(main(options.data, options.pipeline)))
