"""Which test images are worth a look: what heads get wrong with confidence, and disagree on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from headtohead.probes.predictions import PREDICTIONS, SplitPredictions
from headtohead.stats.metrics import probabilities
from headtohead.study_data import StudyData


@dataclass(frozen=True)
class HeadPrediction:
    """What one head says of one image: its class and how sure, mean over seeds, in [0, 1]."""

    head: str
    predicted: int
    confidence: float


@dataclass(frozen=True)
class HardImage:
    """A test image by its row in the prepared set, its true class, and every head's prediction."""

    row: int
    label: int
    predictions: tuple[HeadPrediction, ...]


@dataclass(frozen=True, eq=False)
class HeadPredictions:
    """All heads on the test images that all of them have seen.

    `rows` and `labels` are (n,); `means` is (heads, n, classes): probabilities at the best epoch,
    mean over a head's seeds.
    """

    heads: tuple[str, ...]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    means: NDArray[np.float64]

    def hard_image(self, at: int) -> HardImage:
        """The image at a position."""
        found = zip(self.heads, self.means[:, at], strict=True)
        return HardImage(
            int(self.rows[at]),
            int(self.labels[at]),
            tuple(HeadPrediction(h, int(p.argmax()), float(p.max())) for h, p in found),
        )


def predictions_on_test(data: StudyData) -> dict[str, list[SplitPredictions]]:
    """Each head's predictions on the test split, one for each finished run that has them."""
    found: dict[str, list[SplitPredictions]] = {}
    for (head, _), known in data.evidence(PREDICTIONS).items():
        if len(known.test.rows):
            found.setdefault(head, []).append(known.test)
    return {head: found[head] for head in data.study.heads if head in found}


def head_predictions(found: Mapping[str, Sequence[SplitPredictions]]) -> HeadPredictions | None:
    """Every head's mean probabilities; None without predictions or without a shared image."""
    if not found:
        return None
    per_head = [_means(splits) for splits in found.values()]
    shared = reduce(np.intersect1d, (rows for rows, _, _ in per_head))
    if not len(shared):
        return None
    places = [np.searchsorted(rows, shared) for rows, _, _ in per_head]
    means = [mean[at] for (_, mean, _), at in zip(per_head, places, strict=True)]
    return HeadPredictions(tuple(found), shared, per_head[0][2][places[0]], np.stack(means))


def _means(
    splits: Sequence[SplitPredictions],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Rows (n,) that some seed tested, mean probabilities (n, classes) over those, and labels."""
    rows = np.unique(np.concatenate([split.rows for split in splits]))
    times, labels = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    total = np.zeros((len(rows), probabilities(splits[0].best[:1]).shape[1]))
    for split in splits:
        at = np.searchsorted(rows, split.rows)
        total[at] += probabilities(split.best)
        times[at] += 1
        labels[at] = split.labels
    return rows, total / times[:, None], labels


def mistakes(predictions: HeadPredictions, count: int) -> list[HardImage]:
    """The images that some head takes for another class with the most confidence, first."""
    wrong = predictions.means.argmax(axis=2) != predictions.labels
    sureness = np.where(wrong, predictions.means.max(axis=2), 0.0).max(axis=0)
    order = np.argsort(-sureness, kind="stable")
    return [predictions.hard_image(at) for at in order[:count] if sureness[at] > 0]


def disagreements(predictions: HeadPredictions, count: int) -> list[HardImage]:
    """The images on which heads name different classes, by how far apart their certainty is.

    The distance is that of the highest to the lowest probability of the true class.
    """
    named = predictions.means.argmax(axis=2)
    differ = (named != named[0]).any(axis=0)
    true = predictions.means[:, np.arange(len(predictions.labels)), predictions.labels]
    apart = np.where(differ, np.ptp(true, axis=0), 0.0)
    order = np.argsort(-apart, kind="stable")
    return [predictions.hard_image(at) for at in order[:count] if differ[at]]
