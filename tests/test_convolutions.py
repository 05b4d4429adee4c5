"""Convolutions by hand are the library's: same maps, same gradients."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from headtohead.accel.convolutions import (
    WORTH_WHILE,
    Convolution,
    Direct,
    Winograd,
    channels_last,
    convolution_by,
)

WAYS = [Direct, Winograd]


def expected(pictures: Tensor, weight: Tensor, bias: Tensor, to_maps: Tensor) -> list[Tensor]:
    """Maps, the images' gradient and the weights', by PyTorch's automatic differentiation."""
    pictures, weight = (part.detach().requires_grad_() for part in (pictures, weight))
    maps = functional.conv2d(pictures, weight, bias)
    return [maps.detach(), *torch.autograd.grad(maps, [pictures, weight], to_maps)]


def found(
    way: Convolution, pictures: Tensor, bias: Tensor, to_maps: Tensor, cut: int
) -> list[Tensor]:
    """The same by `way`, in two shards."""
    pictures, to_maps = channels_last(pictures), channels_last(to_maps)
    to_pictures = torch.full_like(pictures, torch.nan)
    parts = [slice(0, cut), slice(cut, len(pictures))] if 0 < cut < len(pictures) else [slice(None)]
    maps = torch.cat([way.maps(pictures[part], bias) for part in parts])
    shares = [way.gradient(to_maps[part], pictures[part], to_pictures[part]) for part in parts]
    return [maps, to_pictures, way.to_weight(torch.stack(shares).sum(0))]


@pytest.mark.parametrize("way", WAYS)
@given(
    batch=st.integers(1, 4),
    cut=st.integers(0, 3),
    inputs=st.integers(1, 20),
    outputs=st.integers(1, 9),
    height=st.integers(3, 15),
    width=st.integers(3, 15),
    seed=st.integers(0, 99),
)
def test_maps_and_gradients_are_the_librarys(
    way: type[Direct] | type[Winograd],
    batch: int,
    cut: int,
    inputs: int,
    outputs: int,
    height: int,
    width: int,
    seed: int,
) -> None:
    """Else the speed was bought with another network, at sizes that leave tiles half empty."""
    torch.manual_seed(seed)
    pictures = torch.randn(batch, inputs, height, width, dtype=torch.float64)
    weight = torch.randn(outputs, inputs, 3, 3, dtype=torch.float64)
    bias = torch.randn(outputs, dtype=torch.float64)
    to_maps = torch.randn(batch, outputs, height - 2, width - 2, dtype=torch.float64)
    theirs = expected(pictures, weight, bias, to_maps)
    for one, other in zip(found(way(weight), pictures, bias, to_maps, cut), theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("inputs", "outputs", "side"), [(32, 32, 49), (32, 64, 23)])
def test_rounding_stays_small_at_full_size(inputs: int, outputs: int, side: int) -> None:
    """Some 1e-5 of the largest value: far below what a change of seed does."""
    torch.manual_seed(0)
    pictures = torch.rand(8, inputs, side, side)
    weight, bias = torch.randn(outputs, inputs, 3, 3) / 17, torch.zeros(outputs)
    to_maps = torch.randn(8, outputs, side - 2, side - 2)
    exact = expected(*(part.double() for part in (pictures, weight, bias, to_maps)))
    for one, other in zip(found(Winograd(weight), pictures, bias, to_maps, 4), exact, strict=True):
        assert (one.double() - other).abs().max() < 2e-5 * other.abs().max()


def test_gradients_that_nobody_needs_are_left_out() -> None:
    torch.manual_seed(0)
    weight = torch.randn(4, 3, 3, 3)
    pictures, to_maps = (channels_last(torch.randn(2, c, s, s)) for c, s in ((3, 9), (4, 7)))
    for way in (Direct(weight), Winograd(weight)):
        with_them = way.gradient(to_maps, pictures, torch.empty_like(pictures))
        assert torch.equal(way.gradient(to_maps, pictures, None), with_them)


def test_few_channels_are_left_to_the_library() -> None:
    """The three of an image: transforms would cost more than they save."""
    assert isinstance(convolution_by(torch.zeros(32, 3, 3, 3)), Direct)
    assert isinstance(convolution_by(torch.zeros(32, WORTH_WHILE, 3, 3)), Winograd)
