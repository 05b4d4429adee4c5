"""Resizing is what the docstrings say."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from headtohead.core.errors import UsageError
from headtohead.data.resize import RESIZE_METHODS, resize, resize_image
from photographs import smooth


@given(
    data=st.data(),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 2**32 - 1),
)
def test_bilinear_is_half_pixel_interpolation_without_antialias(
    data: st.DataObject, size: tuple[int, int], seed: int
) -> None:
    """The article's experiment would run on other images than the article's."""
    shape = data.draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    picture = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
    batch = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    reference = torch.nn.functional.interpolate(
        batch, size, mode="bilinear", align_corners=False, antialias=False
    )[0].permute(1, 2, 0)
    result = resize(picture, size, "bilinear")
    assert result.shape == (*size, 3)
    assert np.abs(result - reference.numpy()).max() <= 0.5 + 1e-3


def test_bilinear_rounds_half_up() -> None:
    """Cutting off instead would darken every image by half a step."""
    picture = np.array([[[0] * 3, [1] * 3]], np.uint8)
    assert resize(picture, (1, 1), "bilinear").tolist() == [[[1, 1, 1]]]


def test_antialias_uses_every_pixel_and_bilinear_does_not() -> None:
    """The default would let fine fur flicker when the image moves by a pixel."""
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::4] = 255

    def flicker(method: str) -> float:
        moved = resize(np.roll(stripes, 1, axis=1), (16, 16), method).astype(int)
        return float(np.abs(moved - resize(stripes, (16, 16), method))[:, 2:-2].mean())

    assert RESIZE_METHODS[0] == "antialias"
    assert flicker("antialias") < 20
    assert flicker("bilinear") > 100


@pytest.mark.parametrize("method", RESIZE_METHODS)
def test_resizing_to_the_same_size_changes_nothing(method: str) -> None:
    """Images prepared at their own size would be blurred."""
    picture = smooth(13, 17)
    assert np.array_equal(resize(picture, (13, 17), method), picture)


def test_an_unknown_method_or_size_is_a_usage_error() -> None:
    """A misspelt option would end in a traceback."""
    with pytest.raises(UsageError, match="antialias, bilinear"):
        resize(smooth(3, 3), (2, 2), "lanczos")
    with pytest.raises(UsageError, match="≥ 1"):
        resize(smooth(3, 3), (0, 2), "antialias")


@pytest.mark.parametrize("method", RESIZE_METHODS)
def test_an_image_and_its_array_give_the_same_pixels(method: str) -> None:
    """Preparation resizes images, probes arrays: they would look at other images."""
    picture = smooth(31, 45)
    image = Image.fromarray(picture)
    resized = np.asarray(resize_image(image, (12, 20), method))
    assert np.array_equal(resized, resize(picture, (12, 20), method))
