"""Training steps of the article's models, as its script builds them, on TensorFlow."""

import sys
from pathlib import Path

from stepping import SIZE, arguments, as_floats, drawn  # first: it pins the process

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples"))

# isort: split
import tensorflow as tf
from keras_article import build
from step_keras import time_fit

if __name__ == "__main__":
    options = arguments()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    images, labels = drawn(options)
    time_fit(build(options.head, SIZE), as_floats(images), labels, options)
