"""Every photograph once through tf.data: read, decode, resize, batch."""

import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from timing import check, cpu_seconds, files, folder


def picture(path: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
    return tf.image.resize(tf.cast(image, tf.float32) / 255.0, (100, 100))


def main(data: Path) -> dict[str, float]:
    pictures = (
        tf.data.Dataset.from_tensor_slices([str(path) for path in files(data)])
        .map(picture, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(64)
        .prefetch(tf.data.AUTOTUNE)
    )
    began, cpu = time.perf_counter(), cpu_seconds()
    count = sum(len(batch) for batch in pictures)
    seconds = time.perf_counter() - began
    check(count, data)
    return {"seconds": seconds, "cpu_seconds": cpu_seconds() - cpu}


if __name__ == "__main__":
    print(json.dumps(main(folder())))
