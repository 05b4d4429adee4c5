"""Metrics of one run on one split: logits and labels in, numbers out.

Everything goes through log-odds in float64, so that saturated float32 logits neither overflow
nor tie.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp, softmax

Floats: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]
Logits: TypeAlias = NDArray[np.floating[Any]]

BINS = 15


@dataclass(frozen=True)
class Evaluation:
    """What one run scores on one split of `n` pictures.

    `accuracy` and `expected_calibration_error` are shares in [0, 1]; `cross_entropy` is in nats;
    `auroc` is None where a class has no picture; `brier` is the multi-class sum, in [0, 2];
    `confusion` is K × K counts, rows the true class, columns the predicted one.
    """

    n: int
    accuracy: float
    cross_entropy: float
    auroc: float | None
    brier: float
    expected_calibration_error: float
    confusion: tuple[tuple[int, ...], ...]


def evaluate(logits: Logits, labels: Labels, classes: int) -> Evaluation:
    """All metrics of (n, outputs) logits against (n,) labels in 0 … classes - 1.

    Raises ValueError for no pictures, shapes that do not fit, labels out of range and logits
    that are not finite.
    """
    _check(logits, labels, classes)
    return Evaluation(
        n=len(labels),
        accuracy=accuracy(logits, labels),
        cross_entropy=cross_entropy(logits, labels),
        auroc=auroc(logits, labels),
        brier=brier(logits, labels),
        expected_calibration_error=expected_calibration_error(logits, labels),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion(logits, labels)),
    )


def probabilities(logits: Logits) -> Floats:
    """(n, outputs) logits → (n, K) class probabilities: sigmoid of one logit, else softmax."""
    return np.asarray(softmax(_per_class(logits), axis=1), dtype=np.float64)


def predictions(logits: Logits) -> Labels:
    """(n,) predicted classes. One logit names class 1 where it is above 0, as Keras's 0.5 does."""
    return np.asarray(np.argmax(_per_class(logits), axis=1), dtype=np.int64)


def accuracy(logits: Logits, labels: Labels) -> float:
    """The share of pictures whose predicted class is the true one."""
    return float(np.mean(predictions(logits) == labels))


def cross_entropy(logits: Logits, labels: Labels) -> float:
    """Mean of -log p(true class), in nats; finite for any finite logits."""
    logs = log_softmax(_per_class(logits), axis=1)
    return float(-np.mean(logs[np.arange(len(labels)), labels]))


def auroc(logits: Logits, labels: Labels) -> float | None:
    """Area under the ROC curve; for more than two classes the macro mean of one-vs-rest.

    None where a class (or every other one) has no picture: the area is then undefined.
    Pictures are ranked by log-odds, the order that probabilities would give without ties.
    Mann and Whitney's form: how often a picture of the class has more than one of the others,
    ties counting half.
    """
    scores = _per_class(logits)
    outputs = scores.shape[1]
    if len(np.unique(labels)) < outputs:
        return None
    areas = []
    for k in range(outputs) if outputs > 2 else (1,):
        odds = scores[:, k] - logsumexp(np.delete(scores, k, 1), axis=1)
        own, others = odds[labels == k], np.sort(odds[labels != k])
        below = np.searchsorted(others, own, "left") + np.searchsorted(others, own, "right")
        areas.append(below.mean() / 2 / len(others))
    return float(np.mean(areas))


def confusion(logits: Logits, labels: Labels) -> NDArray[np.int64]:
    """(K, K) counts of pictures: rows are true classes, columns predicted ones."""
    classes = _per_class(logits).shape[1]
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predictions(logits)), 1)
    return counts


def brier(logits: Logits, labels: Labels) -> float:
    """Brier score in its original multi-class form: mean of Σ_k (p_k - y_k)², in [0, 2].

    For two classes it is twice the one-column form that scikit-learn's default gives
    (Brier 1950, Monthly Weather Review 78).
    """
    p = probabilities(logits)
    p[np.arange(len(labels)), labels] -= 1
    return float(np.mean(np.sum(p**2, axis=1)))


def expected_calibration_error(logits: Logits, labels: Labels, bins: int = BINS) -> float:
    """Mean |accuracy - confidence| over equal-width bins ((m-1)/M, m/M] of the top probability.

    Bins are weighted by their pictures (Guo et al. 2017, arXiv 1706.04599, 15 bins).
    """
    confidence = probabilities(logits).max(axis=1)
    correct = predictions(logits) == labels
    gaps = np.bincount(
        confidence_bins(confidence, bins), weights=correct - confidence, minlength=bins
    )
    return float(np.abs(gaps).sum() / len(labels))


def confidence_bins(confidence: Floats, bins: int) -> NDArray[np.int64]:
    """(n,) the equal-width bin ((m-1)/M, m/M] that each confidence lies in, counted from 0."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _per_class(logits: Logits) -> Floats:
    """(n, K) float64 logits; one logit z stands for (0, z), whose softmax is its sigmoid."""
    values = np.asarray(logits, dtype=np.float64)
    if values.shape[1] == 1:
        return np.hstack([np.zeros_like(values), values])
    return values


def _check(logits: Logits, labels: Labels, classes: int) -> None:
    outputs = 1 if classes == 2 else classes
    if logits.ndim != 2 or logits.shape[1] not in (outputs, classes) or classes < 2:
        raise ValueError(
            f"logits of {classes} classes must be (n, {outputs}); received {logits.shape}"
        )
    if labels.shape != logits.shape[:1] or not len(labels):
        raise ValueError(
            f"labels must be one per row of logits, at least one; received {labels.shape} "
            f"for logits {logits.shape}"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"labels must lie in 0 … {classes - 1}; received {labels.min()} … {labels.max()}"
        )
    if not np.isfinite(logits).all():
        raise ValueError(
            f"logits must be finite; {np.count_nonzero(~np.isfinite(logits))} of "
            f"{logits.size} are not"
        )
