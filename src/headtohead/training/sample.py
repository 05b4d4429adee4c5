"""Which training images over-fitting is measured on."""

import numpy as np
from numpy.typing import NDArray

from headtohead.core.streams import stream
from headtohead.data.split import Split
from headtohead.training.plans import RunPlan

FEWEST_SAMPLED = 1000
"""Training images that over-fitting is measured on, where there are so many: an accuracy of 90 %
has a standard error of one point on them."""


def training_sample(plan: RunPlan, labels: NDArray[np.int64], split: Split) -> NDArray[np.int64]:
    """Rows of the training split to measure over-fitting on, the same for every head and epoch.

    As many as validation has, and at least FEWEST_SAMPLED where there are as many; each class by
    its share. With moving averages as version 0.1 drew it: regardless of class, and no larger.
    `labels` are those of all images.
    """
    shuffled = stream(plan.seed, "sample").permutation(np.sort(split.train))
    size = min(len(split.train), len(split.validation))
    if plan.recipe.batch_norm == "moving":
        return np.sort(shuffled[:size])
    size = min(len(split.train), max(size, FEWEST_SAMPLED))
    return np.sort(stratified(shuffled, labels[shuffled], size))


def stratified(rows: NDArray[np.int64], labels: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The first rows of each class, as many as its share of `size` is, to the nearest whole.

    `labels` are those of `rows`. Between equal remainders the class with the lower number wins.
    """
    classes, counts = np.unique(labels, return_counts=True)
    shares = counts * size / len(rows)
    taken = np.floor(shares).astype(np.int64)
    largest = np.argsort(taken - shares, kind="stable")[: size - int(taken.sum())]
    taken[largest] += 1
    parts = [rows[labels == label][:n] for label, n in zip(classes, taken, strict=True)]
    return np.concatenate(parts)
