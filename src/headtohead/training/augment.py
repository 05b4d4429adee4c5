"""Random changes to training images, drawn for a whole epoch at once from its own stream.

What is drawn and what is done are apart: done on the device, by numbers that may come from anywhere
on it, a step with its augmentation can be captured as a CUDA graph.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from headtohead.config.recipe import AugmentSpec
from headtohead.core.streams import stream

_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma


class Augmentation:
    """The changes that a recipe asks for, by random numbers drawn beforehand."""

    def __init__(self, spec: AugmentSpec, device: torch.device) -> None:
        self.spec = spec
        self._device = device
        self._grey = torch.tensor(_GREY, device=device)[:, None, None]

    def draw(self, pictures: int, seed: int, epoch: int) -> Tensor:
        """An epoch's (images, 7): its image i gets row i, whichever head is trained."""
        draws = stream(seed, "augment", epoch).random((pictures, 7), dtype=np.float32)
        return torch.from_numpy(draws).to(self._device)

    def __call__(self, pictures: Tensor, draws: Tensor) -> Tensor:
        """(n, 3, H, W) in [0, 1] → the same, changed as (n, 7) `draws` say."""
        if self.spec.flip or self.spec.crop:
            pictures = self._window(pictures, draws[:, :4])
        if self.spec.color:
            pictures = self._recolour(pictures, draws[:, 4:])
        return pictures

    def _window(self, pictures: Tensor, draws: Tensor) -> Tensor:
        """Crop and mirror in one bilinear sampling."""
        side = 1 - self.spec.crop * draws[:, 0]
        shift = (2 * draws[:, 1:3] - 1) * (1 - side)[:, None]
        mirror = 1 - 2 * mirrored(draws) if self.spec.flip else torch.ones_like(side)
        theta = pictures.new_zeros(len(pictures), 2, 3)
        theta[:, 0, 0] = side * mirror
        theta[:, 1, 1] = side
        theta[:, :, 2] = shift
        grid = functional.affine_grid(theta, list(pictures.shape), align_corners=False)
        sampled = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
        return sampled.contiguous(memory_format=torch.channels_last)

    def _recolour(self, pictures: Tensor, draws: Tensor) -> Tensor:
        """Brightness, then contrast about the mean luma, then saturation about each luma."""
        brightness, contrast, saturation = (
            (1 + self.spec.color * (2 * draws - 1)).T[:, :, None, None, None].unbind()
        )
        pictures = pictures * brightness
        grey = (pictures * self._grey).sum(1, keepdim=True)
        pictures = torch.lerp(grey.mean((2, 3), keepdim=True), pictures, contrast)
        grey = (pictures * self._grey).sum(1, keepdim=True)
        return torch.lerp(grey, pictures, saturation).clamp_(0, 1)


def mirrored(draws: Tensor) -> Tensor:
    """(n, 7) draws → (n,) bool: the images that a flip turns."""
    return draws[:, 3] < 0.5


def augmentation(spec: AugmentSpec, device: torch.device) -> Augmentation | None:
    """What the spec asks for; None where it asks for nothing."""
    return None if spec == AugmentSpec() else Augmentation(spec, device)
