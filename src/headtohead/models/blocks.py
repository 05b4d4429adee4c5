"""The article's convolution block, and its fused forms on the CPU."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from headtohead.models.constants import BATCH_NORM_EPSILON
from headtohead.models.layers import BatchNorm, convolution
from headtohead.models.shards import each, shards

_CONVOLUTION: tuple[Any, ...] = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)


class ConvolutionBlock(nn.Module):
    """Convolution 3 × 3, batch norm, ReLU, max-pool 2 × 2: (N, C, H, W) → (N, C', h, w).

    h = (H - 2) // 2. The pool stands before the ReLU: both are monotonic, so they commute
    exactly, and the ReLU runs on a quarter of the values. On the CPU training, and evaluation
    without gradients, take the fused forms below; everything else PyTorch's own operations. All
    compute the same function, up to rounding.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = convolution(inputs, outputs, kernel=3)
        self.norm = BatchNorm(outputs)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', (H - 2) // 2, (W - 2) // 2)."""
        if _suits_kernels(pictures):
            if self.training:
                return self._fused(pictures)
            if not torch.is_grad_enabled():
                return self._evaluated(pictures)
        return functional.relu(functional.max_pool2d(self.norm(self.convolution(pictures)), 2))

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
        from headtohead.models import kernels  # Numba is slow to import, and only needed here

        weight, bias = self.convolution.weight, self.convolution.bias
        scale, shift = (part.numpy() for part in self.norm.affine())
        output = _empty(_pooled(pictures, weight), pictures)

        def evaluate(part: slice) -> None:
            maps = _convolved(pictures[part], weight, bias)
            kernels.affine_pool_relu(_array(maps), scale, shift, _array(output[part]))

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
    """The block in training mode, its memory-bound parts by `headtohead.models.kernels`.

    Returns the block's output and the batch's mean and biased variance per channel. The bias has
    no gradient: batch norm subtracts whatever it adds.
    """

    @staticmethod
    def forward(
        ctx: Any, pictures: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        from headtohead.models import kernels  # Numba is slow to import, and only needed here

        parts = shards(len(pictures))
        sign = torch.where(gamma < 0, -1, 1).to(gamma.dtype).numpy()
        pooled = _empty(_pooled(pictures, weight), pictures)
        output = torch.empty_like(pooled)

        def convolve(part: slice) -> tuple[Tensor, Tensor]:
            maps = _convolved(pictures[part], weight, bias)
            sums = torch.zeros(2, len(gamma), dtype=torch.float64)
            kernels.pool_and_sum(_array(maps), sign, _array(pooled[part]), *sums.numpy())
            return maps, sums

        maps, sums = zip(*each(convolve, parts), strict=True)
        exact_mean, mean_square = torch.stack(sums).sum(0) / _per_channel(maps)
        exact_variance = (mean_square - exact_mean**2).clamp_(min=0)
        deviation = (exact_variance + BATCH_NORM_EPSILON).rsqrt_()
        exact_scale = gamma * deviation
        scale = exact_scale.to(pooled.dtype)
        shift = (beta - exact_mean * exact_scale).to(pooled.dtype)

        def normalise(part: slice) -> None:
            kernels.affine_relu(
                _array(pooled[part]), scale.numpy(), shift.numpy(), _array(output[part])
            )

        each(normalise, parts)
        mean, variance = exact_mean.to(pooled.dtype), exact_variance.to(pooled.dtype)
        ctx.save_for_backward(pictures, weight, gamma, exact_mean, deviation, shift, pooled, *maps)
        ctx.mark_non_differentiable(mean, variance)
        return output, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from headtohead.models import kernels

        pictures, weight, gamma, mean, deviation, shift, pooled, *maps = ctx.saved_tensors
        parts = shards(len(pictures))
        gradient = _channels_last(gradients[0])
        exact_scale = gamma * deviation
        scale, rounded_mean = exact_scale.to(pooled.dtype), mean.to(pooled.dtype)

        def add_up(part: slice) -> Tensor:
            sums = torch.zeros(2, len(gamma), dtype=torch.float64)
            kernels.sum_gradients(
                _array(gradient[part]), _array(pooled[part]), scale.numpy(), shift.numpy(),
                rounded_mean.numpy(), *sums.numpy(),
            )  # fmt: skip
            return sums

        sums, products = torch.stack(each(add_up, parts)).sum(0)
        # d maps = gamma · deviation · (d - mean(d) - normalised · mean(d · normalised))
        count = _per_channel(maps)
        exact_slope = -exact_scale * deviation**2 * products / count
        offset = (-exact_scale * sums / count - exact_slope * mean).to(pooled.dtype)
        slope = exact_slope.to(pooled.dtype)
        wanted = [ctx.needs_input_grad[0], True, False]
        to_pictures = torch.empty_like(pictures) if wanted[0] else None

        def back(part: slice, maps: Tensor) -> Tensor:
            to_maps = torch.empty_like(maps)
            kernels.unpool_and_normalise(
                _array(maps), _array(pooled[part]), _array(gradient[part]), scale.numpy(),
                shift.numpy(), offset.numpy(), slope.numpy(), _array(to_maps),
            )  # fmt: skip
            to_part, to_weight, _ = torch.ops.aten.convolution_backward(
                to_maps, pictures[part], weight, None, *_CONVOLUTION, wanted
            )
            if to_pictures is not None:
                to_pictures[part] = to_part
            return cast("Tensor", to_weight)

        to_weight = torch.stack(each(back, parts, maps)).sum(0)
        to_gamma, to_beta = (products * deviation).to(gamma.dtype), sums.to(gamma.dtype)
        return to_pictures, to_weight, None, to_gamma, to_beta


def _convolved(pictures: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return _channels_last(torch.ops.aten.convolution(pictures, weight, bias, *_CONVOLUTION))


def _pooled(pictures: Tensor, weight: Tensor) -> tuple[int, ...]:
    """The shape of the block's output."""
    count, _, height, width = pictures.shape
    return count, len(weight), (height - 2) // 2, (width - 2) // 2


def _per_channel(maps: Sequence[Tensor]) -> int:
    """How many values each channel has."""
    return sum(part.numel() // part.shape[1] for part in maps)


def _empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, memory_format=torch.channels_last)


def _channels_last(maps: Tensor) -> Tensor:
    return maps.contiguous(memory_format=torch.channels_last)


def _array(maps: Tensor) -> NDArray[Any]:
    """(N, C, H, W), channels last in memory → (N, H, W, C) array on the same memory."""
    array: NDArray[Any] = maps.detach().permute(0, 2, 3, 1).numpy()
    return array
