"""How much each class counts in the training loss.

A class with few images is seen in few steps, and a network may do without it. Balanced, the loss of
an image of class k is weighed by n / (K · n_k): every class has the same part in an epoch's loss,
and the mean weight over the training split is 1, so that the learning rate means what it did
(King & Zeng 2001, Political Analysis 9; scikit-learn's `class_weight="balanced"`).

The batch's loss is the mean of weighed losses, as in Keras. PyTorch's own `weight` divides by the
sum of the batch's weights instead, which undoes them in a batch of one class.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headtohead.config.recipe import RecipeSpec
from headtohead.training.inference import cross_entropy


def balanced(labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(K,) weights n / (K · n_k) of the classes of `labels` (n,); 0 for a class without images."""
    counts = np.bincount(labels, minlength=classes)
    return np.divide(
        len(labels), classes * counts, out=np.zeros(classes), where=counts > 0, dtype=np.float64
    )


def class_weights(
    recipe: RecipeSpec, labels: NDArray[np.int64], classes: int, device: torch.device
) -> Tensor | None:
    """(K,) float32 weights on the device, of training `labels` (n,); None where all are alike."""
    if recipe.class_weights is None:
        return None
    return torch.from_numpy(balanced(labels, classes)).to(device, torch.float32)


def training_loss(logits: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
    """The batch's mean loss in nats, each image's weighed by its class where there are weights.

    Reads nothing back from the device: it may be recorded as a CUDA graph.
    """
    if weights is None:
        return cross_entropy(logits, labels)
    losses = cross_entropy(logits, labels, reduction="none")
    return (losses * torch.index_select(weights, 0, labels)).mean()
