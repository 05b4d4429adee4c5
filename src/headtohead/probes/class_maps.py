"""The class-map probe: where a finished model looks, by one method for all heads."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from headtohead.analysis.maps import at_pixels
from headtohead.models.backbones import ConvolutionBackbone
from headtohead.models.classifier import Classifier
from headtohead.probes.evidence import ClassMaps, Curves, ProbePictures
from headtohead.seeds import stream
from headtohead.training.pictures import Pictures

BATCH = 16
"""Small enough for a core's cache: almost twice as fast on a CPU as batches of 128."""

CURVE_PICTURES = 24
"""The first so many probe pictures are taken apart and put together again."""

STEPS = 10
BLUR = 0.1
"""Radius of the blur that an insertion starts from, as a share of the side."""

Values = NDArray[np.float32]


def collect_class_maps(
    model: Classifier, pictures: ProbePictures, device: torch.device
) -> ClassMaps:
    """Maps of the probe pictures by `model` on `device`, and what they are worth to it."""
    first, stride = cell_centres(model.backbone)
    found = list(_maps(model.eval(), Pictures(pictures.pixels, pictures.labels, device)))
    gradcam = np.concatenate([maps for maps, _ in found])
    own = [maps for _, maps in found if maps is not None]
    exact = np.concatenate(own) if own else None
    chance = stream(0, "random maps").random(gradcam.shape, dtype=np.float32)

    def curves(maps: Values) -> Curves:
        pixels = at_pixels(maps[:CURVE_PICTURES], pictures.pixels.shape[1], first, stride)
        return _curves(model, pictures, pixels, device)

    return ClassMaps(
        rows=pictures.rows,
        labels=pictures.labels,
        first=first,
        stride=stride,
        gradcam=gradcam,
        exact=exact,
        random_curves=curves(chance),
        gradcam_curves=curves(gradcam),
        exact_curves=None if exact is None else curves(exact),
    )


def cell_centres(backbone: ConvolutionBackbone) -> tuple[float, float]:
    """The pixel at which a feature map's first cell is centred, and the pixels between two.

    A block's 3 × 3 convolution without padding and 2 × 2 pool centre output i on input 2i + 1.5.
    """
    first, stride = 0.0, 1.0
    for _ in backbone.widths:
        first, stride = first + 1.5 * stride, 2 * stride
    return first, stride


def true_logit(model: Classifier) -> Callable[[Tensor, Tensor], Tensor]:
    """(pictures, labels) → (n,) logits of the true class; with one logit, its negative for 0."""

    def forward(inputs: Tensor, labels: Tensor) -> Tensor:
        return _of_class(model(inputs), labels)

    return forward


def _of_class(values: Tensor, labels: Tensor) -> Tensor:
    """(n, outputs, …) → (n, …) of each picture's label."""
    if values.shape[1] == 1:
        sign = (2 * labels - 1).to(values.dtype)
        return values[:, 0] * sign.reshape(-1, *[1] * (values.ndim - 2))
    return values[torch.arange(len(values), device=values.device), labels]


def _maps(model: Classifier, pictures: Pictures) -> Iterator[tuple[Values, Values | None]]:
    """Per batch: Grad-CAM in logits (see `ClassMaps`), and the head's own maps or None."""
    gradcam = LayerGradCam(true_logit(model), model.backbone)
    for inputs, labels in _batches(pictures):
        found = gradcam.attribute(inputs, additional_forward_args=(labels,))
        height, width = found.shape[2:]
        maps = (found[:, 0] * (height * width)).detach().cpu().numpy()
        with torch.no_grad():
            own = model.head.class_maps(model.backbone(inputs))
        yield maps, None if own is None else _of_class(own, labels).cpu().numpy()


def _batches(pictures: Pictures) -> Iterator[tuple[Tensor, Tensor]]:
    for rows in torch.split(pictures.rows(np.arange(len(pictures))), BATCH):
        yield pictures.batch(rows)


def _curves(
    model: Classifier, pictures: ProbePictures, maps: Values, device: torch.device
) -> Curves:
    """Deletion and insertion by the order of (m, side, side) `maps`, the largest value first.

    Equal values go in a fixed random order, the same for every map.
    """
    pixels, labels = pictures.pixels[: len(maps)], pictures.labels[: len(maps)]
    shuffled = stream(0, "equal pixels").permutation(maps[0].size)
    flat = maps.reshape(len(maps), -1)[:, shuffled]
    order = shuffled[np.argsort(-flat, axis=1, kind="stable")]
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(order.shape[1])[None], axis=1)
    share = (ranks / order.shape[1]).reshape(maps.shape)
    mean = np.broadcast_to(pixels.mean((1, 2), keepdims=True).astype(np.uint8), pixels.shape)
    blurred = np.stack([_blurred(picture) for picture in pixels])
    curves = []
    for kept, gone in ((pixels, mean), (blurred, pixels)):
        columns = [
            _probability(
                model, np.where((share < k / STEPS)[..., None], gone, kept), labels, device
            )
            for k in range(STEPS + 1)
        ]
        curves.append(np.stack(columns, axis=1))
    return Curves(*curves)


def _blurred(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    radius = ImageFilter.GaussianBlur(BLUR * picture.shape[0])
    return np.asarray(Image.fromarray(picture).filter(radius), np.uint8)


@torch.inference_mode()
def _probability(
    model: Classifier, pixels: NDArray[np.uint8], labels: NDArray[np.int64], device: torch.device
) -> Values:
    """(n,) probabilities of the true class."""
    found = []
    for inputs, targets in _batches(Pictures(pixels, labels, device)):
        logits = model(inputs)
        known = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)
        if logits.shape[1] == 1:
            known = torch.cat([1 - known, known], dim=1)
        found.append(_of_class(known, targets))
    return np.asarray(torch.cat(found).cpu().numpy(), np.float32)
