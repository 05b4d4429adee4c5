"""The tutorial's convolution block, fused on the CPU."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from headtohead.accel.convolutions import array, channels_last, convolution_by, empty
from headtohead.accel.shards import each, shards
from headtohead.backbones.constants import BATCH_NORM_EPSILON
from headtohead.backbones.tutorial_cnn import ConvolutionBlock


class FusedBlock(ConvolutionBlock):
    """A `ConvolutionBlock` whose training, and evaluation without gradients, is fused on the CPU.

    Elsewhere it takes PyTorch's own operations, as the block does that it was made of: it has that
    block's convolution and norm. All compute the same function, up to rounding.
    """

    def __init__(self, block: ConvolutionBlock) -> None:
        nn.Module.__init__(self)  # nothing is drawn: the parameters are there already
        self.convolution = block.convolution
        self.norm = block.norm
        self.training = block.training

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', (H - 2) // 2, (W - 2) // 2)."""
        if _suits_kernels(images):
            if self.norm.training:  # the norm's alone: statistics are recomputed without dropout
                return self._fused(images)
            if not torch.is_grad_enabled():
                return self._evaluated(images)
        return super().forward(images)

    def _fused(self, pictures: Tensor) -> Tensor:
        output, mean, variance = _FusedBlock.apply(  # type: ignore[no-untyped-call]
            pictures,
            self.convolution.weight,
            self.convolution.bias,
            self.norm.gamma,
            self.norm.beta,
        )
        self.norm.move_averages(mean, variance)
        result: Tensor = output
        return result

    def _evaluated(self, pictures: Tensor) -> Tensor:
        from headtohead.accel import kernels  # Numba is slow to import, and only needed here

        pictures = channels_last(pictures)
        weight, bias = self.convolution.weight, cast("Tensor", self.convolution.bias)
        way = convolution_by(weight)
        scale, shift = (part.numpy() for part in self.norm.affine())
        output = empty(_pooled(pictures, weight), pictures)
        results = array(output)

        def evaluate(part: slice) -> None:
            maps = way.maps(pictures[part], bias)
            kernels.affine_pool_relu(array(maps), scale, shift, results[part])

        each(evaluate, shards(len(pictures)))
        return output


def _suits_kernels(pictures: Tensor) -> bool:
    """Whether `pictures` are numbers in memory that Numba can read, not a trace of operations."""
    return (
        pictures.device.type == "cpu"
        and pictures.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    )


class _FusedBlock(torch.autograd.Function):
    """The block in training mode, its memory-bound parts by `headtohead.accel.kernels`.

    Returns the block's output and the batch's mean and biased variance per channel. The bias has
    no gradient: batch norm subtracts whatever it adds.
    """

    @staticmethod
    def forward(
        ctx: Any, pictures: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        from headtohead.accel import kernels  # Numba is slow to import, and only needed here

        pictures = channels_last(pictures)
        parts = shards(len(pictures))
        way = convolution_by(weight)
        sign = torch.where(gamma < 0, -1, 1).to(gamma.dtype).numpy()
        pooled = empty(_pooled(pictures, weight), pictures)
        output = torch.empty_like(pooled)
        values, results = array(pooled), array(output)

        def convolve(part: slice) -> tuple[Tensor, Tensor]:
            maps = way.maps(pictures[part], bias)
            sums = torch.zeros(2, len(gamma), dtype=torch.float64)
            kernels.pool_and_sum(array(maps), sign, values[part], *sums.numpy())
            return maps, sums

        maps, sums = zip(*each(convolve, parts), strict=True)
        exact_mean, mean_square = torch.stack(sums).sum(0) / _per_channel(maps)
        exact_variance = (mean_square - exact_mean**2).clamp_(min=0)
        deviation = (exact_variance + BATCH_NORM_EPSILON).rsqrt_()
        exact_scale = gamma * deviation
        scale = exact_scale.to(pooled.dtype).numpy()
        shift = (beta - exact_mean * exact_scale).to(pooled.dtype)
        factors = scale, shift.numpy()

        def normalise(part: slice) -> None:
            kernels.affine_relu(values[part], *factors, results[part])

        each(normalise, parts)
        mean, variance = exact_mean.to(pooled.dtype), exact_variance.to(pooled.dtype)
        ctx.save_for_backward(pictures, weight, gamma, exact_mean, deviation, shift, pooled, *maps)
        ctx.mark_non_differentiable(mean, variance)
        return output, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from headtohead.accel import kernels

        pictures, weight, gamma, mean, deviation, shift, pooled, *maps = ctx.saved_tensors
        parts = shards(len(pictures))
        gradient, values = array(channels_last(gradients[0])), array(pooled)
        exact_scale = gamma * deviation
        factors = exact_scale.to(pooled.dtype).numpy(), shift.numpy()
        rounded_mean = mean.to(pooled.dtype).numpy()

        def add_up(part: slice) -> Tensor:
            sums = torch.zeros(2, len(gamma), dtype=torch.float64)
            kernels.sum_gradients(
                gradient[part], values[part], *factors, rounded_mean, *sums.numpy()
            )
            return sums

        sums, products = torch.stack(each(add_up, parts)).sum(0)
        # d maps = gamma · deviation · (d - mean(d) - normalised · mean(d · normalised))
        count = _per_channel(maps)
        slope = -exact_scale * deviation**2 * products / count
        offset = -exact_scale * sums / count - slope * mean
        line = offset.to(pooled.dtype).numpy(), slope.to(pooled.dtype).numpy()
        way = convolution_by(weight)
        to_pictures = torch.empty_like(pictures) if ctx.needs_input_grad[0] else None

        def back(part: slice, maps: Tensor) -> Tensor:
            to_maps = torch.empty_like(maps)
            kernels.unpool_and_normalise(
                array(maps), values[part], gradient[part], *factors, *line, array(to_maps)
            )
            to_part = None if to_pictures is None else to_pictures[part]
            return way.gradient(to_maps, pictures[part], to_part)

        to_weight = way.to_weight(torch.stack(each(back, parts, maps)).sum(0))
        to_gamma, to_beta = (products * deviation).to(gamma.dtype), sums.to(gamma.dtype)
        return to_pictures, to_weight, None, to_gamma, to_beta


def _pooled(pictures: Tensor, weight: Tensor) -> tuple[int, ...]:
    """The shape of the block's output."""
    count, _, height, width = pictures.shape
    return count, len(weight), (height - 2) // 2, (width - 2) // 2


def _per_channel(maps: Sequence[Tensor]) -> int:
    """How many values each channel has."""
    return sum(part.numel() // part.shape[1] for part in maps)
