"""How far a head's confidence can be trusted, and what it takes for what."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headtohead.analysis.metrics import predictions, probabilities
from headtohead.probes.evidence import SplitPredictions
from headtohead.report.figures import Look
from headtohead.report.page.chart import NEUTRAL, Chart, drawing
from headtohead.report.page.svg import HEAD_ID

BINS = 10
FEWEST = 5
"""Bins with fewer predictions are not drawn: their share is noise."""


@dataclass(frozen=True)
class Reliability:
    """Predictions of one head, all seeds together, by confidence: one entry for each bin used."""

    confidence: NDArray[np.float64]
    correct: NDArray[np.float64]
    count: NDArray[np.int64]


def reliability(splits: Sequence[SplitPredictions]) -> Reliability:
    """Mean confidence, share correct and number of predictions in ten bins of equal width.

    Test split, best epoch (Guo et al. 2017, arXiv 1706.04599, whose bins are these).
    """
    confidence = np.concatenate([probabilities(split.best).max(axis=1) for split in splits])
    correct = np.concatenate([predictions(split.best) == split.labels for split in splits])
    at = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    count = np.bincount(at, minlength=BINS)
    used = np.flatnonzero(count >= FEWEST)
    sums = np.bincount(at, weights=confidence, minlength=BINS)
    right = np.bincount(at, weights=correct, minlength=BINS)
    return Reliability(sums[used] / count[used], right[used] / count[used], count[used])


def reliability_chart(
    found: Sequence[tuple[str, int, Look, Reliability]], lowest: float
) -> Chart | None:
    """Share correct against confidence for every head; `lowest` is 1 / classes."""
    drawn = [entry for entry in found if len(entry[3].count)]
    if not drawn:
        return None
    with drawing() as paper:
        axes = paper.axes
        axes.plot([0, 100], [0, 100], color=NEUTRAL, linewidth=1, linestyle=(0, (4, 3)))
        for head, index, look, bins in drawn:
            x, y = 100 * bins.confidence, 100 * bins.correct
            (line,) = axes.plot(
                x, y, color=look.color, marker=look.marker, markersize=5, label=head
            )
            line.set_gid(f"{HEAD_ID}{index}.mean")
            said = [
                f"says {a:.1f} %, right in {b:.1f} % ({n:,} predictions)"
                for a, b, n in zip(x, y, bins.count, strict=True)
            ]
            paper.readable(head, index, list(zip(x.tolist(), y.tolist(), strict=True)), said)
        axes.set(xlim=(100 * lowest - 2, 102), ylim=(0, 102))
        axes.set(xlabel="confidence (%)", ylabel="share that is right (%)")
        return paper.finish(
            "reliability",
            "Reliability",
            "On the dashed line confidence means what it says; below it a head is too sure. "
            f"Bins with fewer than {FEWEST} predictions are left out.",
            "; ".join(
                f"{head}: where it says {100 * bins.confidence[-1]:.0f} % it is right in "
                f"{100 * bins.correct[-1]:.0f} %"
                for head, _, _, bins in drawn
            ),
        )
