"""Metrics agree with scikit-learn and with their definitions, at the edges too."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
    top_k_accuracy_score,
)

from headtohead.stats import metrics

LABELS = np.array([0, 1, 1, 0, 1, 0, 0, 1])


def _binary(seed: int = 0, n: int = 400) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    return (rng.normal(0, 2, (n, 1)) + (2 * labels[:, None] - 1)).astype(np.float32), labels


def _classes(outputs: int = 4, n: int = 300) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, outputs, n)
    logits = rng.normal(0, 1, (n, outputs))
    logits[np.arange(n), labels] += 1
    return logits.astype(np.float32), labels


def test_binary_metrics_are_those_of_scikit_learn() -> None:
    """Otherwise a user's table contradicts what they compute from the same predictions."""
    logits, labels = _binary()
    found = metrics.evaluate(logits, labels, 2)
    p = metrics.probabilities(logits)[:, 1]
    assert found.accuracy == np.mean((p > 0.5) == labels)
    assert found.cross_entropy == pytest.approx(log_loss(labels, p))
    assert found.auroc == pytest.approx(roc_auc_score(labels, p))
    assert found.brier == pytest.approx(2 * brier_score_loss(labels, p))
    assert found.n == 400


def test_multi_class_metrics_are_those_of_scikit_learn() -> None:
    """Otherwise studies with more than two classes report other quantities than they name."""
    logits, labels = _classes()
    found = metrics.evaluate(logits, labels, 4)
    p = metrics.probabilities(logits)
    assert found.cross_entropy == pytest.approx(log_loss(labels, p))
    expected = roc_auc_score(labels, p, multi_class="ovr", average="macro")
    assert found.auroc == pytest.approx(expected)
    assert found.brier == pytest.approx(np.mean(np.sum((p - np.eye(4)[labels]) ** 2, axis=1)))


def test_one_logit_equals_two_logits() -> None:
    """Otherwise the one-unit output of the article is scored by other rules than a softmax."""
    logits, labels = _binary()
    pair = np.hstack([np.zeros_like(logits), logits])
    assert metrics.evaluate(logits, labels, 2) == metrics.evaluate(pair, labels, 2)


def test_confusion_has_true_classes_in_rows() -> None:
    """A transposed matrix blames the wrong class for the mistakes."""
    logits = np.array([[2.0], [3.0], [-1.0]], dtype=np.float32)
    labels = np.array([0, 1, 0])
    assert metrics.evaluate(logits, labels, 2).confusion == ((1, 1), (0, 1))


def test_a_class_without_pictures_has_no_auroc() -> None:
    """A small split must not end the report, nor show an area that is not defined."""
    logits, labels = _classes()
    keep = labels != 2
    found = metrics.evaluate(logits[keep], labels[keep], 4)
    assert found.auroc is None
    assert len(found.confusion) == 4


def test_saturated_logits_still_rank_and_stay_finite() -> None:
    """A confident model's loss would be infinite and its AUROC a tie."""
    logits = np.array([[40.0], [900.0], [-900.0], [50.0], [60.0]], dtype=np.float32)
    labels = np.array([0, 1, 0, 1, 1])
    found = metrics.evaluate(logits, labels, 2)
    assert found.auroc == 1.0
    assert found.cross_entropy == pytest.approx(40 / 5)
    wrong = metrics.evaluate(logits, 1 - labels, 2)
    assert wrong.cross_entropy == pytest.approx((900 + 900 + 50 + 60) / 5)


def test_calibration_error_follows_its_definition() -> None:
    """Compared bin by bin with Guo et al.'s formula, so that "15 bins" is what is measured."""
    logits, labels = _classes(3, 500)
    p = metrics.probabilities(logits)
    top, hit = p.max(axis=1), p.argmax(axis=1) == labels
    expected = 0.0
    for m in range(1, 16):
        inside = (top > (m - 1) / 15) & (top <= m / 15)
        if inside.any():
            expected += inside.mean() * abs(hit[inside].mean() - top[inside].mean())
    assert metrics.expected_calibration_error(logits, labels) == pytest.approx(expected)


def test_a_perfectly_calibrated_and_a_boastful_model() -> None:
    """The error's scale: 0 for honest confidence, the excess for one that is always sure."""
    labels = np.array([1] * 75 + [0] * 25)
    honest = np.full((100, 1), np.log(3))
    boastful = np.full((100, 1), 100.0)
    assert metrics.expected_calibration_error(honest, labels) == pytest.approx(0, abs=1e-12)
    assert metrics.expected_calibration_error(boastful, labels) == pytest.approx(0.25)


@given(arrays(np.float32, (8, 3), elements=st.floats(-1e6, 1e6, width=32)))
def test_any_finite_logits_give_metrics_in_range(logits: NDArray[np.float32]) -> None:
    """A strange model must not print impossible numbers."""
    found = metrics.evaluate(logits, np.array([0, 1, 2, 0, 1, 2, 0, 1]), 3)
    assert 0 <= found.accuracy <= 1
    assert 0 <= found.brier <= 2 + 1e-9
    assert 0 <= found.expected_calibration_error <= 1 + 1e-9
    assert found.auroc is not None
    assert 0 <= found.auroc <= 1
    assert 0 <= found.cross_entropy < np.inf
    assert sum(map(sum, found.confusion)) == 8


@pytest.mark.parametrize(
    ("logits", "labels", "classes", "word"),
    [
        (np.zeros((8, 3)), LABELS, 2, "must be"),
        (np.zeros((7, 1)), LABELS, 2, "one per row"),
        (np.zeros((0, 1)), np.zeros(0, dtype=np.int64), 2, "at least one"),
        (np.zeros((8, 1)), LABELS + 1, 2, "0 … 1"),
        (np.full((8, 1), np.nan), LABELS, 2, "finite"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    logits: NDArray[np.float64], labels: NDArray[np.int64], classes: int, word: str
) -> None:
    """Silent broadcasting or NaN would put a wrong number into a report."""
    with pytest.raises(ValueError, match=word):
        metrics.evaluate(logits, labels, classes)


@st.composite
def answered(draw: st.DrawFn) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """Classes, labels and answers, some classes without images or never named."""
    classes = draw(st.integers(2, 6))
    n = draw(st.integers(1, 40))
    some = arrays(np.int64, n, elements=st.integers(0, classes - 1))
    return classes, draw(some), draw(some)


@given(answered())
def test_scores_of_classes_are_those_of_scikit_learn(
    found: tuple[int, NDArray[np.int64], NDArray[np.int64]],
) -> None:
    """Otherwise "macro-F1" in a report is not the reader's: for classes that have images."""
    classes, labels, named = found
    counts = confusion_matrix(labels, named, labels=range(classes))
    present = np.unique(labels)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, named, labels=range(classes), zero_division=np.nan
    )
    scores = metrics.class_scores(counts)
    np.testing.assert_allclose(scores.precision, precision)
    np.testing.assert_allclose(scores.recall, recall)
    np.testing.assert_allclose(scores.f1[present], f1[present])
    assert np.isnan(np.delete(scores.f1, present)).all()
    assert scores.support.tolist() == support.tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of answers that name a class without images
        assert metrics.balanced_accuracy(counts) == pytest.approx(
            balanced_accuracy_score(labels, named)
        )
    assert metrics.macro_f1(counts) == pytest.approx(
        f1_score(labels, named, labels=present, average="macro", zero_division=0)
    )


def test_a_class_without_pictures_is_no_part_of_macro_f1() -> None:
    """docs/statistics.md says so: whoever checks by scikit-learn's default finds another number."""
    labels, named = np.array([0, 0, 0, 1]), np.array([0, 0, 2, 1])
    counts = confusion_matrix(labels, named, labels=range(3))
    assert metrics.macro_f1(counts) == pytest.approx((0.8 + 1) / 2)
    assert f1_score(labels, named, average="macro") == pytest.approx((0.8 + 1 + 0) / 3)


@given(answered())
def test_scores_of_pictures_add_up_to_the_metric(
    found: tuple[int, NDArray[np.int64], NDArray[np.int64]],
) -> None:
    """Otherwise the interval over images lies about another number than the verdict's."""
    classes, labels, named = found
    counts = confusion_matrix(labels, named, labels=range(classes))
    for metric, value in (
        ("test_accuracy", float(np.mean(labels == named))),
        ("balanced_accuracy", metrics.balanced_accuracy(counts)),
        ("macro_f1", metrics.macro_f1(counts)),
        ("weighed", metrics.balanced_accuracy(counts)),
    ):
        scores = metrics.picture_scores(metric, named, labels, classes)
        assert scores.mean() == pytest.approx(value)


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_f1"])
def test_scores_of_pictures_spread_as_the_metric_does(metric: str) -> None:
    """Their standard error must be that of drawing images anew, or intervals are too narrow."""
    rng = np.random.default_rng(0)
    labels = rng.choice(3, 600, p=[0.6, 0.3, 0.1])
    named = np.where(rng.random(600) < 0.7, labels, rng.integers(0, 3, 600))
    scores = metrics.picture_scores(metric, named, labels, 3)
    drawn = []
    for _ in range(2000):
        rows = rng.integers(0, 600, 600)
        counts = np.bincount(3 * labels[rows] + named[rows], minlength=9).reshape(3, 3)
        drawn.append(getattr(metrics, metric)(counts))
    assert scores.std() / np.sqrt(600) == pytest.approx(np.std(drawn), rel=0.08)


def test_top_5_is_that_of_scikit_learn_from_eleven_classes_on() -> None:
    """Of ten classes five are half: the number would only flatter."""
    logits, labels = _classes(outputs=12)
    found = metrics.evaluate(logits, labels, 12)
    assert found.top_5 == pytest.approx(top_k_accuracy_score(labels, logits, k=5, labels=range(12)))
    few, of_few = _classes(outputs=10)
    assert metrics.evaluate(few, of_few, 10).top_5 is None


def test_the_largest_class_scores_what_its_answer_does() -> None:
    """A failed run counts as this: by hand for 6, 3 and 1 images, and one class without any."""
    found = metrics.constant_scores([3, 6, 0, 1])
    assert found["test_accuracy"] == pytest.approx(0.6)
    assert found["balanced_accuracy"] == pytest.approx(1 / 3)
    assert found["macro_f1"] == pytest.approx(2 * 0.6 / 1.6 / 3)
