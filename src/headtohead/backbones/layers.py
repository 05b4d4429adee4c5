"""Layers with the constants and initial values of Keras, on PyTorch."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from headtohead.backbones.constants import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM


class BatchNorm(nn.Module):
    """Batch normalisation over all axes but the channels' (Ioffe & Szegedy 2015, 1502.03167).

    Input (N, channels) or (N, channels, H, W); output of the same shape. As in Keras, and unlike
    `torch.nn.BatchNorm2d`, the moving variance follows the biased variance of the batch, and a
    batch of one image is accepted.

    `collect`, where it is set, is given each training batch's mean and biased variance, both
    (channels,), and the averages stay: how `headtohead.training.batch_norm` sees all batches,
    those of fused kernels included. Without `affine` scale and shift are 1 and 0, and not trained.
    """

    collect: Callable[[Tensor, Tensor], None] | None = None

    gamma: Tensor
    beta: Tensor
    moving_mean: Tensor
    moving_variance: Tensor

    def __init__(
        self, channels: int, *, affine: bool = True, epsilon: float = BATCH_NORM_EPSILON
    ) -> None:
        super().__init__()
        self.epsilon = epsilon
        for name, value in (("gamma", torch.ones(channels)), ("beta", torch.zeros(channels))):
            if affine:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value, persistent=False)
        self.register_buffer("moving_mean", torch.zeros(channels))
        self.register_buffer("moving_variance", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the batch in training (moving the averages), by the averages otherwise."""
        if not self.training:
            return torch.batch_norm(
                x, self.gamma, self.beta, self.moving_mean, self.moving_variance,
                False, 0.0, self.epsilon, torch.backends.cudnn.enabled,
            )  # fmt: skip
        output, mean, inverse_deviation = torch.native_batch_norm(
            x, self.gamma, self.beta, None, None, True, 0.0, self.epsilon
        )
        variance = inverse_deviation.detach().pow(-2).sub_(self.epsilon).clamp_(min=0)
        self.move_averages(mean, variance)
        return output

    @torch.no_grad()
    def affine(self) -> tuple[Tensor, Tensor]:
        """What evaluation does to a channel: times the first, plus the second, both (channels,)."""
        scale = self.gamma.double() * (self.moving_variance.double() + self.epsilon).rsqrt()
        shift = self.beta - self.moving_mean * scale
        return scale.to(self.gamma.dtype), shift.to(self.gamma.dtype)

    @torch.no_grad()
    def move_averages(self, mean: Tensor, variance: Tensor) -> None:
        """Take in a batch's mean and biased variance, both (channels,)."""
        if self.collect is not None:
            self.collect(mean, variance)
            return
        self.moving_mean.lerp_(mean, 1 - BATCH_NORM_MOMENTUM)
        self.moving_variance.lerp_(variance, 1 - BATCH_NORM_MOMENTUM)


def convolution(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    *,
    padding: int = 0,
    bias: bool = True,
) -> nn.Conv2d:
    """A convolution, `kernel` × `kernel` or (height, width), initialised as Keras does."""
    return _initialised(nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=bias))


def dense(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """A fully connected layer, initialised as Keras does."""
    return _initialised(nn.Linear(inputs, outputs, bias=bias))


MOST_WIDE = 1_000_000
"""No layer is wider: its weights would fill any memory."""


def are_widths(value: object) -> bool:
    """Whether `value` is a list of layers' widths: whole numbers from 1 to 1,000,000."""
    return isinstance(value, list | tuple) and all(
        isinstance(width, int) and not isinstance(width, bool) and 1 <= width <= MOST_WIDE
        for width in value
    )


Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def _initialised(layer: Layer) -> Layer:
    """Glorot's uniform weights (Glorot & Bengio 2010) and zero biases."""
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
