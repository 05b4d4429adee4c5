"""Learning curves, for the page and for files: seeds faint, their mean strong, linear or log."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from headtohead.core.text import counted, significant
from headtohead.report.charts.chart import (
    Chart,
    Drawing,
    draw_largest_class,
    drawing,
    keep_within,
    log_ticks,
)
from headtohead.report.charts.lines import HeadLines, Line, Values, draw_head, mean_label
from headtohead.report.charts.style import NEUTRAL, HeadStyle, head_styles
from headtohead.store.ledger import SplitName
from headtohead.store.records import EpochRecord
from headtohead.study_data import StudyData

SHOWN_EPOCHS, FEWEST_EPOCHS, POINTS = 100, 20, 2000
"""Of longer runs this many epochs are drawn, evenly spaced, the first and the last among them;
fewer where there are so many runs that a chart would have more than POINTS points."""


NOTHING: Mapping[SplitName, float] = MappingProxyType({})


@dataclass(frozen=True)
class Track:
    """One head's finished runs: `index` is its place among the study's heads.

    A `faint` one is one of so many that only its mean is drawn, in grey.
    """

    head: str
    index: int
    style: HeadStyle
    seeds: tuple[int, ...]
    histories: tuple[tuple[EpochRecord, ...], ...]
    faint: bool = False


def tracks_of(data: StudyData) -> list[Track]:
    """Heads with finished runs, in the study's order."""
    runs = [run for run in data.finished_runs if run.history]
    tracks = []
    for index, (head, style) in enumerate(head_styles(data.study.heads).items()):
        mine = [run for run in runs if run.record.head == head]
        seeds = tuple(run.record.seed for run in mine)
        if mine:
            histories = tuple(run.history for run in mine)
            tracks.append(
                Track(head, index, style, seeds, histories, head not in data.shown_in_full)
            )
    return tracks


GROUPS = ("validation", "training, evaluated", "training, running")
"""What is switched between: each has an accuracy and a loss."""

TOGETHER = "training and validation"
"""The group whose charts show both on one axis: how far they part is over-fitting."""


@dataclass(frozen=True)
class Quantity:
    """What a curve shows of an epoch; `log` is what the logarithmic chart shows instead.

    A share near 100 % has its news in what is missing: its logarithmic chart shows the error.
    Values lie within `low` and `high`, and the axis does, too. `split` is the one whose largest
    class is drawn beside an accuracy.
    """

    name: str
    group: str
    title: str
    axis: str
    unit: str
    value: Callable[[EpochRecord], float]
    low: float = -math.inf
    high: float = math.inf
    scale: Literal["linear", "log"] = "linear"
    log: "Quantity | None" = None
    split: SplitName | None = None


def _accuracy(group: str, field: str, subject: str, how: str = "") -> Quantity:
    def value(epoch: EpochRecord) -> float:
        return 100 * float(getattr(epoch, field))

    def error(epoch: EpochRecord) -> float:
        return 100 - value(epoch)

    split: SplitName = "validation" if group == GROUPS[0] else "train"
    shown = Quantity(
        field,
        group,
        f"{subject} accuracy{how}",
        "accuracy (%)",
        " %",
        value,
        low=0,
        high=100,
        split=split,
    )
    log = Quantity(
        f"{field}-log",
        group,
        f"{subject} error{how} (logarithmic)",
        "error (%), logarithmic",
        " % error",
        error,
        high=100,
        scale="log",
        split=split,
    )
    return replace(shown, log=log)


def _loss(group: str, field: str, title: str) -> Quantity:
    def value(epoch: EpochRecord) -> float:
        return float(getattr(epoch, field))

    shown = Quantity(field, group, title, "cross-entropy (nats)", " nats", value)
    log = replace(
        shown,
        name=f"{field}-log",
        title=f"{title} (logarithmic)",
        axis=f"{shown.axis}, logarithmic",
        scale="log",
    )
    return replace(shown, log=log)


QUANTITIES = (
    _accuracy(GROUPS[0], "val_accuracy", "Validation"),
    _loss(GROUPS[0], "val_loss", "Validation loss"),
    _accuracy(GROUPS[1], "train_accuracy", "Training", ", evaluated"),
    _loss(GROUPS[1], "train_loss", "Training loss, evaluated"),
    _accuracy(GROUPS[2], "accuracy", "Training", ", running"),
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


def curve_charts(
    tracks: Sequence[Track], largest: Mapping[SplitName, float] = NOTHING
) -> Iterator[tuple[Quantity, Chart]]:
    """Every quantity with its chart, linear and logarithmic; `largest` as in `curve_chart`."""
    for linear in QUANTITIES:
        for quantity in (linear, linear.log):
            if quantity is not None:
                yield quantity, curve_chart(quantity, tracks, largest)


def together_charts(
    tracks: Sequence[Track], largest: Mapping[SplitName, float] = NOTHING
) -> Iterator[tuple[Quantity, Chart]]:
    """Training (evaluated) and validation on one axis, linear and logarithmic: means alone."""
    validation, loss, training, training_loss, *_ = QUANTITIES
    for both, what in (((training, validation), "accuracy"), ((training_loss, loss), "loss")):
        for first, second in (both, (both[0].log, both[1].log)):
            if first is None or second is None:
                continue
            log = second is not both[1]
            word = "error" if log and what == "accuracy" else what
            title = f"Training and validation {word}{' (logarithmic)' if log else ''}"
            name = f"together-{what}{'-log' if log else ''}"
            curves = [
                Curve(track, quantity, f"{track.head}, {split}", style, means=True)
                for track in tracks
                for quantity, split, style in (
                    (first, "training", replace(track.style, dashes="--", hollow=True)),
                    (second, "validation", track.style),
                )
            ]
            with drawing() as paper:
                told, caption = draw_curves(paper, curves, largest)
                yield (
                    replace(second, name=name, group=TOGETHER, title=title),
                    paper.finish(
                        f"curve-{name}",
                        title,
                        " ".join(["Solid: validation; dashed: training, evaluated.", *caption]),
                        f"{title} over epochs. " + "; ".join(text for text in told if text) + ".",
                    ),
                )


def curve_chart(
    quantity: Quantity, tracks: Sequence[Track], largest: Mapping[SplitName, float] = NOTHING
) -> Chart:
    """One quantity over epochs for every head that has finished runs.

    `largest` is each split's accuracy of always predicting its largest class.
    """
    ordered = sorted(tracks, key=lambda track: not track.faint)  # the faint ones lie below
    curves = [Curve(track, quantity, track.head, track.style) for track in ordered]
    with drawing() as paper:
        told, caption = draw_curves(paper, curves, largest)
        return paper.finish(
            f"curve-{quantity.name}",
            quantity.title,
            " ".join(caption),
            f"{quantity.title} over epochs. " + "; ".join(text for text in told if text) + ".",
        )


@dataclass(frozen=True)
class Curve:
    """One quantity of one head, as a chart shows it."""

    track: Track
    quantity: Quantity
    label: str
    style: HeadStyle
    means: bool = False
    """Whether the mean is drawn without its seeds."""


def draw_curves(
    paper: Drawing, curves: Sequence[Curve], largest: Mapping[SplitName, float] = NOTHING
) -> tuple[list[str], list[str]]:
    """Draw curves on one axis, that of the last one's quantity.

    Returns what a reader without sight is told of each, and the sentences of the caption.
    """
    quantity, axes = curves[-1].quantity, paper.axes
    runs = sum(1 if curve.track.faint else len(curve.track.seeds) for curve in curves)
    shown = max(FEWEST_EPOCHS, min(SHOWN_EPOCHS, POINTS // runs))
    told = [_draw_curve(paper, curve, shown) for curve in curves]
    axes.set(xlabel="epoch", ylabel=quantity.axis)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
    last = max(len(history) for curve in curves for history in curve.track.histories)
    caption = [f"Of {last} epochs {shown} are drawn, evenly spaced."] if last > shown else []
    axes.set_xlim(0.5, last + 0.5)  # half an epoch of air: there is no epoch 0 to show
    if faint := {curve.track.head for curve in curves if curve.track.faint}:
        caption.append(f"Grey: the means of {counted(len(faint), 'more head')}.")
    if quantity.split is not None and quantity.split in largest:
        error = quantity.scale == "log"
        told.append(draw_largest_class(paper, largest[quantity.split], error=error))
        caption.append("Grey dashes: always predicting the largest class.")
    # Where no epoch made an error, nothing is drawn that a logarithmic axis could show.
    logarithmic = quantity.scale == "log" and np.isfinite(axes.dataLim.minposy)
    axes.set_yscale("log" if logarithmic else "linear")
    keep_within(axes, quantity.low, quantity.high)
    if logarithmic:
        _label_decades(axes)
    return told, caption


def values_of(quantity: Quantity, track: Track) -> Values:
    """(seeds, epochs); NaN where a seed has fewer epochs or a value is not finite."""
    longest = max(map(len, track.histories))
    table = np.full((len(track.histories), longest), np.nan)
    for row, history in zip(table, track.histories, strict=True):
        row[: len(history)] = [quantity.value(epoch) for epoch in history]
    table[~np.isfinite(table)] = np.nan
    return table


def _label_decades(axes: Axes) -> None:
    axes.set_yticks(log_ticks(*axes.get_ylim()))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.4g}")
    axes.yaxis.set_minor_formatter(lambda *_: "")


def _draw_faint(paper: Drawing, curve: Curve, epochs: Values, mean: Values) -> None:
    """The mean alone, in grey, so that ten heads stay tellable among thirty."""
    drawn = mean if curve.quantity.scale == "linear" else np.where(mean > 0, mean, np.nan)
    (line,) = paper.axes.plot(epochs, drawn, color=NEUTRAL, linewidth=0.8, alpha=0.5)
    paper.belongs(curve.track.index, line)


def _draw_curve(paper: Drawing, curve: Curve, most: int) -> str:
    """Draws one curve; what a reader without sight is told of it."""
    quantity, track, name = curve.quantity, curve.track, curve.label
    values = values_of(quantity, track)
    present = np.flatnonzero(np.isfinite(values).any(axis=0))
    if not len(present):
        return f"{name}: no finite value"
    at = np.linspace(0, len(present) - 1, most).round().astype(int)
    shown = present[np.unique(at)] if len(present) > most else present
    epochs, values = (shown + 1).astype(np.float64), values[:, shown]
    mean = np.nanmean(values, axis=0)
    if track.faint:
        _draw_faint(paper, curve, epochs, mean)
        return ""

    def line(label: str, row: Values) -> Line:
        # Zero has no place on a logarithmic axis, but it has its share in the mean.
        drawn = row if quantity.scale == "linear" else np.where(row > 0, row, np.nan)
        said = (f"epoch {x:.0f}: {y:.4g}{quantity.unit}" for x, y in zip(epochs, row, strict=True))
        return Line(label, epochs, drawn, tuple(said))

    seeds = tuple(
        line(f"{name}, seed {seed}", row) for seed, row in zip(track.seeds, values, strict=True)
    )
    whole = line(mean_label(name, seeds), mean)
    every = 1 + len(epochs) // 20
    shown_seeds = () if curve.means else seeds
    draw_head(paper, HeadLines(name, track.index, curve.style, whole, shown_seeds, every))
    return (
        f"{name} goes from {significant(mean[0])}{quantity.unit} at epoch {epochs[0]:.0f} to "
        f"{significant(mean[-1])}{quantity.unit} at epoch {epochs[-1]:.0f}"
    )
