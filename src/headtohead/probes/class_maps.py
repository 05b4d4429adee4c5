"""The class-map probe: where a finished model looks, by one method for all heads."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from headtohead.backbones.base import ConvolutionBackbone
from headtohead.core.errors import brief
from headtohead.core.streams import stream
from headtohead.heads.base import Head
from headtohead.heads.classifier import Classifier
from headtohead.probes.evidence import ClassMaps, Curves, ProbePictures
from headtohead.stats.maps import at_pixels
from headtohead.training.evaluate import BATCH, infer
from headtohead.training.inputs import Pictures

CURVE_PICTURES = 24
"""The first so many probe pictures are taken apart and put together again."""

STEPS = 10
BLUR = 0.1
"""Radius of the blur that an insertion starts from, as a share of the side."""

ROUNDING = 1e-5
"""Of the largest value: what maps in float32 may differ by and be the same."""

CONTRACT = 2e-3
"""Of the largest value: how far the mean of exact maps may lie from the logit; TF32 rounds so."""

TINY = 1e-6
"""In logits: where maps and logits are all but zero."""

Values = NDArray[np.float32]


def collect_class_maps(
    model: Classifier, pictures: ProbePictures, device: torch.device
) -> ClassMaps:
    """Maps of the probe pictures by `model` on `device`, and what they are worth to it."""
    first, stride = cell_centres(model.backbone)
    found = list(_maps(model.eval(), Pictures(pictures.pixels, pictures.labels, device)))
    gradcam = np.concatenate([maps for maps, _ in found])
    unfit = next((maps for _, maps in found if isinstance(maps, str)), None)
    own = [maps for _, maps in found if not isinstance(maps, str) and maps is not None]
    exact = np.concatenate(own) if own and unfit is None else None
    chance = stream(0, "random maps").random(gradcam.shape, dtype=np.float32)

    few = _TakenApart(model, pictures, device)

    def curves(maps: Values) -> Curves:
        return few.curves(at_pixels(maps[:CURVE_PICTURES], few.side, first, stride))

    gradcam_curves = curves(gradcam)
    exact_curves = None
    if exact is not None:
        same = _differ_by_constants(exact, gradcam)
        exact_curves = gradcam_curves if same else curves(exact)
    return ClassMaps(
        rows=pictures.rows,
        labels=pictures.labels,
        first=first,
        stride=stride,
        gradcam=gradcam,
        exact=exact,
        random_curves=curves(chance),
        gradcam_curves=gradcam_curves,
        exact_curves=exact_curves,
        unfit=unfit,
    )


def cell_centres(backbone: ConvolutionBackbone) -> tuple[float, float]:
    """The pixel at which a feature map's first cell is centred, and the pixels between two.

    A block's 3 × 3 convolution without padding and 2 × 2 pool centre output i on input 2i + 1.5.
    """
    first, stride = 0.0, 1.0
    for _ in backbone.widths:
        first, stride = first + 1.5 * stride, 2 * stride
    return first, stride


def of_class(values: Tensor, labels: Tensor) -> Tensor:
    """(n, outputs, …) → (n, …) of each picture's label; with one output, its negative for 0."""
    if values.shape[1] == 1:
        sign = (2 * labels - 1).to(values.dtype)
        return values[:, 0] * sign.reshape(-1, *[1] * (values.ndim - 2))
    return values[torch.arange(len(values), device=values.device), labels]


def gradcam_of(head: Head, features: Tensor, labels: Tensor) -> Tensor:
    """(n, channels, h, w) feature maps → (n, h, w) Grad-CAM in logits (see `ClassMaps`).

    Nothing before the feature maps takes part, so that the backbone needs no gradients.
    """
    features = features.detach().requires_grad_()
    with torch.enable_grad():
        logit = of_class(head(features), labels).sum()
    (gradient,) = torch.autograd.grad(logit, features)
    return (features.detach() * gradient.sum((2, 3), keepdim=True)).sum(1)


@torch.no_grad()
def _maps(model: Classifier, pictures: Pictures) -> Iterator[tuple[Values, Values | str | None]]:
    """Per batch: Grad-CAM in logits, and the head's own maps, None, or why they are no maps."""
    for rows in torch.split(pictures.rows(np.arange(len(pictures))), BATCH):
        inputs, labels = pictures.batch(rows)
        features = model.backbone(inputs)
        own = own_maps(model.head, features)
        yield (
            gradcam_of(model.head, features, labels).cpu().numpy(),
            of_class(own, labels).cpu().numpy() if isinstance(own, Tensor) else own,
        )


def own_maps(head: Head, features: Tensor) -> Tensor | str | None:
    """(n, outputs, h, w) maps of `head`, None, or in words why they are not those of its logits."""
    try:
        maps = head.class_maps(features)
    except Exception as error:  # the user's code runs here, and may fail in any way
        return brief(f"class_maps raised {type(error).__name__}: {error}", 200)
    if maps is None:
        return None
    logits = head(features)
    if not isinstance(maps, Tensor) or maps.ndim != 4 or maps.shape[:2] != logits.shape:
        shape = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        return f"class_maps gives {shape}; it must give {(*logits.shape, 'h', 'w')}"
    off = float((maps.mean((2, 3)) - logits).abs().max())
    size = float(maps.abs().max()) + float(logits.abs().max())
    if not off <= CONTRACT * size + TINY:  # what is no number is no map, either
        return f"their mean is not the logit, but up to {off:.3g} away from it"
    return maps


def _differ_by_constants(one: Values, other: Values) -> bool:
    """Whether the (n, h, w) maps differ by a constant in each picture, up to rounding.

    As those of global average pooling do. They put pixels in one order then.
    """
    difference = one - other
    scale = np.abs(one).max(initial=0) + np.abs(other).max(initial=0)
    return bool(np.ptp(difference, axis=(1, 2)).max(initial=0) <= ROUNDING * scale)


@dataclass(frozen=True)
class _End:
    """Pictures from which curves set out or at which they arrive, in whatever order of pixels."""

    pixels: NDArray[np.uint8]
    probability: Values


class _TakenApart:
    """The first few probe pictures and what `model` says of them in parts."""

    def __init__(self, model: Classifier, pictures: ProbePictures, device: torch.device) -> None:
        self._model, self._device = model, device
        pixels = pictures.pixels[:CURVE_PICTURES]
        self._labels = pictures.labels[:CURVE_PICTURES]
        self.side = pixels.shape[1]
        mean = pixels.mean((1, 2), keepdims=True).astype(np.uint8)
        self._whole = self._end(pixels)
        self._mean = self._end(np.broadcast_to(mean, pixels.shape))
        self._blurred = self._end(np.stack([_blurred(picture) for picture in pixels]))

    def curves(self, maps: Values) -> Curves:
        """Deletion and insertion by the order of (m, side, side) `maps`, largest value first."""
        share = _shares(maps)
        return Curves(
            self._between(share, self._whole, self._mean),
            self._between(share, self._blurred, self._whole),
        )

    def _between(self, share: NDArray[np.float64], start: _End, end: _End) -> Values:
        """(m, steps + 1) probabilities of the true class as pixels of `end` replace `start`'s."""
        mixed = np.stack([start.pixels] * (STEPS - 1))
        for k, pixels in enumerate(mixed, start=1):
            np.copyto(pixels, end.pixels, where=(share < k / STEPS)[..., None])
        found = self._probability(mixed.reshape(-1, *mixed.shape[2:])).reshape(STEPS - 1, -1)
        return np.stack([start.probability, *found, end.probability], axis=1)

    def _end(self, pixels: NDArray[np.uint8]) -> _End:
        return _End(pixels, self._probability(pixels))

    def _probability(self, pixels: NDArray[np.uint8]) -> Values:
        """(n,) probabilities of the true class of n pictures, m after m."""
        labels = np.resize(self._labels, len(pixels))
        pictures = Pictures(np.ascontiguousarray(pixels), labels, self._device)
        logits, targets = infer(self._model, pictures, np.arange(len(pixels)))
        if logits.shape[1] == 1:
            known = of_class(logits, targets).sigmoid()
        else:
            known = of_class(logits.softmax(dim=1), targets)
        return np.asarray(known.cpu().numpy(), np.float32)


def _shares(maps: Values) -> NDArray[np.float64]:
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
