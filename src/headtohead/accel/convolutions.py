"""Convolutions 3 × 3 without padding, on the CPU and a shard at a time, and their gradients."""

from typing import Any, Protocol, cast

import torch
from numpy.typing import NDArray
from torch import Tensor

WORTH_WHILE = 16
"""Input channels from which Winograd's way is the faster one: docs/speed.md."""

# Lavin & Gray's G: a filter's values at their points, in one dimension and in two.
_LINE = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)
_PLANE = torch.kron(_LINE, _LINE)


class Convolution(Protocol):
    """One batch's convolution: its weights stay what they are from the first shard to the last."""

    def maps(self, pictures: Tensor, bias: Tensor) -> Tensor:
        """(n, C, H, W) → (n, C', H - 2, W - 2), both channels last in memory; `bias` is (C',)."""

    def gradient(self, to_maps: Tensor, pictures: Tensor, to_pictures: Tensor | None) -> Tensor:
        """What a shard adds to the weights' gradient; see `to_weight`.

        `to_maps` is the gradient of what `maps` made of these `pictures`. Fills `to_pictures` with
        the images' gradient.
        """

    def to_weight(self, gradient: Tensor) -> Tensor:
        """(C', C, 3, 3), the weights' gradient, of what all shards' `gradient`s add up to."""


def convolution_by(weight: Tensor) -> Convolution:
    """Whichever way is the faster for `weight` (C', C, 3, 3)."""
    return Winograd(weight) if weight.shape[1] >= WORTH_WHILE else Direct(weight)


class Direct:
    """By the library's own convolution."""

    _HOW: tuple[Any, ...] = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)

    def __init__(self, weight: Tensor) -> None:
        self._weight = weight

    def maps(self, pictures: Tensor, bias: Tensor) -> Tensor:
        """As `Convolution` says."""
        return channels_last(torch.ops.aten.convolution(pictures, self._weight, bias, *self._HOW))

    def gradient(self, to_maps: Tensor, pictures: Tensor, to_pictures: Tensor | None) -> Tensor:
        """As `Convolution` says."""
        to_shard, to_weight, _ = torch.ops.aten.convolution_backward(
            to_maps,
            pictures,
            self._weight,
            None,
            *self._HOW,
            [to_pictures is not None, True, False],
        )
        if to_pictures is not None:
            to_pictures.copy_(to_shard)
        return cast("Tensor", to_weight)

    def to_weight(self, gradient: Tensor) -> Tensor:
        """As `Convolution` says."""
        return gradient


class Winograd:
    """In a quarter of the multiplications: products of matrices, one for each of 36 points.

    F(4 × 4, 3 × 3) of Lavin & Gray 2016 (1509.09308). Exact but for rounding, which in float32 is
    some ten times that of the definition, and still some 1e-5 of the largest value (docs/speed.md).
    """

    def __init__(self, weight: Tensor) -> None:
        outputs, inputs = weight.shape[:2]
        flat = weight.detach().permute(2, 3, 1, 0).reshape(9, inputs * outputs)
        self._filters = (_PLANE @ flat.double()).to(weight.dtype).view(36, inputs, outputs)

    def maps(self, pictures: Tensor, bias: Tensor) -> Tensor:
        """As `Convolution` says."""
        from headtohead.accel import tiles  # Numba is slow to import, and only needed here

        n, _, height, width = pictures.shape
        outputs = self._filters.shape[2]
        maps = empty((n, outputs, height - 2, width - 2), pictures)
        points = torch.bmm(self._at_points(pictures), self._filters)
        tiles.output_transform(self._rows(points, maps), bias.detach().numpy(), array(maps))
        return maps

    def gradient(self, to_maps: Tensor, pictures: Tensor, to_pictures: Tensor | None) -> Tensor:
        """As `Convolution` says."""
        from headtohead.accel import tiles

        points = self._at_points(pictures)  # again: cheaper than kept
        to_points = points.new_empty(36, points.shape[1], to_maps.shape[1])
        tiles.output_transform_adjoint(array(to_maps), self._rows(to_points, to_maps))
        gradient = torch.bmm(points.transpose(1, 2), to_points)
        if to_pictures is not None:
            torch.bmm(to_points, self._filters.transpose(1, 2), out=points)
            tiles.input_transform_adjoint(self._rows(points, to_maps), array(to_pictures))
        return gradient

    def to_weight(self, gradient: Tensor) -> Tensor:
        """As `Convolution` says."""
        inputs, outputs = gradient.shape[1:]
        flat = _PLANE.T @ gradient.double().view(36, inputs * outputs)
        return flat.view(3, 3, inputs, outputs).permute(3, 2, 0, 1).to(gradient.dtype)

    def _at_points(self, pictures: Tensor) -> Tensor:
        """(36, tiles, C)."""
        from headtohead.accel import tiles

        n, channels, height, width = pictures.shape
        points = pictures.new_empty(36, n * _tiles(height - 2) * _tiles(width - 2), channels)
        rows = points.numpy().reshape(36, n * _tiles(height - 2), -1)
        tiles.input_transform(array(pictures), rows)
        return points

    @staticmethod
    def _rows(points: Tensor, maps: Tensor) -> NDArray[Any]:
        """(36, tiles, C) as `tiles` wants them: (36, rows of tiles, tiles in a row · C)."""
        return points.numpy().reshape(36, len(maps) * _tiles(maps.shape[2]), -1)


def _tiles(side: int) -> int:
    """How many it takes to cover so many pixels of the maps."""
    return -(-side // 4)


def empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Channels last in memory."""
    return torch.empty(shape, dtype=like.dtype, memory_format=torch.channels_last)


def channels_last(maps: Tensor) -> Tensor:
    """The same, channels last in memory."""
    return maps.contiguous(memory_format=torch.channels_last)


def array(maps: Tensor) -> NDArray[Any]:
    """(N, C, H, W), channels last in memory → (N, H, W, C) array on the same memory."""
    view: NDArray[Any] = maps.detach().permute(0, 2, 3, 1).numpy()
    return view
