"""The article's convolution block, and its fused forms on the CPU."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from headtohead.models.constants import BATCH_NORM_EPSILON
from headtohead.models.layers import BatchNorm, convolution

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

        maps = _channels_last(self.convolution(pictures))
        scale, shift = self.norm.affine()
        count, channels, height, width = maps.shape
        output = _empty((count, channels, height // 2, width // 2), maps)
        kernels.affine_pool_relu(_array(maps), scale.numpy(), shift.numpy(), _array(output))
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

        maps = _channels_last(torch.ops.aten.convolution(pictures, weight, bias, *_CONVOLUTION))
        pictures_count, channels, height, width = maps.shape
        shape = (pictures_count, channels, height // 2, width // 2)
        pooled, output = _empty(shape, maps), _empty(shape, maps)
        sums, squares = torch.zeros(2, channels, dtype=torch.float64).unbind()
        kernels.pool_and_sum(
            _array(maps), torch.where(gamma < 0, -1, 1).to(gamma.dtype).numpy(), _array(pooled),
            sums.numpy(), squares.numpy(),
        )  # fmt: skip
        count = maps.numel() // channels
        exact_mean = sums / count
        exact_variance = (squares / count - exact_mean**2).clamp_(min=0)
        deviation = (exact_variance + BATCH_NORM_EPSILON).rsqrt_()
        scale = gamma * deviation
        shift = beta - exact_mean * scale
        kernels.affine_relu(
            _array(pooled), scale.to(maps.dtype).numpy(), shift.to(maps.dtype).numpy(),
            _array(output),
        )  # fmt: skip
        mean, variance = exact_mean.to(maps.dtype), exact_variance.to(maps.dtype)
        ctx.save_for_backward(pictures, weight, gamma, maps, pooled, output, exact_mean, deviation)
        ctx.mark_non_differentiable(mean, variance)
        return output, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from headtohead.models import kernels

        pictures, weight, gamma, maps, pooled, output, mean, deviation = ctx.saved_tensors
        gradient = _channels_last(gradients[0])
        masked = torch.empty_like(pooled)
        sums, products = torch.zeros(2, len(gamma), dtype=torch.float64).unbind()
        kernels.mask_and_sum(
            _array(gradient), _array(output), _array(pooled), mean.to(maps.dtype).numpy(),
            _array(masked), sums.numpy(), products.numpy(),
        )  # fmt: skip
        # d maps = gamma · deviation · (d - mean(d) - normalised · mean(d · normalised))
        count = maps.numel() // len(gamma)
        scale = gamma * deviation
        slope = -scale * deviation**2 * products / count
        offset = -scale * sums / count - slope * mean
        maps_gradient = torch.empty_like(maps)
        scale, offset, slope = (part.to(maps.dtype) for part in (scale, offset, slope))
        kernels.unpool_and_normalise(
            _array(maps), _array(pooled), _array(masked),
            scale.numpy(), offset.numpy(), slope.numpy(), _array(maps_gradient),
        )  # fmt: skip
        wanted = [ctx.needs_input_grad[0], True, False]
        to_pictures, to_weight, _ = torch.ops.aten.convolution_backward(
            maps_gradient, pictures, weight, None, *_CONVOLUTION, wanted
        )
        to_gamma, to_beta = (products * deviation).to(gamma.dtype), sums.to(gamma.dtype)
        return to_pictures, to_weight, None, to_gamma, to_beta


def _empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, memory_format=torch.channels_last)


def _channels_last(maps: Tensor) -> Tensor:
    return maps.contiguous(memory_format=torch.channels_last)


def _array(maps: Tensor) -> NDArray[Any]:
    """(N, C, H, W), channels last in memory → (N, H, W, C) array on the same memory."""
    array: NDArray[Any] = maps.detach().permute(0, 2, 3, 1).numpy()
    return array
