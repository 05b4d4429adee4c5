"""Curves over epochs: every seed faint, the mean strong, linear and logarithmic."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from headtohead.records import EpochRecord
from headtohead.report.figures import Look, looks
from headtohead.report.page.chart import Chart, Drawing, drawing
from headtohead.report.page.svg import HEAD_ID
from headtohead.study.ledger import Ledger

SHOWN_EPOCHS, FEWEST_EPOCHS, POINTS = 100, 20, 2000
"""Of longer runs this many epochs are drawn, evenly spaced, the first and the last among them;
fewer where there are so many runs that a chart would have more than POINTS points."""

SEED_ALPHA = 0.35
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Track:
    """One head's finished runs: `index` is its place among the study's heads."""

    head: str
    index: int
    look: Look
    seeds: tuple[int, ...]
    histories: tuple[tuple[EpochRecord, ...], ...]


def tracks_of(ledger: Ledger) -> list[Track]:
    """Heads with finished runs, in the study's order."""
    runs = [run for run in ledger.runs() if run.record.status == "finished" and run.history]
    tracks = []
    for index, (head, look) in enumerate(looks(ledger.file.study.heads).items()):
        mine = [run for run in runs if run.record.head == head]
        seeds = tuple(run.record.seed for run in mine)
        if mine:
            tracks.append(Track(head, index, look, seeds, tuple(run.history for run in mine)))
    return tracks


@dataclass(frozen=True)
class Quantity:
    """What a curve shows of an epoch. `log_axis` names what the logarithmic chart shows instead.

    A share near 100 % has its news in what is missing: its logarithmic chart shows the error.
    """

    name: str
    group: str
    title: str
    axis: str
    unit: str
    value: Callable[[EpochRecord], float]
    log_axis: str = ""
    log_unit: str = ""
    log_value: Callable[[EpochRecord], float] = lambda _: math.nan


def _accuracy(group: str, field: str, title: str) -> Quantity:
    return Quantity(
        field,
        group,
        title,
        "accuracy (%)",
        " %",
        lambda epoch: 100 * float(getattr(epoch, field)),
        "error (%), logarithmic",
        " % error",
        lambda epoch: 100 - 100 * float(getattr(epoch, field)),
    )


def _loss(group: str, field: str, title: str) -> Quantity:
    def value(epoch: EpochRecord) -> float:
        return float(getattr(epoch, field))

    axis = "cross-entropy (nats)"
    return Quantity(
        field, group, title, axis, " nats", value, f"{axis}, logarithmic", " nats", value
    )


GROUPS = ("validation", "training, evaluated", "training, running")
"""What is switched between: each has an accuracy and a loss."""

QUANTITIES = (
    _accuracy(GROUPS[0], "val_accuracy", "Validation accuracy"),
    _loss(GROUPS[0], "val_loss", "Validation loss"),
    _accuracy(GROUPS[1], "train_accuracy", "Training accuracy, evaluated"),
    _loss(GROUPS[1], "train_loss", "Training loss, evaluated"),
    _accuracy(GROUPS[2], "accuracy", "Training accuracy, running"),
    _loss(GROUPS[2], "loss", "Training loss, running"),
)
OVERFIT = Quantity(
    "overfit",
    "",
    "Training minus validation accuracy",
    "training minus validation (points)",
    " points",
    lambda epoch: 100 * (epoch.train_accuracy - epoch.val_accuracy),
)


def curve_charts(tracks: Sequence[Track]) -> Iterator[tuple[Quantity, str, Chart]]:
    """(quantity, scale, chart) of every quantity, linear and logarithmic."""
    for quantity in QUANTITIES:
        yield quantity, "linear", curve_chart(quantity, tracks)
        yield quantity, "log", curve_chart(_logarithmic(quantity), tracks)


def curve_chart(quantity: Quantity, tracks: Sequence[Track]) -> Chart:
    """One quantity over epochs for every head that has finished runs."""
    logarithmic = quantity.name.endswith("-log")
    with drawing() as paper:
        runs = sum(len(track.seeds) for track in tracks)
        shown = max(FEWEST_EPOCHS, min(SHOWN_EPOCHS, POINTS // runs))
        told = [_draw_head(paper, quantity, track, shown) for track in tracks]
        axes = paper.axes
        axes.set(xlabel="epoch", ylabel=quantity.axis)
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
        last = max(len(history) for track in tracks for history in track.histories)
        axes.set_xlim(0.5, last + 0.5)
        if logarithmic:
            _log_scale(axes)
        return paper.finish(
            f"curve-{quantity.name}",
            f"{quantity.title}{' (logarithmic)' if logarithmic else ''}",
            f"Of {last} epochs {shown} are drawn, evenly spaced." if last > shown else "",
            f"{quantity.title} over epochs. " + "; ".join(text for text in told if text) + ".",
        )


def values_of(quantity: Quantity, track: Track) -> Values:
    """(seeds, epochs); NaN where a seed has fewer epochs or a value is not finite."""
    longest = max(map(len, track.histories))
    table = np.full((len(track.histories), longest), np.nan)
    for row, history in zip(table, track.histories, strict=True):
        row[: len(history)] = [quantity.value(epoch) for epoch in history]
    table[~np.isfinite(table)] = np.nan
    return table


def _logarithmic(quantity: Quantity) -> Quantity:
    def positive(epoch: EpochRecord) -> float:
        found = quantity.log_value(epoch)
        return found if found > 0 else math.nan  # no place on a logarithmic axis

    return Quantity(
        f"{quantity.name}-log",
        quantity.group,
        quantity.title,
        quantity.log_axis,
        quantity.log_unit,
        positive,
    )


def _log_scale(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")


def _draw_head(paper: Drawing, quantity: Quantity, track: Track, most: int) -> str:
    """Draws one head; what a reader without sight is told of it."""
    values = values_of(quantity, track)
    present = np.flatnonzero(np.isfinite(values).any(axis=0))
    if not len(present):
        return f"{track.head}: no finite value"
    at = np.linspace(0, len(present) - 1, most).round().astype(int)
    shown = present[np.unique(at)] if len(present) > most else present
    epochs, values = (shown + 1).astype(np.float64), values[:, shown]
    mean = np.nanmean(values, axis=0)
    look = track.look
    if len(values) > 1:
        for row, seed in zip(values, track.seeds, strict=True):
            _read(paper, quantity, f"{track.head}, seed {seed}", track.index, epochs, row)
        lines = [np.column_stack([epochs, row]) for row in values]
        faint = LineCollection(lines, colors=look.color, linewidths=1, alpha=SEED_ALPHA)
        faint.set_gid(f"{HEAD_ID}{track.index}.seeds")
        paper.axes.add_collection(faint)
    label = f"{track.head}, mean of {len(values)} seeds" if len(values) > 1 else track.head
    _read(paper, quantity, label, track.index, epochs, mean)
    (line,) = paper.axes.plot(
        epochs,
        mean,
        color=look.color,
        linestyle=look.dashes,
        marker=look.marker,
        markevery=1 + len(epochs) // 20,
        label=track.head,
    )
    line.set_gid(f"{HEAD_ID}{track.index}.mean")
    return (
        f"{track.head} goes from {mean[0]:.3g}{quantity.unit} at epoch {epochs[0]:.0f} to "
        f"{mean[-1]:.3g}{quantity.unit} at epoch {epochs[-1]:.0f}"
    )


def _read(
    paper: Drawing, quantity: Quantity, label: str, index: int, epochs: Values, row: Values
) -> None:
    known = [(float(x), float(y)) for x, y in zip(epochs, row, strict=True) if math.isfinite(y)]
    said = [f"epoch {x:.0f}: {y:.4g}{quantity.unit}" for x, y in known]
    paper.readable(label, index, known, said)
