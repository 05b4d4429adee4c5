"""Heads that are computed, not trained: fitted to the whole training split in one epoch."""

from dataclasses import dataclass

import torch
from numpy import int64
from numpy.typing import NDArray
from torch import Tensor

from headtohead.heads.base import ClosedFormHead
from headtohead.heads.classifier import Classifier
from headtohead.training.inference import cross_entropy, predicted
from headtohead.training.inputs import Inputs


def closed_head(model: Classifier) -> ClosedFormHead:
    """The head of a model whose head is fitted. Raises TypeError for any other."""
    if not isinstance(model.head, ClosedFormHead):
        raise TypeError(f"{type(model.head).__name__} is trained, not fitted")
    return model.head


@dataclass(frozen=True)
class Fitted:
    """Takes in batches, where heads that are trained have gradients: see `step.Gradients`."""

    model: Classifier
    inputs: Inputs

    @torch.no_grad()
    def __call__(self, rows: Tensor, draws: Tensor | None) -> tuple[Tensor, Tensor]:
        """Fit to a batch, in evaluation mode; its mean loss and number correct after that."""
        self.model.eval()
        inputs, labels = self.inputs.batch(rows)
        features = self.inputs.maps(self.model.backbone, inputs)
        head = closed_head(self.model)
        head.fit(features, labels)
        logits = head(features)
        return cross_entropy(logits, labels), (predicted(logits) == labels).sum()


def fit(model: Classifier, inputs: Inputs, rows: NDArray[int64], batch: int) -> None:
    """Fit the head anew to all of `rows`, batch by batch, in evaluation mode."""
    closed_head(model).reset()
    take = Fitted(model, inputs)
    for part in torch.split(inputs.rows(rows), batch):
        take(part, None)
