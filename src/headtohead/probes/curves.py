"""Deletion and insertion: what a model says of images as pixels go, or come back, in an order.

Petsiuk et al. 2018 (arXiv 1806.07421).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from headtohead.core.streams import stream
from headtohead.probes.probe_images import ProbeImages
from headtohead.probes.seen import logits_of

if TYPE_CHECKING:
    from torch import Tensor

    from headtohead.heads.classifier import Classifier

Floats32 = NDArray[np.float32]

CURVE_PICTURES = 24
"""The first so many probe images are taken apart and put together again."""

STEPS = 10
"""Shares of the pixels at which a curve is looked at: every tenth."""

FEWER_CURVES, FEWER_STEPS = 2, 5
"""On a frozen backbone, which costs far more than its heads and sees each step of every curve. Each
seed takes the next images: seven seeds show 14."""

BLUR = 0.1
"""Radius of the blur that an insertion starts from, as a share of the side."""


@dataclass(frozen=True)
class Curves:
    """The true class's probability as pixels go or come in one order of importance.

    `deletion`, `insertion`: (m, steps + 1) float32 in [0, 1], of m of the probe images; in
    column k a share k / steps of the pixels, the most important first, is taken away from the
    image (deletion) or has come back to its blurred copy (insertion).
    """

    deletion: NDArray[np.float32]
    insertion: NDArray[np.float32]

    def of(self, chosen: NDArray[np.bool_]) -> "Curves":
        """Those of some of the m images."""
        return Curves(self.deletion[chosen], self.insertion[chosen])


@dataclass(frozen=True)
class _End:
    """Images from which curves set out or at which they arrive, in whatever order of pixels."""

    pixels: NDArray[np.uint8]
    probability: Floats32


class TakenApart:
    """Some probe images, `apart` of them, and what `model` says of them in parts.

    `features` are the backbone's maps of all probe images.
    """

    def __init__(
        self,
        model: "Classifier",
        pictures: ProbeImages,
        apart: NDArray[np.int64],
        features: "Tensor",
    ) -> None:
        import torch

        self._model, self._device = model, features.device
        self._steps = FEWER_STEPS if model.is_frozen else STEPS
        pixels = pictures.pixels[apart]
        self._labels = pictures.labels[apart]
        self.side = pixels.shape[1]
        mean = pixels.mean((1, 2), keepdims=True).astype(np.uint8)
        with torch.no_grad():
            logits = model.head(features[torch.from_numpy(apart).to(self._device)])
        self._whole = _End(pixels, self._known(logits))
        self._mean = self._end(np.broadcast_to(mean, pixels.shape))
        self._blurred = self._end(np.stack([_blurred(picture) for picture in pixels]))

    def curves(self, maps: Floats32, *, shared: bool) -> Curves:
        """Deletion and insertion by the order of (m, side, side) `maps`, largest value first.

        `shared`: other runs have the same maps.
        """
        share = _shares(maps)
        ways = ((self._whole, self._mean), (self._blurred, self._whole))
        between = np.concatenate([self._between(share, *way) for way in ways])
        found = self._probability(between, shared=shared).reshape(2, self._steps - 1, -1)
        deletion, insertion = (
            np.stack([start.probability, *seen, end.probability], axis=1)
            for (start, end), seen in zip(ways, found, strict=True)
        )
        return Curves(deletion, insertion)

    def _between(self, share: NDArray[np.float64], start: _End, end: _End) -> NDArray[np.uint8]:
        """((steps - 1) · m, side, side, 3): more and more pixels of `end` replace `start`'s."""
        mixed = np.stack([start.pixels] * (self._steps - 1))
        for k, pixels in enumerate(mixed, start=1):
            np.copyto(pixels, end.pixels, where=(share < k / self._steps)[..., None])
        return mixed.reshape(-1, *mixed.shape[2:])

    def _end(self, pixels: NDArray[np.uint8]) -> _End:
        return _End(pixels, self._probability(pixels, shared=True))

    def _probability(self, pixels: NDArray[np.uint8], *, shared: bool) -> Floats32:
        """(n,) probabilities of the true class of n images, m after m."""
        return self._known(logits_of(self._model, pixels, self._device, shared=shared))

    def _known(self, logits: "Tensor") -> Floats32:
        """(n,) probabilities of the true class by (n, outputs) logits, m images after m."""
        import torch

        targets = torch.from_numpy(np.resize(self._labels, len(logits))).to(logits.device)
        if logits.shape[1] == 1:
            known = of_class(logits, targets).sigmoid()
        else:
            known = of_class(logits.softmax(dim=1), targets)
        return np.asarray(known.cpu().numpy(), np.float32)


def _shares(maps: Floats32) -> NDArray[np.float64]:
    """Each pixel's place in the order of its (side, side) map, as a share: 0 is the largest.

    Equal values go in a fixed random order, the same for every map.
    """
    shuffled = stream(0, "equal pixels").permutation(maps[0].size)
    flat = maps.reshape(len(maps), -1)[:, shuffled]
    order = shuffled[np.argsort(-flat, axis=1, kind="stable")]
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(order.shape[1])[None], axis=1)
    return np.asarray(ranks / order.shape[1], np.float64).reshape(maps.shape)


def _blurred(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    radius = ImageFilter.GaussianBlur(BLUR * picture.shape[0])
    return np.asarray(Image.fromarray(picture).filter(radius), np.uint8)


def of_class(values: "Tensor", labels: "Tensor") -> "Tensor":
    """(n, outputs, …) → (n, …) of each image's label; with one output, its negative for 0."""
    import torch

    if values.shape[1] == 1:
        sign = (2 * labels - 1).to(values.dtype)
        return values[:, 0] * sign.reshape(-1, *[1] * (values.ndim - 2))
    return values[torch.arange(len(values), device=values.device), labels]
