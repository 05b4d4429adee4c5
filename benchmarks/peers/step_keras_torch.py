"""Training steps of the article's models in Keras on its PyTorch backend."""

from stepping import arguments, as_floats, drawn  # first: it pins the process

# isort: split
import torch
from keras_torch import build
from step_keras import time_fit

if __name__ == "__main__":
    options = arguments()
    torch.set_num_threads(1)
    images, labels = drawn(options)
    pictures = as_floats(images).transpose(0, 3, 1, 2).copy()
    time_fit(build(options.head), pictures, labels, options)
