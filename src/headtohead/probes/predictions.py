"""The predictions probe: a finished run's logits on validation and test, at both epochs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headtohead.data.split import Split
from headtohead.heads.classifier import Classifier
from headtohead.probes.evidence import Predictions, SplitPredictions
from headtohead.training import checkpoint
from headtohead.training.evaluate import infer
from headtohead.training.inputs import Pictures
from headtohead.training.run import BEST, LAST, RunPlan


def collect_predictions(
    plan: RunPlan, pictures: Pictures, split: Split, folder: Path
) -> Predictions:
    """Logits of the weights in `folder` on both splits: the one look that is taken at the test.

    Raises FileNotFoundError or DamagedCheckpointError where the weights are gone or damaged.
    """
    model = plan.build().to(pictures.device)
    best, chosen = checkpoint.load(folder / BEST)
    last, final = checkpoint.load(folder / LAST)
    model.load_state_dict(best)
    found = _predictions(model, pictures, split)
    if chosen["epoch"] == final["epoch"]:
        return found
    model.load_state_dict(last)
    at_last = _predictions(model, pictures, split)
    return Predictions(
        replace(found.validation, last=at_last.validation.last),
        replace(found.test, last=at_last.test.last),
    )


def _predictions(model: Classifier, pictures: Pictures, split: Split) -> Predictions:
    """Of one model, as if its best epoch were its last."""

    def of(rows: NDArray[np.int64]) -> SplitPredictions:
        logits, labels = infer(model, pictures, rows)
        values = logits.cpu().numpy()
        return SplitPredictions(rows, labels.cpu().numpy(), best=values, last=values)

    return Predictions(of(split.validation), of(split.test))
