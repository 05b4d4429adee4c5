"""The article's figures: curves of training and validation, mean over seeds and their band.

Drawn with matplotlib's objects alone (no pyplot, no global figure list), the same bytes from the
same ledger, and no text of a study is ever read as mathematics.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from headtohead.core.files import write_atomic
from headtohead.store.ledger import Ledger, StudyFile
from headtohead.store.records import EpochRecord

# Okabe & Ito's palette, which readers with any colour vision tell apart; yellow is left out, for
# it is too pale for a line on white.
HEAD_COLORS = {"fc": "#D55E00", "fc_dropout": "#009E73", "gap": "#0072B2", "avgpool2x2": "#CC79A7"}
OTHER_COLORS = ("#E69F00", "#56B4E9", "#000000", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
STYLE: dict[Any, Any] = {
    "figure.dpi": 150,
    "font.size": 10.0,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "headtohead",
}
LARGEST_CLASS = "largest class"
SIZE = (7.2, 4.6)
BAND_ALPHA = 0.16
LARGEST_LINE: dict[str, Any] = {
    "color": "#555555",
    "linewidth": 1.2,
    "linestyle": (0, (5, 4)),
    "label": LARGEST_CLASS,
}
# In characters: what fits under the axes, and what a line's sample takes of it.
LEGEND_WIDTH, HANDLE = 84, 8


@dataclass(frozen=True)
class Metric:
    """A quantity over epochs: the fields of EpochRecord that hold it, and how it is shown."""

    name: str
    axis: str
    running: str
    training: str
    validation: str
    scale: float


ACCURACY = Metric("accuracy", "accuracy (%)", "accuracy", "train_accuracy", "val_accuracy", 100.0)
LOSS = Metric("loss", "cross-entropy loss (nats)", "loss", "train_loss", "val_loss", 1.0)
METRICS = (ACCURACY, LOSS)


@dataclass(frozen=True)
class Look:
    """A head's colour, marker and line style, the same in every figure of a study."""

    color: str
    marker: str
    dashes: str = "-"


@dataclass(frozen=True)
class Curves:
    """One head's finished runs: their epochs, one tuple for each seed."""

    head: str
    look: Look
    histories: tuple[tuple[EpochRecord, ...], ...]


@dataclass(frozen=True)
class Line:
    """One line of a figure: a field of one head's epochs. `scale` 100 shows shares in per cent."""

    curves: Curves
    field: str
    label: str
    dashes: str
    scale: float

    def values(self) -> NDArray[np.float64]:
        """(seeds, epochs) values; NaN where a seed has fewer epochs or a value is not finite."""
        histories = self.curves.histories
        table = np.full((len(histories), max(map(len, histories))), np.nan)
        for row, history in zip(table, histories, strict=True):
            row[: len(history)] = [getattr(epoch, self.field) for epoch in history]
        table[~np.isfinite(table)] = np.nan
        return self.scale * table


@dataclass(frozen=True)
class Plot:
    """A figure to draw: its file's name, title, the y axis and its lines.

    `largest` is where a dashed line shows what always naming the largest class scores, on the axis.
    """

    name: str
    title: str
    axis: str
    lines: tuple[Line, ...]
    largest: float | None = None


def write_figures(ledger: Ledger, metrics: Sequence[Metric] = METRICS) -> list[Path]:
    """Draw every figure of `metrics` as PNG and SVG into `<out>/figures`; the paths written.

    Raises StorageError where they cannot be written.
    """
    curves = finished_curves(ledger)
    subtitle = _subtitle(ledger.file, curves)
    share = 100 * ledger.file.majority_share("validation")
    paths = []
    for found in plots(curves, ledger.file.study.reference, metrics):
        plot = replace(found, largest=share) if found.axis == ACCURACY.axis else found
        for suffix, content in draw(plot, subtitle).items():
            path = ledger.out / "figures" / f"{plot.name}.{suffix}"
            write_atomic(path, content)
            paths.append(path)
    return paths


def finished_curves(ledger: Ledger) -> list[Curves]:
    """Heads in the study's order, each with the histories of its finished runs; none without."""
    runs = [run for run in ledger.runs() if run.record.status == "finished" and run.history]
    heads = looks(ledger.file.study.heads)
    grouped = {head: [r.history for r in runs if r.record.head == head] for head in heads}
    return [
        Curves(head, looks_like, tuple(grouped[head]))
        for head, looks_like in heads.items()
        if grouped[head]
    ]


def looks(heads: Mapping[str, Any]) -> dict[str, Look]:
    """Colours by name for the article's heads, by order for others; markers by order."""
    others = [head for head in heads if head not in HEAD_COLORS]
    spare = {head: OTHER_COLORS[i % len(OTHER_COLORS)] for i, head in enumerate(others)}
    return {
        head: Look(HEAD_COLORS.get(head) or spare[head], MARKERS[i % len(MARKERS)])
        for i, head in enumerate(heads)
    }


def plots(
    curves: Sequence[Curves], reference: str, metrics: Sequence[Metric] = METRICS
) -> Iterator[Plot]:
    """Each head alone, the reference against each other head, and all heads together."""
    for metric in metrics:
        for one in curves:
            yield Plot(
                f"{one.head}_{metric.name}",
                f"{one.head}: {metric.name} in training and validation",
                metric.axis,
                (
                    Line(one, metric.running, "training, running", "--", metric.scale),
                    Line(one, metric.training, "training, evaluated", ":", metric.scale),
                    Line(one, metric.validation, "validation", "-", metric.scale),
                ),
            )
        first = next((one for one in curves if one.head == reference), None)
        for other in (one for one in curves if first is not None and one is not first):
            assert first is not None  # noqa: S101
            yield Plot(
                f"{first.head}_vs_{other.head}_{metric.name}",
                f"{first.head} against {other.head}: {metric.name}",
                metric.axis,
                (
                    Line(first, metric.running, f"{first.head} training", "--", metric.scale),
                    Line(first, metric.validation, f"{first.head} validation", "-", metric.scale),
                    Line(other, metric.validation, f"{other.head} validation", "-", metric.scale),
                ),
            )
        if len(curves) > 1:
            yield Plot(
                f"all_heads_{metric.name}",
                f"All heads: validation {metric.name}",
                metric.axis,
                tuple(Line(c, metric.validation, c.head, "-", metric.scale) for c in curves),
            )


def draw(plot: Plot, subtitle: str) -> dict[str, bytes]:
    """One figure as {"png": …, "svg": …}; the same bytes whenever its content is the same."""
    with style.context(["default", STYLE]):  # whatever the user's matplotlibrc says
        figure = Figure(figsize=SIZE, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for line in plot.lines:
            _draw_line(axes, line)
        if plot.largest is not None:
            axes.axhline(plot.largest, **LARGEST_LINE)
        last = max(line.values().shape[1] for line in plot.lines)
        axes.xaxis.set_major_locator(
            MaxNLocator(12, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
        )
        # Half an epoch of air: there is no epoch 0 to show.
        axes.set(xlabel="epoch", ylabel=plot.axis, xlim=(0.5, last + 0.5))
        axes.set_title(f"{plot.title}\n", pad=10)
        axes.text(0, 1.02, subtitle, transform=axes.transAxes, fontsize=9, color="#555555")
        labels = axes.get_legend_handles_labels()[1]
        widest = max(map(len, labels), default=0) + HANDLE
        columns = max(1, min(len(labels), LEGEND_WIDTH // widest))
        figure.legend(loc="outside lower center", ncols=columns)
        found = {}
        for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, metadata=metadata)
            found[suffix] = buffer.getvalue()
        return found


def _draw_line(axes: Axes, line: Line) -> None:
    """The mean over seeds, and where there are several the band from the lowest to the highest."""
    values = line.values()
    epochs = np.arange(1, values.shape[1] + 1)
    present = np.isfinite(values).any(axis=0)
    values, epochs = values[:, present], epochs[present]
    look = line.curves.look
    if not len(epochs):
        return
    if len(values) > 1:
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        axes.fill_between(epochs, low, high, color=look.color, alpha=BAND_ALPHA, linewidth=0)
    # Lines of one head differ in their markers too: at one epoch there is nothing else of them.
    marker, face = {
        "-": (look.marker, look.color),
        "--": (look.marker, "white"),
        ":": ("x", look.color),
    }[line.dashes]
    axes.plot(
        epochs,
        np.nanmean(values, axis=0),
        linestyle=line.dashes,
        color=look.color,
        marker=marker,
        markerfacecolor=face,
        markevery=1 + len(epochs) // 25,
        label=line.label,
    )


def _subtitle(file: StudyFile, curves: Sequence[Curves]) -> str:
    """Study, seeds and pictures, and what the band is."""
    pictures = sum(sum(counts.values()) for counts in file.counts.values())
    numbers = sorted({len(one.histories) for one in curves})
    seeds = "–".join(map(str, {numbers[0]: 0, numbers[-1]: 0})) if numbers else "0"
    line = f"study {file.study.name}, {seeds} seed{'' if seeds == '1' else 's'}, "
    line += f"{pictures:,} pictures"
    return line + ("; line: mean, band: lowest to highest seed" if seeds != "1" else "")
