"""The convolutions of the backbone alone, forward and backward; the first needs no input gradient.

PyTorch's own kernels, without bias, batch norm, pool, head, loss or optimiser, in a process set up
as headtohead's workers are.
"""

from stepping import WARM_UP, Clock, arguments  # first: it pins the process

# isort: split
import torch
from torch import Tensor

from headtohead.training.device import set_up_worker

SHAPES = ((3, 32, 100), (32, 32, 49), (32, 64, 23))
"""(channels in, channels out, side) of the article's convolutions."""
HOW = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)
"""Stride, padding, dilation, transposed, output padding, groups."""


def like(*shape: int) -> Tensor:
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    options = arguments()
    set_up_worker(None, torch.device("cpu"), deterministic=False)
    n = options.batch
    layers = [
        (like(n, a, side, side), like(b, a, 3, 3), like(n, b, side - 2, side - 2))
        for a, b, side in SHAPES
    ]
    clock = Clock(options.steps)
    for _ in range(WARM_UP + options.steps):
        for index, (inputs, weights, gradients) in enumerate(layers):
            wanted = [index > 0, True, False]
            torch.ops.aten.convolution(inputs, weights, None, *HOW)
            torch.ops.aten.convolution_backward(gradients, inputs, weights, None, *HOW, wanted)
        clock.step()
    clock.say()
