"""A run's logits on validation and test."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headtohead.probes.evidence.files import evidence_path, read_evidence, write_evidence

PROBE = "predictions"
SPLITS = ("validation", "test")
FIELDS = ("rows", "labels", "best", "last")


@dataclass(frozen=True)
class SplitPredictions:
    """One run's logits on one split: `rows` of the prepared set and `labels` are (n,) int64.

    `best` and `last` are (n, outputs) float32 logits at the best and the last epoch.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    best: NDArray[np.float32]
    last: NDArray[np.float32]


@dataclass(frozen=True)
class Predictions:
    """One run's logits on the validation and the test split."""

    validation: SplitPredictions
    test: SplitPredictions


def predictions_path(out: Path, head: str, seed: int) -> Path:
    """Where a run's predictions are kept."""
    return evidence_path(out, PROBE, head, seed)


def write_predictions(path: Path, key: str, predictions: Predictions) -> None:
    """Write predictions of the run `key`. Raises StorageError."""
    arrays = {
        f"{split}_{name}": getattr(getattr(predictions, split), name)
        for split in SPLITS
        for name in FIELDS
    }
    write_evidence(path, PROBE, key, arrays)


def read_predictions(path: Path, key: str) -> Predictions | None:
    """Predictions of the run `key`, or None where there are none that are whole and its own."""
    arrays = read_evidence(path, PROBE, key)
    if arrays is None:
        return None
    validation, test = (
        SplitPredictions(*(arrays[f"{split}_{name}"] for name in FIELDS)) for split in SPLITS
    )
    return Predictions(validation, test)
