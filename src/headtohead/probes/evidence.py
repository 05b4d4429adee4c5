"""Evidence that probes leave in the ledger: written once per run, read without torch."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headtohead.files import sha256_of, write_atomic

FORMAT = 1
SPLITS = ("validation", "test")


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
    """Where a run's predictions are kept; the manifest lies beside it as `.json`."""
    return out / "evidence" / "predictions" / head / f"seed-{seed}.npz"


def write_predictions(path: Path, key: str, predictions: Predictions) -> None:
    """Write predictions of the run `key`, the manifest last, so that they are whole or absent."""
    arrays = {
        f"{split}_{name}": getattr(getattr(predictions, split), name)
        for split in SPLITS
        for name in ("rows", "labels", "best", "last")
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomic(path, buffer.getvalue())
    manifest = {"format": FORMAT, "probe": "predictions", "run": key, "sha256": sha256_of(path)}
    write_atomic(path.with_suffix(".json"), json.dumps(manifest, indent=1).encode())


def read_predictions(path: Path, key: str) -> Predictions | None:
    """Predictions of the run `key`, or None where there are none that are whole and its own."""
    try:
        manifest = json.loads(path.with_suffix(".json").read_bytes())
        whole = manifest.get("format") == FORMAT and manifest.get("run") == key
        if not whole or manifest["sha256"] != sha256_of(path):
            return None
    except (OSError, ValueError, KeyError):
        return None
    with np.load(path, allow_pickle=False) as arrays:
        parts = {
            split: SplitPredictions(
                *(arrays[f"{split}_{name}"] for name in ("rows", "labels", "best", "last"))
            )
            for split in SPLITS
        }
    return Predictions(**parts)
