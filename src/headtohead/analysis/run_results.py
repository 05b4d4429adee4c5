"""One run that is over → its numbers: from its record, its history and its predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headtohead.config.verdict import Metric
from headtohead.probes.predictions import Predictions, SplitPredictions
from headtohead.stats.metrics import Evaluation, constant_scores, evaluate
from headtohead.store.ledger import Run, StudyFile
from headtohead.store.records import EpochRecord, Parameters

TEST_METRICS = {
    "test_accuracy": "accuracy",
    "test_loss": "cross_entropy",
    "test_auroc": "auroc",
    "test_brier": "brier",
    "test_ece": "expected_calibration_error",
    "test_balanced_accuracy": "balanced_accuracy",
    "test_macro_f1": "macro_f1",
}
PRIMARY: Mapping[Metric, str] = {
    "test_accuracy": "test_accuracy",
    "balanced_accuracy": "test_balanced_accuracy",
    "macro_f1": "test_macro_f1",
}
"""Which of METRICS a study's verdicts are about, by `verdict.metric`."""

IN_WORDS: Mapping[Metric, str] = {
    "test_accuracy": "test accuracy",
    "balanced_accuracy": "balanced test accuracy",
    "macro_f1": "test macro-F1",
}
"""The primary metric in running text: points of it, verdicts on it."""

METRICS = (
    "best_val_accuracy",
    "best_val_loss",
    "last_val_accuracy",
    "last_val_loss",
    "best_overfit",
    "last_overfit",
    *TEST_METRICS,
    *(f"{name}_last" for name in TEST_METRICS),
    "seconds",
    "cpu_seconds",
)
"""Accuracies and over-fitting are shares, losses nats, times seconds; `test_*` is measured at the
best epoch, `test_*_last` at the last one. Over-fitting is training minus validation accuracy,
both in evaluation mode."""


@dataclass(frozen=True)
class SeedImages:
    """How many images of each class the validation and the test split of a seed have.

    By them a failed run is scored.
    """

    validation: Sequence[int]
    test: Sequence[int]

    @property
    def validation_majority(self) -> float:
        """The validation accuracy of always predicting its largest class."""
        return max(self.validation) / sum(self.validation)


def seed_images(file: StudyFile, found: Predictions | None) -> SeedImages:
    """Those that a run of the seed predicted.

    Those of the study's file where all seeds have its split, or where no run tells.
    """
    if found is None or file.study.split.mode == "fixed":
        return SeedImages(file.images("validation"), file.images("test"))
    parts, classes = (found.validation, found.test), len(file.classes)
    return SeedImages(*(np.bincount(part.labels, minlength=classes).tolist() for part in parts))


@dataclass(frozen=True)
class RunResult:
    """One run that is over. `metrics` has every name of METRICS, None where it is not known.

    `failure` says why a failed run failed. `scored` is its primary metric in comparisons: a
    failed run's is that of always predicting the largest class.
    """

    head: str
    seed: int
    failure: str | None
    epochs: int
    best_epoch: int | None
    parameters: Parameters
    environment: Mapping[str, str]
    metrics: Mapping[str, float | None]
    scored: float | None
    scored_validation: float | None
    best: EpochRecord | None
    test_best: Evaluation | None

    @property
    def finished(self) -> bool:
        """Whether the run came to its end without diverging."""
        return self.failure is None


def loss_rise(history: Sequence[EpochRecord]) -> float:
    """How far the validation loss rose after its lowest value, in nats."""
    return history[-1].val_loss - min(epoch.val_loss for epoch in history)


def run_result(
    file: StudyFile, run: Run, found: Predictions | None, images: SeedImages
) -> RunResult:
    """Everything that one run says; its test metrics are None without its predictions, `found`.

    `images` are those of its seed's splits.
    """
    record = run.record
    failure = _failure(run, found.test if found else None)
    classes = len(file.classes)
    best = _evaluation(found.test, found.test.best, classes) if found and not failure else None
    last = _evaluation(found.test, found.test.last, classes) if found and not failure else None
    metric = file.study.verdict.metric
    measured = None if best is None else primary_of(best, metric)
    chosen = run.best.val_accuracy if run.best else None
    return RunResult(
        head=record.head,
        seed=record.seed,
        failure=failure,
        epochs=record.epochs,
        best_epoch=record.best_epoch,
        parameters=record.parameters,
        environment=record.environment,
        metrics=_metrics(run, best, last),
        scored=measured if failure is None else constant_scores(images.test)[metric],
        scored_validation=chosen if failure is None else images.validation_majority,
        best=run.best,
        test_best=best,
    )


def primary_of(found: Evaluation, metric: Metric) -> float:
    """The primary metric of an evaluation, a share in [0, 1]."""
    value: float = getattr(found, TEST_METRICS[PRIMARY[metric]])
    return value


def _failure(run: Run, test: SplitPredictions | None) -> str | None:
    """Why a run counts as failed: it says so itself, or its logits are no numbers."""
    if run.record.status == "failed":
        cause = run.record.failure
        return f"{cause.reason} (epoch {cause.epoch}, step {cause.step})" if cause else "failed"
    if test is not None and not (np.isfinite(test.best).all() and np.isfinite(test.last).all()):
        return "its logits on the test split are not finite"
    return None


def _evaluation(
    split: SplitPredictions, logits: NDArray[np.float32], classes: int
) -> Evaluation | None:
    return evaluate(logits, split.labels, classes) if len(split.labels) else None


def _metrics(run: Run, best: Evaluation | None, last: Evaluation | None) -> dict[str, float | None]:
    values: dict[str, float | None] = dict.fromkeys(METRICS)
    for when, epoch in (("best", run.best), ("last", run.history[-1] if run.history else None)):
        if epoch is not None:
            values[f"{when}_val_accuracy"] = epoch.val_accuracy
            values[f"{when}_val_loss"] = epoch.val_loss
            values[f"{when}_overfit"] = epoch.train_accuracy - epoch.val_accuracy
    for suffix, evaluation in (("", best), ("_last", last)):
        if evaluation is not None:
            values |= {f"{n}{suffix}": getattr(evaluation, a) for n, a in TEST_METRICS.items()}
    return values | {"seconds": run.record.seconds, "cpu_seconds": run.record.cpu_seconds}
