"""Frozen backbones compute with folded batch norms, alike in every worker."""

import numpy as np
import torch

from headtohead.backbones.frozen import frozen_backbone
from headtohead.config.study import BackboneSpec
from headtohead.training.feature_extraction import Network
from test_folding import IMAGES, Own


class Backbone(Own):
    """Named by `test_folding_frozen:Backbone`."""


def test_a_frozen_backbone_is_folded_without_gradients_alone() -> None:
    """Its kernels have no gradients: Grad-CAM and saliency need the network itself."""
    backbone = frozen_backbone(BackboneSpec(name="test_folding_frozen:Backbone", train="none"), 0)
    backbone.fold(IMAGES)
    before = {name: value.clone() for name, value in backbone.trunk.state_dict().items()}
    plain = backbone.trunk(IMAGES)
    with torch.no_grad():
        assert not torch.equal(backbone(IMAGES), plain), "nothing was folded"
        torch.testing.assert_close(backbone(IMAGES), plain)
    watched = IMAGES.clone().requires_grad_()
    found = backbone(watched)
    assert torch.equal(found, plain)
    found.sum().backward()
    assert watched.grad is not None
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(backbone(IMAGES), backbone.trunk(IMAGES)), "its kernels know no bfloat16"
    assert all(torch.equal(before[name], v) for name, v in backbone.trunk.state_dict().items())


def test_workers_fold_alike_whatever_they_compute_first() -> None:
    """Else a worker that begins with black images computes other bits than the one beside it."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 17, 15, 3), np.uint8)
    spec = BackboneSpec(name="test_folding_frozen:Dark", train="none")
    one, other = (Network(frozen_backbone(spec, 0), torch.device("cpu"), pixels) for _ in range(2))
    one(np.zeros_like(pixels), "contiguous")
    assert torch.equal(one(pixels, "contiguous"), other(pixels, "contiguous"))


class Dark(Own):
    """Named by `test_folding_frozen:Dark`: its maps of black images are zero."""

    def __init__(self) -> None:
        super().__init__(lambda own, images: own.norm(own.first(images)) * images.amax())
