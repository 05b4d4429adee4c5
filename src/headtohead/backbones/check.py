"""`check_backbone`: whether a backbone keeps the contract that all else builds on."""

import math

import torch
from torch import Tensor

from headtohead.backbones.base import Backbone, Normalization


def check_backbone(
    backbone: Backbone, image_size: int, *, other_sizes: tuple[int, ...] = ()
) -> None:
    """Raises AssertionError, with what is wrong, unless `backbone` keeps its contract.

    Checked on square images of `image_size` pixels, and of each of `other_sizes`: maps of the
    promised shape, finite and depending on the image; each image for itself in evaluation, which
    changes nothing; gradients that reach its parameters and are finite; inputs left alone; a state
    that can be saved and loaded; cells that lie on the image.
    """
    for size in (image_size, *other_sizes):
        _check_maps(backbone, size)
        _check_cells(backbone, size)
    _check_evaluation(backbone, image_size)
    _check_gradients(backbone, image_size)
    _check_state(backbone, image_size)


def _require(condition: object, message: str) -> None:
    """Raises AssertionError, under `python -O`, too."""
    if not condition:
        raise AssertionError(message)


def _images(count: int, size: int) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def _check_maps(backbone: Backbone, size: int) -> None:
    height, width = backbone.map_size(size)
    images = _images(2, size)
    before = images.clone()
    maps = backbone.eval()(images)
    promised = (2, backbone.channels, height, width)
    _require(maps.shape == promised, f"maps of shape {tuple(maps.shape)}; promised {promised}")
    _require(maps.dtype == images.dtype, f"maps are {maps.dtype} of {images.dtype} images")
    _require(torch.isfinite(maps).all(), "maps hold numbers that are not finite")
    _require(torch.equal(images, before), "the backbone changes its inputs")
    _require(not torch.equal(maps[0], maps[1]), "maps do not depend on the image")


def _check_cells(backbone: Backbone, size: int) -> None:
    height, width = backbone.map_size(size)
    _require(isinstance(backbone.identity, str), "identity is no text")
    _require(backbone.identity, "identity is empty")
    _require(isinstance(backbone.normalization, Normalization), "normalization is no Normalization")
    _require(backbone.stride >= 1, f"stride {backbone.stride} is less than a pixel")
    last = backbone.first + (max(height, width) - 1) * backbone.stride
    _require(-backbone.stride < backbone.first, f"the first cell lies at {backbone.first}")
    _require(last < size + backbone.stride, f"the last cell lies at {last} of {size} pixels")
    _require(math.isfinite(last), "cells lie nowhere")


@torch.no_grad()
def _check_evaluation(backbone: Backbone, size: int) -> None:
    images = _images(3, size)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    together = backbone.eval()(images)
    alone = backbone(images[1:2])
    _require(
        torch.allclose(together[1:2], alone, rtol=1e-3, atol=1e-4),
        "in evaluation mode an image's maps depend on what is beside it",
    )
    changed = [n for n, v in backbone.state_dict().items() if not torch.equal(v, before[n])]
    _require(not changed, f"evaluation changes {', '.join(changed)}")


def _check_gradients(backbone: Backbone, size: int) -> None:
    state = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.train().zero_grad()
    maps = backbone(_images(4, size))
    noise = torch.randn(maps.shape, generator=torch.Generator().manual_seed(1))
    (maps * noise).sum().backward()
    trained = [p for p in backbone.parameters() if p.requires_grad]
    reached = any(p.grad is not None and p.grad.any() for p in trained)
    _require(reached or not trained, "no gradient reaches any parameter")
    wild = [
        name
        for name, parameter in backbone.named_parameters()
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all()
    ]
    _require(not wild, f"gradients of {', '.join(wild)} are not finite")
    backbone.zero_grad()
    backbone.load_state_dict(state)
    backbone.eval()


@torch.no_grad()
def _check_state(backbone: Backbone, size: int) -> None:
    images = _images(2, size)
    expected = backbone.eval()(images)
    state = {name: value.clone() for name, value in backbone.state_dict().items()}
    for parameter in backbone.parameters():
        parameter.add_(0.1)
    moved = backbone(images)
    _require(not torch.equal(moved, expected), "the maps do not depend on the parameters")
    backbone.load_state_dict(state)
    _require(torch.equal(backbone(images), expected), "its state is not all there is of it")
