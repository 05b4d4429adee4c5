"""The predictions probe: a finished run's logits on validation and test, at both epochs."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from headtohead.probes.base import Context, Need
from headtohead.store.evidence import Arrays

if TYPE_CHECKING:
    from headtohead.heads.classifier import Classifier

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


@final
class PredictionsProbe:
    """The one look that is taken at the test split."""

    name = "predictions"
    needs: frozenset[Need] = frozenset({"best", "last"})

    def collect(self, context: Context) -> Arrays:
        """Logits of the weights of both epochs on both splits."""
        best = context.best
        found = _predictions(best.model, context)
        last = context.last
        if best.epoch == last.epoch:
            return self.pack(found)
        at_last = _predictions(last.model, context)
        validation = replace(found.validation, last=at_last.validation.last)
        return self.pack(Predictions(validation, replace(found.test, last=at_last.test.last)))

    @staticmethod
    def pack(found: Predictions) -> Arrays:
        """As they are kept: `<split>_<field>`."""
        return {
            f"{split}_{name}": getattr(getattr(found, split), name)
            for split in SPLITS
            for name in FIELDS
        }

    def describe(self, arrays: Arrays) -> Predictions:
        """The inverse of `pack`."""
        validation, test = (
            SplitPredictions(*(arrays[f"{split}_{name}"] for name in FIELDS)) for split in SPLITS
        )
        return Predictions(validation, test)


PREDICTIONS = PredictionsProbe()


def _predictions(model: "Classifier", context: Context) -> Predictions:
    """Of one model, as if its best epoch were its last."""
    from headtohead.training.inference import infer

    pictures = context.pictures.for_head(model.head)

    def of(rows: NDArray[np.int64]) -> SplitPredictions:
        logits, labels = infer(model, pictures, rows)
        values = logits.cpu().numpy()
        return SplitPredictions(rows, labels.cpu().numpy(), best=values, last=values)

    return Predictions(of(context.split.validation), of(context.split.test))
