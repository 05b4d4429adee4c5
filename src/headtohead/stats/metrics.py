"""Metrics of one run on one split: logits and labels in, numbers out.

Everything goes through log-odds in float64, so that saturated float32 logits neither overflow
nor tie.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp, softmax

Floats: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]
Logits: TypeAlias = NDArray[np.floating[Any]]

BINS = 15

TOP, TOP_FROM = 5, 11
"""Top-5 accuracy is given from so many classes on: of few, nearly any answer has the true one."""


@dataclass(frozen=True)
class Evaluation:
    """What one run scores on one split of `n` images.

    `accuracy` and `expected_calibration_error` are shares in [0, 1]; `cross_entropy` is in nats;
    `auroc` is None where a class has no image; `brier` is the multi-class sum, in [0, 2];
    `confusion` is K × K counts, rows the true class, columns the predicted one. `top_5` is the
    share of images with the true class among the five likeliest, None below TOP_FROM classes.
    """

    n: int
    accuracy: float
    cross_entropy: float
    auroc: float | None
    brier: float
    expected_calibration_error: float
    confusion: tuple[tuple[int, ...], ...]
    balanced_accuracy: float
    macro_f1: float
    top_5: float | None


@dataclass(frozen=True)
class ClassScores:
    """Each class by itself, (K,) each: shares in [0, 1], and its images, `support`.

    `recall` and `f1` are not a number for a class without images. `precision` is not a number
    for a class that was never named; its F1 is 0.
    """

    precision: Floats
    recall: Floats
    f1: Floats
    support: Labels


def evaluate(logits: Logits, labels: Labels, classes: int) -> Evaluation:
    """All metrics of (n, outputs) logits against (n,) labels in 0 … classes - 1.

    Raises ValueError for no images, shapes that do not fit, labels out of range and logits
    that are not finite.
    """
    _check(logits, labels, classes)
    counts = confusion(logits, labels)
    return Evaluation(
        n=len(labels),
        accuracy=accuracy(logits, labels),
        cross_entropy=cross_entropy(logits, labels),
        auroc=auroc(logits, labels),
        brier=brier(logits, labels),
        expected_calibration_error=expected_calibration_error(logits, labels),
        confusion=tuple(tuple(int(n) for n in row) for row in counts),
        balanced_accuracy=balanced_accuracy(counts),
        macro_f1=macro_f1(counts),
        top_5=top_accuracy(logits, labels, TOP) if classes >= TOP_FROM else None,
    )


def probabilities(logits: Logits) -> Floats:
    """(n, outputs) logits → (n, K) class probabilities: sigmoid of one logit, else softmax."""
    return np.asarray(softmax(_per_class(logits), axis=1), dtype=np.float64)


def predictions(logits: Logits) -> Labels:
    """(n,) predicted classes. One logit names class 1 where it is above 0, as Keras's 0.5 does."""
    return np.asarray(np.argmax(_per_class(logits), axis=1), dtype=np.int64)


def accuracy(logits: Logits, labels: Labels) -> float:
    """The share of images whose predicted class is the true one."""
    return float(np.mean(predictions(logits) == labels))


def cross_entropy(logits: Logits, labels: Labels) -> float:
    """Mean of -log p(true class), in nats; finite for any finite logits."""
    logs = log_softmax(_per_class(logits), axis=1)
    return float(-np.mean(logs[np.arange(len(labels)), labels]))


def auroc(logits: Logits, labels: Labels) -> float | None:
    """Area under the ROC curve; for more than two classes the macro mean of one-vs-rest.

    None where a class (or every other one) has no image: the area is then undefined.
    Images are ranked by log-odds, the order that probabilities would give without ties.
    Mann and Whitney's form: how often an image of the class has more than one of the others,
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
    """(K, K) counts of images: rows are true classes, columns predicted ones."""
    classes = _per_class(logits).shape[1]
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predictions(logits)), 1)
    return counts


def class_scores(counts: NDArray[np.int64]) -> ClassScores:
    """Precision, recall and F1 = 2 TP / (2 TP + FP + FN) of each class of (K, K) confusions."""
    right = np.diag(counts).astype(np.float64)
    true, named = counts.sum(axis=1), counts.sum(axis=0)
    return ClassScores(
        precision=_share(right, named),
        recall=_share(right, true),
        f1=np.where(true > 0, _share(2 * right, true + named), np.nan),
        support=true.astype(np.int64),
    )


def balanced_accuracy(counts: NDArray[np.int64]) -> float:
    """Mean recall over the classes that have images (Brodersen et al. 2010, ICPR).

    Any answer that does not look at the image has 1 / (number of those classes).
    """
    return float(np.nanmean(class_scores(counts).recall))


def macro_f1(counts: NDArray[np.int64]) -> float:
    """Mean F1 over the classes that have images (Opitz & Burst 2019, arXiv 1911.03347)."""
    return float(np.nanmean(class_scores(counts).f1))


def constant_scores(counts: Sequence[int]) -> dict[str, float]:
    """What always predicting the largest class scores, by images of each class: metric → share."""
    true = np.asarray(counts, dtype=np.int64)
    answers = np.zeros((len(true), len(true)), np.int64)
    answers[:, int(np.argmax(true))] = true
    return {
        "test_accuracy": float(true.max() / true.sum()),
        "balanced_accuracy": balanced_accuracy(answers),
        "macro_f1": macro_f1(answers),
    }


def top_accuracy(logits: Logits, labels: Labels, k: int) -> float:
    """The share of images whose true class is among the k of highest logit.

    Between equal logits the class with the lower number comes first, as in `predictions`.
    """
    order = np.argsort(-_per_class(logits), axis=1, kind="stable")[:, :k]
    return float(np.mean((order == labels[:, None]).any(axis=1)))


def picture_scores(metric: str, named: Labels, labels: Labels, classes: int) -> Floats:
    """(n,) numbers, one per image, whose mean is the metric and whose spread is its sampling error.

    `metric` is `test_accuracy`, `balanced_accuracy` or `macro_f1`. The last two are no means over
    images: each image has the metric plus its influence on it, the first-order term of the
    delta method (Davison & Hinkley 1997, section 2.7), and influences add up to 0. `weighed` is
    balanced accuracy as a plain mean, each image weighed by its class: its spread is too large,
    but not 0 where whole classes are named alike, as a constant answer names them.
    """
    if metric == "test_accuracy":
        return np.asarray(named == labels, dtype=np.float64)
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, named), 1)
    scores, n = class_scores(counts), len(labels)
    present = int(np.count_nonzero(scores.support))
    if metric == "weighed":
        return np.asarray((named == labels) * n / (present * scores.support[labels]))
    if metric == "balanced_accuracy":
        lead = (named == labels) - scores.recall[labels]
        influence = n * lead / (present * scores.support[labels])
        return np.asarray(balanced_accuracy(counts) + influence, dtype=np.float64)
    if metric != "macro_f1":
        raise ValueError(f"no score of single images for {metric!r}")
    size = (counts.sum(axis=0) + counts.sum(axis=1)).astype(np.float64)
    # A class without images is no part of the mean: naming it counts for nothing of its own.
    worth = np.where(scores.support > 0, 1 / np.maximum(size, 1), 0.0)
    f1 = np.nan_to_num(scores.f1)
    gain = 2 * (named == labels) * worth[labels]
    loss = f1[labels] * worth[labels] + f1[named] * worth[named]
    return np.asarray(macro_f1(counts) + n * (gain - loss) / present, dtype=np.float64)


def _share(part: Floats, whole: NDArray[np.int64]) -> Floats:
    out = np.full(len(part), np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def brier(logits: Logits, labels: Labels) -> float:
    """Brier score in its original multi-class form: mean of Σ_k (p_k - y_k)², in [0, 2].

    For two classes it is twice the one-column form that scikit-learn's default gives
    (Brier 1950, Monthly Weather Review 78).
    """
    p = probabilities(logits)
    p[np.arange(len(labels)), labels] -= 1
    return float(np.mean(np.sum(p**2, axis=1)))


def expected_calibration_error(logits: Logits, labels: Labels) -> float:
    """Mean |accuracy - confidence| over equal-width bins ((m-1)/M, m/M] of the top probability.

    Bins are weighted by their images (Guo et al. 2017, arXiv 1706.04599, 15 bins).
    """
    confidence = probabilities(logits).max(axis=1)
    correct = predictions(logits) == labels
    gaps = np.bincount(
        confidence_bins(confidence, BINS), weights=correct - confidence, minlength=BINS
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
