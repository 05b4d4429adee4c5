"""How far a head's confidence can be trusted, and what it takes for what."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headtohead.probes.predictions import SplitPredictions
from headtohead.report.figures import Look
from headtohead.report.page.chart import MUTED, NEUTRAL, Chart, drawing
from headtohead.report.page.strands import Strand, Trace, draw_strand, mean_label
from headtohead.report.page.tables import ConfusionTable
from headtohead.stats.metrics import predictions, probabilities

BINS = 10
FEWEST = 5
"""Bins with fewer predictions are not drawn: their share is noise."""

CELL = 46.0
"""Side of a confusion matrix's cell, in the SVG's units: two lines of text."""


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
    at = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    count = np.bincount(at, minlength=BINS)
    used = np.flatnonzero(count >= FEWEST)
    sums = np.bincount(at, weights=confidence, minlength=BINS)
    right = np.bincount(at, weights=correct, minlength=BINS)
    return Reliability(sums[used] / count[used], right[used] / count[used], count[used])


@dataclass(frozen=True)
class Trust:
    """One head's reliability: all seeds' predictions together, and each seed's by itself."""

    head: str
    index: int
    look: Look
    whole: Reliability
    seeds: tuple[Reliability, ...]


def trust(head: str, index: int, look: Look, splits: Sequence[SplitPredictions]) -> Trust:
    """The reliability of a head with these predictions on the test split, one for each seed."""
    seeds = tuple(reliability([split]) for split in splits)
    return Trust(head, index, look, reliability(splits), seeds)


def reliability_chart(found: Sequence[Trust], lowest: float) -> Chart | None:
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
                _trace(f"{one.head}, one of {len(one.seeds)} seeds", bins) for bins in one.seeds
            )
            whole = _trace(label, one.whole)
            draw_strand(paper, Strand(one.head, one.index, one.look, whole, seeds))
        axes.set(xlim=(100 * lowest - 2, 102), ylim=(0, 100))
        axes.set(xlabel="confidence (%)", ylabel="share that is right (%)")
        return paper.finish(
            "reliability",
            "Reliability",
            "Strong: all seeds' predictions together; faint: each seed's. On the dashed line "
            "confidence means what it says; below it a head is too sure. "
            f"Bins with fewer than {FEWEST} predictions are left out.",
            "; ".join(
                f"{one.head}: where it says {100 * one.whole.confidence[-1]:.0f} % it is right in "
                f"{100 * one.whole.correct[-1]:.0f} %"
                for one in drawn
            ),
        )


def _trace(label: str, bins: Reliability) -> Trace:
    x, y = 100 * bins.confidence, 100 * bins.correct
    said = (
        f"says {a:.1f} %, right in {b:.1f} % ({n:,} predictions)"
        for a, b, n in zip(x, y, bins.count, strict=True)
    )
    return Trace(label, x, y, tuple(said))


def confusion_charts(tables: Sequence[ConfusionTable]) -> list[Chart]:
    """The matrices that the page shows as tables, drawn; none where there are too many classes."""
    return [_confusion_chart(table) for table in tables if table.rows]


def _confusion_chart(table: ConfusionTable) -> Chart:
    shares = np.array([[share for _, share in cells] for _, cells in table.rows])
    side = 44.0 + CELL * len(table.classes)
    with drawing(side + 60, side, (100.0, 10.0, 44.0, 10.0)) as paper:
        axes = paper.axes
        axes.grid(visible=False)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.2)  # its darkest blue would hide text
        for y, (_, cells) in enumerate(table.rows):
            for x, (count, share) in enumerate(cells):
                text = f"{count:,}\n{100 * share:.1f} %"
                axes.annotate(text, (x, y), ha="center", va="center", fontsize=9)
        places = range(len(table.classes))
        axes.set_xticks(places, table.classes, rotation=30, ha="right", color=MUTED)
        axes.set_yticks(places, table.classes, color=MUTED)
        axes.tick_params(length=0)
        axes.set(xlabel="class named", ylabel="true class")
        right = ", ".join(
            f"{name} {100 * share:.1f} %"
            for name, share in zip(table.classes, np.diag(shares), strict=True)
        )
        return paper.finish(
            f"confusion-{table.head}",
            f"{table.head}: what is taken for what",
            "Test split at the best epoch, all seeds together.",
            f"Named rightly: {right}.",
        )
