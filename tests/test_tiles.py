"""Winograd's transforms: each adjoint is the transpose of its transform."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from headtohead.accel import tiles

Values = NDArray[np.float64]
Transform = Callable[[Any, Any], None]


def without_bias(points: Values, maps: Values) -> None:
    tiles.output_transform(points, np.zeros(maps.shape[3]), maps)


TRANSFORMS: dict[str, tuple[Transform, Transform]] = {
    "input": (tiles.input_transform, tiles.input_transform_adjoint),
    "output": (tiles.output_transform_adjoint, without_bias),
}
"""From images to points, and from points to images."""


@pytest.mark.parametrize("side", TRANSFORMS)
@given(
    count=st.integers(1, 3),
    height=st.integers(3, 15),
    width=st.integers(3, 15),
    channels=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_an_adjoint_is_the_transpose(
    side: str, count: int, height: int, width: int, channels: int, seed: int
) -> None:
    """Else gradients are of another network than the one that predicts, at some sizes of maps."""
    draw = np.random.default_rng(seed).standard_normal
    border = 2 if side == "input" else 0
    down, across = -(-(height - border) // 4), -(-(width - border) // 4)
    images = draw((count, height, width, channels))
    points = draw((36, count * down, across * channels))
    to_points, to_images = TRANSFORMS[side]
    there, back = np.full_like(points, np.nan), np.full_like(images, np.nan)
    to_points(images, there)
    to_images(points, back)
    np.testing.assert_allclose((there * points).sum(), (images * back).sum(), rtol=1e-9, atol=1e-9)
