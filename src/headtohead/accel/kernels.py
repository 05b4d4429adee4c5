"""The parts of a convolution block that only move memory, in as few passes as there can be.

Batch norm, max-pool 2 × 2 and ReLU over the first block's 98 × 98 maps took half of a training
step on a CPU, all of it reading and writing full-size maps. Two facts save most of it, exactly:
the pool commutes with the affine part of batch norm once the maps are multiplied by the sign of
gamma, and the gradient of the pool is nonzero at one place in four. So the forward pass reads the
maps once, for their sums and their pool, and normalises a quarter of the values; the backward pass
reads them once and writes their gradient once.

Compiled by Numba when first called and kept on disk. All maps are (N, H, W, C) arrays, contiguous;
rows and columns that do not fill a 2 × 2 window take part in the sums but in no pool.
"""

from typing import Any

import numpy as np
from numba import njit

from headtohead.accel.kernel_cache import keeps_kernels


@njit(cache=keeps_kernels(), nogil=True, error_model="numpy")
def pool_and_sum(maps: Any, sign: Any, pooled: Any, sums: Any, squares: Any) -> None:
    """One reading of `maps`: `pooled` (N, H//2, W//2, C) and, per channel, sums and squares.

    `pooled` is the greatest value of each window where `sign` is 1, the least where it is -1.
    `sums` and `squares` (C,) float64 are added to, row pair by row pair.
    """
    pictures, height, width, channels = maps.shape
    row, row_squares = np.zeros(channels, maps.dtype), np.zeros(channels, maps.dtype)
    for n in range(pictures):
        for i in range(0, height - 1, 2):
            row[:] = 0
            row_squares[:] = 0
            for j in range(0, width - 1, 2):
                upper_left, upper_right = maps[n, i, j], maps[n, i, j + 1]
                lower_left, lower_right = maps[n, i + 1, j], maps[n, i + 1, j + 1]
                best = pooled[n, i // 2, j // 2]
                for c in range(channels):
                    a, b, d, e = upper_left[c], upper_right[c], lower_left[c], lower_right[c]
                    row[c] += (a + b) + (d + e)
                    row_squares[c] += (a * a + b * b) + (d * d + e * e)
                    s = sign[c]
                    best[c] = max(max(a * s, b * s), max(d * s, e * s)) * s
            if width % 2:
                _add(maps[n, i, width - 1], row, row_squares)
                _add(maps[n, i + 1, width - 1], row, row_squares)
            for c in range(channels):
                sums[c] += row[c]
                squares[c] += row_squares[c]
        if height % 2:
            row[:] = 0
            row_squares[:] = 0
            for j in range(width):
                _add(maps[n, height - 1, j], row, row_squares)
            for c in range(channels):
                sums[c] += row[c]
                squares[c] += row_squares[c]


@njit(cache=keeps_kernels(), nogil=True, error_model="numpy")
def _add(values: Any, row: Any, row_squares: Any) -> None:
    for c in range(len(values)):
        row[c] += values[c]
        row_squares[c] += values[c] * values[c]


@njit(cache=keeps_kernels(), nogil=True, error_model="numpy")
def affine_relu(pooled: Any, scale: Any, shift: Any, output: Any) -> None:
    """`output` = max(pooled · scale + shift, 0) per channel; NaN stays NaN."""
    pictures, height, width, channels = pooled.shape
    zero = pooled.dtype.type(0)
    for n in range(pictures):
        for i in range(height):
            for j in range(width):
                values, results = pooled[n, i, j], output[n, i, j]
                for c in range(channels):
                    value = values[c] * scale[c] + shift[c]
                    results[c] = zero if value < zero else value


@njit(cache=keeps_kernels(), nogil=True, error_model="numpy")
def affine_pool_relu(maps: Any, scale: Any, shift: Any, output: Any) -> None:
    """One reading of `maps`: `output` (N, H//2, W//2, C) = relu(pool(maps · scale + shift)).

    Here the affine part comes first, as it stands: `maps` are too large for the cache, so that
    arithmetic on all of them costs nothing beside reading them. NaN stays NaN.
    """
    pictures, height, width, channels = output.shape
    zero = maps.dtype.type(0)
    for n in range(pictures):
        for i in range(height):
            for j in range(width):
                upper_left, upper_right = maps[n, 2 * i, 2 * j], maps[n, 2 * i, 2 * j + 1]
                lower_left, lower_right = maps[n, 2 * i + 1, 2 * j], maps[n, 2 * i + 1, 2 * j + 1]
                results = output[n, i, j]
                for c in range(channels):
                    s, t = scale[c], shift[c]
                    upper = np.maximum(upper_left[c] * s + t, upper_right[c] * s + t)
                    lower = np.maximum(lower_left[c] * s + t, lower_right[c] * s + t)
                    results[c] = np.maximum(np.maximum(upper, lower), zero)


@njit(cache=keeps_kernels(), nogil=True, error_model="numpy")
def sum_gradients(
    gradient: Any, pooled: Any, scale: Any, shift: Any, mean: Any, sums: Any, products: Any
) -> None:
    """What batch norm's backward pass needs of the ReLU's gradient, per channel.

    That is `gradient` where pooled · scale + shift > 0, as in `affine_relu`. `sums` (C,) float64
    gets its sum added, `products` the sum of its products with `pooled` - `mean`.
    """
    pictures, height, width, channels = pooled.shape
    zero = pooled.dtype.type(0)
    row, row_products = np.zeros(channels, pooled.dtype), np.zeros(channels, pooled.dtype)
    for n in range(pictures):
        for i in range(height):
            row[:] = 0
            row_products[:] = 0
            for j in range(width):
                before, values = gradient[n, i, j], pooled[n, i, j]
                for c in range(channels):
                    g = before[c] if values[c] * scale[c] + shift[c] > zero else zero
                    row[c] += g
                    row_products[c] += g * (values[c] - mean[c])
            for c in range(channels):
                sums[c] += row[c]
                products[c] += row_products[c]


@njit(cache=keeps_kernels(), nogil=True, error_model="numpy")
def unpool_and_normalise(
    maps: Any, pooled: Any, gradient: Any, scale: Any, shift: Any, offset: Any, slope: Any,
    result: Any,
) -> None:  # fmt: skip
    """The gradient of `maps`: offset + slope · maps everywhere, and where one of them was pooled
    and the ReLU let it pass, + scale · gradient.

    `scale`, `shift`, `offset` and `slope` are (C,). Of equal values in a window the first one, row
    by row, is the one that was pooled, as in PyTorch.
    """
    pictures, height, width, channels = maps.shape
    zero = maps.dtype.type(0)
    for n in range(pictures):
        for i in range(0, height - 1, 2):
            for j in range(0, width - 1, 2):
                upper_left, upper_right = maps[n, i, j], maps[n, i, j + 1]
                lower_left, lower_right = maps[n, i + 1, j], maps[n, i + 1, j + 1]
                to_upper_left, to_upper_right = result[n, i, j], result[n, i, j + 1]
                to_lower_left, to_lower_right = result[n, i + 1, j], result[n, i + 1, j + 1]
                best, before = pooled[n, i // 2, j // 2], gradient[n, i // 2, j // 2]
                for c in range(channels):
                    a, b, d, e = upper_left[c], upper_right[c], lower_left[c], lower_right[c]
                    p, s, u, v = best[c], scale[c], offset[c], slope[c]
                    g = before[c] * s if p * s + shift[c] > zero else zero
                    is_a = a == p
                    is_b = (b == p) & (not is_a)
                    is_d = (d == p) & (not is_a) & (not is_b)
                    is_e = (not is_a) & (not is_b) & (not is_d)
                    to_upper_left[c] = (u + v * a) + (g if is_a else zero)
                    to_upper_right[c] = (u + v * b) + (g if is_b else zero)
                    to_lower_left[c] = (u + v * d) + (g if is_d else zero)
                    to_lower_right[c] = (u + v * e) + (g if is_e else zero)
            if width % 2:
                _affine(maps[n, i, width - 1], offset, slope, result[n, i, width - 1])
                _affine(maps[n, i + 1, width - 1], offset, slope, result[n, i + 1, width - 1])
        if height % 2:
            for j in range(width):
                _affine(maps[n, height - 1, j], offset, slope, result[n, height - 1, j])


@njit(cache=keeps_kernels(), nogil=True, error_model="numpy")
def _affine(values: Any, offset: Any, slope: Any, results: Any) -> None:
    for c in range(len(values)):
        results[c] = offset[c] + slope[c] * values[c]
