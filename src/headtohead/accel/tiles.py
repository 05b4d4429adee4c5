"""Winograd's transforms: images to overlapping tiles, seen at 36 points, and back.

F(4 × 4, 3 × 3) of Lavin & Gray 2016 (1509.09308): each 6 × 6 tile of the input gives 4 × 4 of the
output. Tiles lie 4 apart, in rows from the upper left; beyond the image are zeros. A transform is
one matrix, applied to a tile's columns and then to its rows; an adjoint is its transpose, which
takes gradients back.

Compiled by Numba when first called and kept on disk. Images and maps are (N, H, W, C) arrays,
`points` (36, N · rows of tiles, tiles in a row · C), all contiguous. Between the two steps a row of
tiles is held with every fourth pixel side by side, so that the loops over it are long.
"""

from typing import Any

import numpy as np
from numba import njit

from headtohead.accel.kernel_cache import keeps_kernels

TWO, FOUR, FIVE, EIGHT = (np.float32(number) for number in (2, 4, 5, 8))  # leave float32 as it is

_inline = njit(inline="always")
_compiled = njit(cache=keeps_kernels(), nogil=True, error_model="numpy", fastmath={"contract"})


@_inline
def _to_points(d0: Any, d1: Any, d2: Any, d3: Any, d4: Any, d5: Any) -> Any:
    """Lavin & Gray's B^T: six points of six inputs."""
    even, odd = d4 - FOUR * d2, d3 - FOUR * d1
    near, far = d4 - d2, TWO * (d3 - d1)
    last = FOUR * d1 - FIVE * d3 + d5
    return FOUR * d0 - FIVE * d2 + d4, even + odd, even - odd, near + far, near - far, last


@_inline
def _to_points_adjoint(p0: Any, p1: Any, p2: Any, p3: Any, p4: Any, p5: Any) -> Any:
    """B: six inputs' gradients of six points'."""
    near_sum, far_sum = p1 + p2, p3 + p4
    near, far = p2 - p1, TWO * (p4 - p3)
    d1 = FOUR * (near + p5) + far
    d2 = -FIVE * p0 - FOUR * near_sum - far_sum
    d3 = -FIVE * p5 - near - far
    return FOUR * p0, d1, d2, d3, p0 + near_sum + far_sum, p5


@_inline
def _from_points(p0: Any, p1: Any, p2: Any, p3: Any, p4: Any, p5: Any) -> Any:
    """A^T: four outputs of six points."""
    near_sum, far_sum = p1 + p2, p3 + p4
    near, far = p1 - p2, p3 - p4
    y1, y2, y3 = near + TWO * far, near_sum + FOUR * far_sum, near + EIGHT * far + p5
    return p0 + near_sum + far_sum, y1, y2, y3


@_inline
def _from_points_adjoint(y0: Any, y1: Any, y2: Any, y3: Any) -> Any:
    """A: six points' gradients of four outputs'."""
    even, odd = y0 + y2, y1 + y3
    far_even, far_odd = y0 + FOUR * y2, TWO * y1 + EIGHT * y3
    return y0, even + odd, even - odd, far_even + far_odd, far_even - far_odd, y3


@_inline
def _six(points: Any, i: int, row: int) -> Any:
    """The points in row `i` of 6 × 6, of a row of tiles: not a slice, which is not contiguous."""
    first = 6 * i
    return (
        points[first, row], points[first + 1, row], points[first + 2, row],
        points[first + 3, row], points[first + 4, row], points[first + 5, row],
    )  # fmt: skip


@_inline
def _four(columns: Any, i: int) -> Any:
    """Every fourth pixel of a row of tiles, from the first, second, third and fourth one on."""
    return columns[i, 0], columns[i, 1], columns[i, 2], columns[i, 3]


@_compiled
def _row_to_points(
    d0: Any, d1: Any, d2: Any, d3: Any, d4: Any, d5: Any,
    p0: Any, p1: Any, p2: Any, p3: Any, p4: Any, p5: Any,
) -> None:  # fmt: skip
    """For a row of tiles. On its own, because LLVM does not vectorise it within other loops."""
    for u in range(len(p0)):
        p0[u], p1[u], p2[u], p3[u], p4[u], p5[u] = _to_points(
            d0[u], d1[u], d2[u], d3[u], d4[u], d5[u]
        )


@_compiled
def _row_to_points_adjoint(
    p0: Any, p1: Any, p2: Any, p3: Any, p4: Any, p5: Any,
    d0: Any, d1: Any, d2: Any, d3: Any, d4: Any, d5: Any,
) -> None:  # fmt: skip
    for u in range(len(p0)):
        d0[u], d1[u], d2[u], d3[u], d4[u], d5[u] = _to_points_adjoint(
            p0[u], p1[u], p2[u], p3[u], p4[u], p5[u]
        )


@_compiled
def _add(values: Any, sums: Any) -> None:
    for u in range(len(values)):
        sums[u] += values[u]


@_compiled
def input_transform(pictures: Any, points: Any) -> None:
    """Fill `points` from `pictures`."""
    count, height, width, channels = pictures.shape
    down, across = (height + 1) // 4, (width + 1) // 4
    length = across * channels
    columns = np.zeros((6, 4, length + channels), pictures.dtype)
    beyond = np.zeros((width, channels), pictures.dtype)
    for row in range(count * down):
        k, y = row // down, row % down * 4
        r0, r1, r2 = pictures[k, y], pictures[k, y + 1], pictures[k, y + 2]
        r3 = pictures[k, y + 3] if y + 3 < height else beyond
        r4 = pictures[k, y + 4] if y + 4 < height else beyond
        r5 = pictures[k, y + 5] if y + 5 < height else beyond
        for x in range(width):
            q, o = x % 4, x // 4 * channels
            for c in range(channels):
                p0, p1, p2, p3, p4, p5 = _to_points(
                    r0[x, c], r1[x, c], r2[x, c], r3[x, c], r4[x, c], r5[x, c]
                )
                columns[0, q, o + c], columns[1, q, o + c], columns[2, q, o + c] = p0, p1, p2
                columns[3, q, o + c], columns[4, q, o + c], columns[5, q, o + c] = p3, p4, p5
        for i in range(6):
            d0, d1, d2, d3 = _four(columns, i)
            d4, d5 = d0[channels:], d1[channels:]
            a0, a1, a2, a3, a4, a5 = _six(points, i, row)
            _row_to_points(d0, d1, d2, d3, d4, d5, a0, a1, a2, a3, a4, a5)


@_compiled
def input_transform_adjoint(points: Any, pictures: Any) -> None:
    """Fill `pictures` with their gradient, from that of `points`."""
    count, height, width, channels = pictures.shape
    down, across = (height + 1) // 4, (width + 1) // 4
    length = across * channels
    columns = np.zeros((6, 4, length + channels), pictures.dtype)
    overlap = np.empty((2, length), pictures.dtype)
    spare = np.empty((3, width, channels), pictures.dtype)
    for row in range(count * down):
        k, y = row // down, row % down * 4
        for i in range(6):
            a0, a1, a2, a3, a4, a5 = _six(points, i, row)
            d0, d1, d2, d3 = _four(columns, i)
            d4, d5 = overlap[0], overlap[1]
            _row_to_points_adjoint(a0, a1, a2, a3, a4, a5, d0, d1, d2, d3, d4, d5)
            for u in range(length, length + channels):
                d0[u] = d1[u] = 0
            _add(d4, d0[channels:])
            _add(d5, d1[channels:])
        if y == 0:
            pictures[k, :2] = 0
        r0, r1, r2 = pictures[k, y], pictures[k, y + 1], pictures[k, y + 2]
        r3 = pictures[k, y + 3] if y + 3 < height else spare[0]
        r4 = pictures[k, y + 4] if y + 4 < height else spare[1]
        r5 = pictures[k, y + 5] if y + 5 < height else spare[2]
        for x in range(width):
            q, o = x % 4, x // 4 * channels
            for c in range(channels):
                e0, e1, e2, e3, e4, e5 = _to_points_adjoint(
                    columns[0, q, o + c], columns[1, q, o + c], columns[2, q, o + c],
                    columns[3, q, o + c], columns[4, q, o + c], columns[5, q, o + c],
                )  # fmt: skip
                r0[x, c] += e0
                r1[x, c] += e1
                r2[x, c], r3[x, c], r4[x, c], r5[x, c] = e2, e3, e4, e5


@_compiled
def output_transform(points: Any, bias: Any, maps: Any) -> None:
    """Fill `maps` from `points`, plus `bias` (C,)."""
    count, height, width, channels = maps.shape
    down, across = (height + 3) // 4, (width + 3) // 4
    length = across * channels
    columns = np.empty((6, 4, length), maps.dtype)
    spare = np.empty((3, width, channels), maps.dtype)
    for row in range(count * down):
        k, y = row // down, row % down * 4
        for i in range(6):
            a0, a1, a2, a3, a4, a5 = _six(points, i, row)
            d0, d1, d2, d3 = _four(columns, i)
            for u in range(length):
                d0[u], d1[u], d2[u], d3[u] = _from_points(a0[u], a1[u], a2[u], a3[u], a4[u], a5[u])
        r0 = maps[k, y]
        r1 = maps[k, y + 1] if y + 1 < height else spare[0]
        r2 = maps[k, y + 2] if y + 2 < height else spare[1]
        r3 = maps[k, y + 3] if y + 3 < height else spare[2]
        for x in range(width):
            q, o = x % 4, x // 4 * channels
            for c in range(channels):
                y0, y1, y2, y3 = _from_points(
                    columns[0, q, o + c], columns[1, q, o + c], columns[2, q, o + c],
                    columns[3, q, o + c], columns[4, q, o + c], columns[5, q, o + c],
                )  # fmt: skip
                b = bias[c]
                r0[x, c], r1[x, c], r2[x, c], r3[x, c] = y0 + b, y1 + b, y2 + b, y3 + b


@_compiled
def output_transform_adjoint(maps: Any, points: Any) -> None:
    """Fill `points` with their gradient, from that of `maps`."""
    count, height, width, channels = maps.shape
    down, across = (height + 3) // 4, (width + 3) // 4
    length = across * channels
    columns = np.zeros((6, 4, length), maps.dtype)
    beyond = np.zeros((width, channels), maps.dtype)
    for row in range(count * down):
        k, y = row // down, row % down * 4
        r0 = maps[k, y]
        r1 = maps[k, y + 1] if y + 1 < height else beyond
        r2 = maps[k, y + 2] if y + 2 < height else beyond
        r3 = maps[k, y + 3] if y + 3 < height else beyond
        for x in range(width):
            q, o = x % 4, x // 4 * channels
            for c in range(channels):
                p0, p1, p2, p3, p4, p5 = _from_points_adjoint(
                    r0[x, c], r1[x, c], r2[x, c], r3[x, c]
                )
                columns[0, q, o + c], columns[1, q, o + c], columns[2, q, o + c] = p0, p1, p2
                columns[3, q, o + c], columns[4, q, o + c], columns[5, q, o + c] = p3, p4, p5
        for i in range(6):
            d0, d1, d2, d3 = _four(columns, i)
            a0, a1, a2, a3, a4, a5 = _six(points, i, row)
            for u in range(length):
                a0[u], a1[u], a2[u], a3[u], a4[u], a5[u] = _from_points_adjoint(
                    d0[u], d1[u], d2[u], d3[u]
                )
