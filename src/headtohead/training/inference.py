"""A model's logits on images, and what they are worth."""

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from headtohead.backbones.folding import EXAMPLES, folded
from headtohead.heads.classifier import Classifier
from headtohead.training.device import tf32
from headtohead.training.inputs import Inputs

BATCH = 64
"""Images evaluated at once: as many as a training step has, so that it needs no more memory.

On a CPU batches of 16 took 1.09 times as long, those of 128 saved 2 %.
"""

BATCH_ON_GPU = 256
"""There a batch of 64 is over before the host has sent off the next."""


def cross_entropy(logits: Tensor, labels: Tensor, *, reduction: str = "mean") -> Tensor:
    """Loss in nats, its mean or, with reduction "none", (n,) of each image.

    Binary with one logit (the sigmoid is in here), else softmax.
    """
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(
            logits[:, 0], labels.to(logits.dtype), reduction=reduction
        )
    return functional.cross_entropy(logits, labels, reduction=reduction)


def predicted(logits: Tensor) -> Tensor:
    """(n, outputs) logits → (n,) classes."""
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).to(torch.int64)
    return logits.argmax(dim=1)


@torch.inference_mode()
@tf32(allowed=False)
def infer(model: Classifier, pictures: Inputs, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Logits (n, outputs) and labels (n,) in evaluation mode, in the order of `rows`.

    Nothing small is kept between two batches: it would lie where the next one's maps were, which
    then need new memory, 85 kB an image of 100 pixels.
    """
    batch = BATCH_ON_GPU if pictures.device.type == "cuda" else BATCH
    model.eval()
    found = torch.empty(0)
    labels = pictures.rows(pictures.labels[rows])
    parts = torch.split(pictures.rows(rows), batch)
    some = parts[0][:EXAMPLES] if len(parts) > 1 else parts[0][:0]  # one batch is done sooner
    logits_of = folded(partial(pictures.logits, model), pictures.batch(some)[0])
    for start, part in enumerate(parts):
        logits = logits_of(pictures.batch(part)[0])
        if start == 0:
            found = logits.new_empty((len(rows), logits.shape[1]))
        found[start * batch :][: len(part)] = logits
    return found, labels


def loss_and_accuracy(
    model: Classifier, pictures: Inputs, rows: NDArray[np.int64], *, seen: int | None = None
) -> tuple[float, float]:
    """Mean loss in nats and accuracy in [0, 1] in evaluation mode.

    Every image counts once; with `seen`, as often as it comes among the first so many of `rows`
    read over and over.
    """
    logits, labels = infer(model, pictures, rows[:seen])
    right = (predicted(logits) == labels).to(torch.float64)
    if seen is None:
        return float(cross_entropy(logits, labels)), float(right.mean())
    times = torch.full_like(right, seen // len(right))
    times[: seen % len(right)] += 1
    losses = cross_entropy(logits, labels, reduction="none").to(torch.float64)
    return float(losses @ times) / seen, float(right @ times) / seen
