"""The translation probe: what a finished model says as its window moves over real content."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from headtohead.backbones.base import Backbone
from headtohead.heads.classifier import Classifier
from headtohead.probes.evidence import ProbePictures, Translation
from headtohead.training.evaluate import infer, predicted
from headtohead.training.inputs import Pictures


def windows(stride: int, margin: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Shifts (s, 2) in pixels (down, right), the centre first, and which are fine ones (s,).

    Fine: 1, 2, … `stride` pixels right, then down: through every phase of the backbone's grid.
    Large: `margin` pixels, as far as the wide pictures reach, in eight directions.
    """
    fine = [(0, k) for k in range(1, stride + 1)] + [(k, 0) for k in range(1, stride + 1)]
    ways = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)]
    large = [(down * margin, right * margin) for down, right in ways]
    shifts = np.array([(0, 0), *fine, *large], np.int64)
    return shifts, np.arange(len(shifts)) <= len(fine)


def whole_stride(backbone: Backbone) -> int:
    """The backbone's stride in whole pixels, at least one: windows move by whole pixels."""
    return max(1, math.ceil(backbone.stride))


def collect_translation(
    model: Classifier, pictures: ProbePictures, device: torch.device
) -> Translation:
    """Predictions of `model` on `device` in every window of the wide probe pictures."""
    side = pictures.pixels.shape[1]
    margin = (pictures.wide.shape[1] - side) // 2
    shifts, fine = windows(whole_stride(model.backbone), margin)
    everything = np.arange(len(pictures.rows))
    said = []
    for down, right in (shifts + margin).tolist():
        window = pictures.wide[:, down : down + side, right : right + side]
        crops = Pictures(np.ascontiguousarray(window), pictures.labels, device)
        logits, _ = infer(model, crops, everything)
        said.append(predicted(logits).cpu().numpy())
    return Translation(pictures.rows, pictures.labels, shifts, fine, np.stack(said))
