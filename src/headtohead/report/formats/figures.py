"""Figures as files: the article's curves of training and validation, and every chart of the page.

The same bytes from the same ledger, whatever the user's matplotlibrc says.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from headtohead.analysis.baseline import baseline_of
from headtohead.core.files import write_atomic
from headtohead.report.charts.chart import Chart, drawing, figure_file, saved
from headtohead.report.charts.curves import (
    QUANTITIES,
    Curve,
    Track,
    draw_curves,
    tracks_of,
)
from headtohead.report.charts.panels import Panel, draw_panels
from headtohead.store.ledger import StudyFile
from headtohead.study_data import StudyData

SUFFIXES = ("png", "svg")
WIDTH, HEIGHT = 470.0, 300.0
_QUANTITY = {quantity.name: quantity for quantity in QUANTITIES}


@dataclass(frozen=True)
class EpochMetric:
    """A quantity over epochs: the fields of EpochRecord that hold it."""

    name: str
    running: str
    training: str
    validation: str


CURVE_METRICS = (
    EpochMetric("accuracy", "accuracy", "train_accuracy", "val_accuracy"),
    EpochMetric("loss", "loss", "train_loss", "val_loss"),
)


@dataclass(frozen=True)
class Plot:
    """A figure to draw: its file's name, its title and its curves."""

    name: str
    title: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Sheet:
    """A figure of several panels to draw."""

    name: str
    title: str
    panels: tuple[Panel, ...]


def write_figures(data: StudyData, metrics: Sequence[EpochMetric] = CURVE_METRICS) -> list[Path]:
    """Draw the article's figures of `metrics` into `<out>/figures`; the paths written.

    Raises StorageError where they cannot be written.
    """
    tracks = tracks_of(data)
    about = f"{_about(data.file, tracks)}{_lines(tracks)}"
    largest = baseline_of(data.file).shares
    folder, paths = data.out / "figures", []
    for plot in plots(tracks, data.reference, metrics):
        with drawing(WIDTH, HEIGHT) as paper:
            _, caption = draw_curves(paper, plot.curves, largest)
            for suffix in SUFFIXES:
                paths.append(folder / f"{plot.name}.{suffix}")
                drawn = figure_file(paper.figure, suffix, plot.title, about, " ".join(caption))
                write_atomic(paths[-1], drawn)
    for sheet in sheets(tracks, data.reference, metrics):
        figure = draw_panels(sheet.title, about, sheet.panels, largest)
        for suffix in SUFFIXES:
            paths.append(folder / f"{sheet.name}.{suffix}")
            write_atomic(paths[-1], saved(figure, suffix))
    return paths


def write_charts(charts: Iterable[Chart], data: StudyData) -> list[Path]:
    """Every one of `charts` in `<out>/figures`; the paths written.

    Raises StorageError where they cannot be written.
    """
    tracks = tracks_of(data)
    about, lines = _about(data.file, tracks), _lines(tracks)
    folder, paths = data.out / "figures", []
    for chart in charts:
        seeds = chart.name.startswith("curve-") and not chart.name.startswith("curve-together")
        for suffix in SUFFIXES:
            paths.append(folder / f"{chart.name}.{suffix}")
            write_atomic(paths[-1], chart.file(suffix, f"{about}{lines if seeds else ''}"))
    return paths


def plots(
    tracks: Sequence[Track], reference: str, metrics: Sequence[EpochMetric] = CURVE_METRICS
) -> Iterator[Plot]:
    """Each head alone, the reference against each other head, and all heads together.

    Of a large study, where some heads are faint, the last alone: `sheets` has the others.
    """
    own = () if any(one.faint for one in tracks) else tracks
    pairs = [(a, b) for a in own if a.head == reference for b in own if b is not a]
    for metric in metrics:
        for one in own:
            yield _alone(one, metric)
        for first, other in pairs:
            yield _against(first, other, metric)
        if len(tracks) > 1:
            yield Plot(
                f"all_heads_{metric.name}",
                f"All heads: validation {metric.name}",
                tuple(
                    _curve(one, metric.validation, one.head)
                    for one in sorted(tracks, key=lambda one: not one.faint)
                ),
            )


def _alone(track: Track, metric: EpochMetric) -> Plot:
    return Plot(
        f"{track.head}_{metric.name}",
        f"{track.head}: {metric.name} in training and validation",
        (
            _curve(track, metric.running, "training, running", "--"),
            _curve(track, metric.training, "training, evaluated", ":"),
            _curve(track, metric.validation, "validation"),
        ),
    )


def _against(first: Track, other: Track, metric: EpochMetric) -> Plot:
    return Plot(
        f"{first.head}_vs_{other.head}_{metric.name}",
        f"{first.head} against {other.head}: {metric.name}",
        (
            _curve(first, metric.running, f"{first.head} training, running", "--"),
            _curve(first, metric.validation, f"{first.head} validation"),
            _curve(other, metric.validation, f"{other.head} validation"),
        ),
    )


def sheets(
    tracks: Sequence[Track], reference: str, metrics: Sequence[EpochMetric] = CURVE_METRICS
) -> Iterator[Sheet]:
    """Of a large study: the heads that are not faint, a panel each, the reference behind each."""
    own = [one for one in tracks if not one.faint]
    if len(own) == len(tracks):
        return
    first = [one for one in own if one.head == reference]
    for metric in metrics:
        behind = [
            replace(_curve(one, metric.validation, f"{reference}, validation"), means=True)
            for one in first
        ]
        yield Sheet(
            f"each_head_{metric.name}",
            f"Each head against {reference}: {metric.name}",
            tuple(
                Panel(
                    one.head,
                    (
                        *(curve for curve in behind if one.head != reference),
                        _curve(one, metric.running, "training, running", "--"),
                        _curve(one, metric.validation, "validation"),
                    ),
                )
                for one in own
            ),
        )


def _curve(track: Track, quantity: str, label: str, dashes: str = "-") -> Curve:
    """Lines of one head differ in their markers too: at one epoch there is nothing else of them."""
    marker = "x" if dashes == ":" else track.style.marker
    style = replace(track.style, dashes=dashes, marker=marker, hollow=dashes == "--")
    return Curve(track, _QUANTITY[quantity], label, style)


def _about(file: StudyFile, tracks: Sequence[Track]) -> str:
    """Study, seeds and images."""
    images = sum(file.sizes.values())
    numbers = sorted({len(one.histories) for one in tracks})
    seeds = "–".join(map(str, {numbers[0]: 0, numbers[-1]: 0})) if numbers else "0"
    plural = "" if seeds == "1" else "s"
    return f"study {file.study.name}, {seeds} seed{plural}, {images:,} images"


def _lines(tracks: Sequence[Track]) -> str:
    """What the lines of a learning curve are, where there are several of a head."""
    several = any(len(one.histories) > 1 for one in tracks)
    return "; strong: mean, faint: each seed" if several else ""
