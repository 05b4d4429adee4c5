"""Tables of the page: heads × metrics, over-fitting, the time of a training step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headtohead.analysis.baseline import Baseline
from headtohead.analysis.run_results import loss_rise
from headtohead.config.verdict import Metric
from headtohead.core.text import MISSING, confidence, digits_of_seconds, minus
from headtohead.probes.speed import Speed
from headtohead.report.charts.curves import Track
from headtohead.report.summary import HeadResult, Summary
from headtohead.stats import Spread, spread


@dataclass(frozen=True)
class PageMeasure:
    """A column: a metric, its unit, and which direction is better (None: neither)."""

    title: str
    metric: str
    scale: float
    digits: int
    better: str | None


MEASURES = (
    PageMeasure("test accuracy, %", "test_accuracy", 100, 1, "high"),
    PageMeasure("best validation, %", "best_val_accuracy", 100, 1, "high"),
    PageMeasure("last validation, %", "last_val_accuracy", 100, 1, "high"),
    PageMeasure("over-fitting, points", "last_overfit", 100, 1, "low"),
    PageMeasure("AUROC", "test_auroc", 1, 3, "high"),
    PageMeasure("log loss, nats", "test_loss", 1, 3, "low"),
    PageMeasure("ECE, %", "test_ece", 100, 1, "low"),
    PageMeasure("Brier", "test_brier", 1, 3, "low"),
    PageMeasure("processor s per run", "cpu_seconds", 1, 0, None),
)

PRIMARY_MEASURES: Mapping[Metric, tuple[PageMeasure, ...]] = {
    "test_accuracy": (),
    "balanced_accuracy": (PageMeasure("balanced, %", "test_balanced_accuracy", 100, 1, "high"),),
    "macro_f1": (PageMeasure("macro-F1, %", "test_macro_f1", 100, 1, "high"),),
}
"""First of all columns, where verdicts are about them."""


@dataclass(frozen=True)
class Cell:
    """What is shown, its deviation or interval (maybe empty), by what it is sorted (None: last)."""

    text: str
    sd: str
    order: float | None
    best: bool
    interval: str = ""

    @property
    def full(self) -> str:
        """In one line."""
        if self.interval:
            return f"{self.text} ({self.interval})"
        return f"{self.text} ± {self.sd}" if self.sd else self.text


@dataclass(frozen=True)
class Row:
    """One head of the table."""

    head: str
    won: bool
    finished: int
    failed: int
    cells: tuple[Cell, ...]


def measures(metric: Metric) -> tuple[PageMeasure, ...]:
    """The columns of a study whose verdicts are about `metric`: it stands first."""
    return (*PRIMARY_MEASURES[metric], *MEASURES)


def columns(metric: Metric) -> tuple[str, ...]:
    """The titles of `Row.cells`."""
    first, *others = (measure.title for measure in measures(metric))
    return (first, "parameters", "of the head", *others)


def falling_first() -> frozenset[str]:
    """Titles of columns in which less is better: their first sorting puts the least on top."""
    less = {measure.title for measure in MEASURES if measure.better == "low"}
    return frozenset({"parameters", "of the head", "processor s per run", *less})


def rows(summary: Summary) -> tuple[Row, ...]:
    """Every head that has runs, in the study's order."""
    shown = measures(summary.file.study.verdict.metric)
    best = {measure.metric: _best(summary.heads, measure) for measure in shown}
    found = []
    for head in summary.heads:
        counts = head.parameters
        first, *others = (_measured(head, measure, best[measure.metric]) for measure in shown)
        cells = (
            first,  # beside the head: on a phone no other column is in sight
            Cell(f"{counts.total:,}", "", counts.total, False),
            Cell(f"{counts.head:,}", "", counts.head, False),
            *others,
        )
        found.append(
            Row(
                head=head.head,
                won=summary.won(head.head),
                finished=head.finished,
                failed=len(head.runs) - head.finished,
                cells=cells,
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class BaselineRow:
    """Always predicting the largest class, as a row; beside accuracy the interval over images."""

    label: str
    about: str
    cells: tuple[Cell, ...]


def baseline_row(found: Baseline, metric: Metric) -> BaselineRow:
    """The row under the heads: of a metric that a constant answer has not, a dash."""
    first, *others = (_baseline_cell(found, measure) for measure in measures(metric))
    none = Cell("0", "", 0, False)
    return BaselineRow(
        label=f"largest class: always {found.name}",
        about=(
            f"{confidence(found.level)} interval of its accuracy over {found.images:,} test "
            f"images, exact binomial: {_over_images(found)} %"
        ),
        cells=(first, none, none, *others),
    )


def _over_images(found: Baseline) -> str:
    return f"{100 * found.low:.1f} to {100 * found.high:.1f}"


def _baseline_cell(found: Baseline, measure: PageMeasure) -> Cell:
    value = found.metrics.get(measure.metric)
    if value is None:
        return Cell(MISSING, "", None, False)
    interval = _over_images(found) if measure.metric == "test_accuracy" else ""
    text = minus(f"{measure.scale * value:z.{measure.digits}f}")
    return Cell(text, "", value, False, interval)


def _measured(head: HeadResult, measure: PageMeasure, best: float | None) -> Cell:
    found, digits = head.spreads[measure.metric], measure.digits
    if found is not None and measure.metric == "cpu_seconds":
        digits = digits_of_seconds(found.mean)
    return _cell(found, measure.scale, digits, best)


def _cell(found: Spread | None, scale: float, digits: int, best: float | None = None) -> Cell:
    """A mean and its deviation; a dash for what is not known."""
    if found is None:
        return Cell(MISSING, "", None, False)
    sd = "" if found.sd is None else f"{scale * found.sd:.{digits}f}"
    order = found.mean if np.isfinite(found.mean) else None
    text = minus(f"{scale * found.mean:z,.{digits}f}")
    return Cell(text, sd, order, order is not None and order == best)


def _best(heads: Sequence[HeadResult], measure: PageMeasure) -> float | None:
    means = [
        spread.mean
        for head in heads
        if (spread := head.spreads[measure.metric]) is not None and np.isfinite(spread.mean)
    ]
    if measure.better is None or len(means) < 2:
        return None
    return max(means) if measure.better == "high" else min(means)


@dataclass(frozen=True)
class OverfitRow:
    """One head: training minus validation accuracy in points, and the rise of the loss in nats."""

    head: str
    best: str
    last: str
    rise: str


def overfit_rows(summary: Summary, tracks: Sequence[Track]) -> Iterator[OverfitRow]:
    """Every head with finished runs; the rise is from the lowest validation loss to the last."""
    results = {head.head: head for head in summary.heads}
    for track in tracks:
        head = results[track.head]
        rises = [loss_rise(history) for history in track.histories]
        yield OverfitRow(
            track.head,
            _cell(head.spreads["best_overfit"], 100, 1).full,
            _cell(head.spreads["last_overfit"], 100, 1).full,
            _cell(spread(rises), 1, 3).full,
        )


@dataclass(frozen=True)
class SpeedRow:
    """Median milliseconds of a training step over rounds, and the fastest and slowest round."""

    head: str
    wall: str
    wall_range: str
    cpu: str


@dataclass(frozen=True)
class SpeedTable:
    """Every head's training step, and `about` how it was timed."""

    rows: tuple[SpeedRow, ...]
    about: str


def speed_table(found: Speed | None) -> SpeedTable | None:
    """The session's times, head by head; None without a session."""
    if found is None:
        return None
    rows = []
    for index, head in enumerate(found.heads):
        wall, cpu = 1000 * found.wall[index], 1000 * found.cpu[index]
        rows.append(
            SpeedRow(
                head,
                _milliseconds(float(np.median(wall))),
                f"{_milliseconds(wall.min())} to {_milliseconds(wall.max())}",
                _milliseconds(float(np.median(cpu))),
            )
        )
    about = (
        f"One worker on {found.device}, heads in turn, {found.wall.shape[1]} rounds, "
        f"{found.batch_size[0]} images a step."
    )
    return SpeedTable(tuple(rows), about)


def _milliseconds(value: float) -> str:
    """One decimal; two significant digits below one, as a head on cached features takes."""
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"
