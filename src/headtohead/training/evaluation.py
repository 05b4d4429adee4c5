"""A model's logits on pictures, and what they are worth."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from headtohead.models.classifier import Classifier
from headtohead.training.pictures import Pictures

BATCH = 64
"""Pictures evaluated at once: as many as a training step has, so that it needs no more memory."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss in nats: binary with one logit (the sigmoid is in here), else softmax."""
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype))
    return functional.cross_entropy(logits, labels)


def predicted(logits: Tensor) -> Tensor:
    """(n, outputs) logits → (n,) classes."""
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).to(torch.int64)
    return logits.argmax(dim=1)


@torch.inference_mode()
def infer(
    model: Classifier, pictures: Pictures, rows: NDArray[np.int64], *, batch: int = BATCH
) -> tuple[Tensor, Tensor]:
    """Logits (n, outputs) and labels (n,) in evaluation mode, in the order of `rows`."""
    model.eval()
    logits, labels = [], []
    for part in torch.split(pictures.rows(rows), batch):
        inputs, targets = pictures.batch(part)
        logits.append(model(inputs))
        labels.append(targets)
    return torch.cat(logits), torch.cat(labels)


def measure(model: Classifier, pictures: Pictures, rows: NDArray[np.int64]) -> tuple[float, float]:
    """Mean loss in nats and accuracy in [0, 1] in evaluation mode."""
    logits, labels = infer(model, pictures, rows)
    accuracy = (predicted(logits) == labels).to(torch.float64).mean()
    return float(cross_entropy(logits, labels)), float(accuracy)
