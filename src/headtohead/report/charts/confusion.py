"""What heads take for what: counted, and drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headtohead.probes.predictions import SplitPredictions
from headtohead.report.charts.chart import Chart, drawing
from headtohead.report.charts.style import MUTED
from headtohead.stats.metrics import confusion

LARGEST_CONFUSION = 30
"""With more classes the matrix is no picture any more: the commonest confusions are listed."""

LISTED_CONFUSIONS = 20
CELL = 46.0
"""Side of a confusion matrix's cell, in the SVG's units: two lines of text."""


@dataclass(frozen=True)
class ConfusionTable:
    """Of one head, all seeds together: `rows` has (true class, cells), each (count, share)."""

    head: str
    classes: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[int, float], ...]], ...]
    listed: tuple[tuple[str, str, int, float], ...]


def confusions(
    found: Mapping[str, Sequence[SplitPredictions]], classes: tuple[str, ...]
) -> tuple[ConfusionTable, ...]:
    """Test split, best epoch; shares are of the true class's images."""
    tables = []
    for head, splits in found.items():
        logits = np.concatenate([split.best for split in splits])
        labels = np.concatenate([split.labels for split in splits])
        counts = confusion(logits, labels)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        cells = tuple(
            (name, tuple(zip(row.tolist(), share.tolist(), strict=True)))
            for name, row, share in zip(classes, counts, shares, strict=True)
        )
        wrong = counts - np.diag(np.diag(counts))
        worst = np.argsort(-wrong, axis=None, kind="stable")[:LISTED_CONFUSIONS]
        pairs = [divmod(int(at), len(classes)) for at in worst]
        listed = tuple(
            (classes[i], classes[j], int(wrong[i, j]), float(shares[i, j]))
            for i, j in pairs
            if wrong[i, j]
        )
        large = len(classes) > LARGEST_CONFUSION
        tables.append(
            ConfusionTable(head, classes, () if large else cells, listed if large else ())
        )
    return tuple(tables)


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
        axes.set(xlabel="predicted class", ylabel="true class")
        right = ", ".join(
            f"{name} {100 * share:.1f} %"
            for name, share in zip(table.classes, np.diag(shares), strict=True)
        )
        return paper.finish(
            f"confusion-{table.head}",
            f"{table.head}: confusion matrix",
            "Test split at the best epoch, all seeds together.",
            f"Correct: {right}.",
        )
