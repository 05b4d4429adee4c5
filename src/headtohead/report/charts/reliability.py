"""How far a head's confidence can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headtohead.probes.predictions import SplitPredictions
from headtohead.report.charts.chart import Chart, drawing
from headtohead.report.charts.lines import HeadLines, Line, draw_head, mean_label
from headtohead.report.charts.style import NEUTRAL, HeadStyle
from headtohead.stats.metrics import confidence_bins, predictions, probabilities

BINS = 10
FEWEST = 5
"""Bins with fewer predictions are not drawn: their share is noise."""


@dataclass(frozen=True)
class Reliability:
    """Predictions of one head, of one seed or of all, by confidence: an entry for each bin used."""

    confidence: NDArray[np.float64]
    correct: NDArray[np.float64]
    count: NDArray[np.int64]


def reliability(splits: Sequence[SplitPredictions]) -> Reliability:
    """Mean confidence, share correct and number of predictions in ten bins of equal width.

    Test split, best epoch (Guo et al. 2017, arXiv 1706.04599, whose bins are these).
    """
    confidence = np.concatenate([probabilities(split.best).max(axis=1) for split in splits])
    correct = np.concatenate([predictions(split.best) == split.labels for split in splits])
    at = confidence_bins(confidence, BINS)
    count = np.bincount(at, minlength=BINS)
    used = np.flatnonzero(count >= FEWEST)
    sums = np.bincount(at, weights=confidence, minlength=BINS)
    right = np.bincount(at, weights=correct, minlength=BINS)
    return Reliability(sums[used] / count[used], right[used] / count[used], count[used])


@dataclass(frozen=True)
class HeadReliability:
    """One head's reliability: all seeds' predictions together, and each seed's by itself."""

    head: str
    index: int
    style: HeadStyle
    whole: Reliability
    seeds: tuple[Reliability, ...]


def head_reliability(
    head: str, index: int, style: HeadStyle, splits: Sequence[SplitPredictions]
) -> HeadReliability:
    """The reliability of a head with these predictions on the test split, one for each seed."""
    seeds = tuple(reliability([split]) for split in splits)
    return HeadReliability(head, index, style, reliability(splits), seeds)


def reliability_chart(found: Sequence[HeadReliability], lowest: float) -> Chart | None:
    """Share correct against confidence for every head; `lowest` is 1 / classes."""
    drawn = [entry for entry in found if len(entry.whole.count)]
    if not drawn:
        return None
    with drawing() as paper:
        axes = paper.axes
        axes.plot([0, 100], [0, 100], color=NEUTRAL, linewidth=1, linestyle=(0, (4, 3)))
        for one in drawn:
            label = mean_label(one.head, one.seeds).replace("mean of", "all")
            seeds = tuple(
                _line(f"{one.head}, one of {len(one.seeds)} seeds", bins) for bins in one.seeds
            )
            whole = _line(label, one.whole)
            draw_head(paper, HeadLines(one.head, one.index, one.style, whole, seeds))
        axes.set(xlim=(100 * lowest - 2, 102), ylim=(0, 100))
        axes.set(xlabel="confidence (%)", ylabel="share that is right (%)")
        return paper.finish(
            "reliability",
            "Reliability",
            "Strong: all seeds' predictions together; faint: each seed's. On the dashed line "
            "confidence means what it says; below it a head is too sure. "
            f"Bins with fewer than {FEWEST} predictions are left out.",
            "; ".join(_told(one.head, one.whole) for one in drawn),
        )


def _told(head: str, bins: Reliability) -> str:
    """The bin with the most predictions in words: the others may rest on a handful of them."""
    most = int(np.argmax(bins.count))
    return (
        f"{head}: where it says {100 * bins.confidence[most]:.0f} %, in {bins.count[most]:,} of "
        f"{bins.count.sum():,} predictions, it is right in {100 * bins.correct[most]:.0f} %"
    )


def _line(label: str, bins: Reliability) -> Line:
    x, y = 100 * bins.confidence, 100 * bins.correct
    said = (
        f"says {a:.1f} %, right in {b:.1f} % ({n:,} predictions)"
        for a, b, n in zip(x, y, bins.count, strict=True)
    )
    return Line(label, x, y, tuple(said))
