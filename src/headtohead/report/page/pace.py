"""How fast heads train: processor time of a step, epochs and processor time to the target."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from headtohead.probes.speed import Speed
from headtohead.report.claims import measured_speed, paces_of
from headtohead.report.figures import Look, looks
from headtohead.report.page.chart import Chart
from headtohead.report.page.dots import Dot, DotChart, DotRow, dot_chart
from headtohead.report.pairs import HeadTarget, Targets
from headtohead.stats.targets import Approach, reached
from headtohead.store.ledger import Ledger

Runs = frozenset[tuple[str, int]]


def pace_charts(ledger: Ledger, targets: Targets | None) -> Iterator[Chart]:
    """What is known of a step, of the epochs to the target, and of the time to it."""
    styles = looks(ledger.file.study.heads)
    speed = measured_speed(ledger)
    if speed is not None:
        yield _step_chart(speed, styles)
    if targets is None or not targets.heads:
        return
    late = _late(ledger, targets)
    yield _epochs_chart(targets, late, styles)
    times = {head: pace.to_target() for head, pace in paces_of(ledger, targets).items()}
    if times:
        yield _seconds_chart(targets, times, late, styles)


def _late(ledger: Ledger, targets: Targets) -> Runs:
    """Runs that had not reached the target when the epochs were over that all were watched for."""
    horizon = targets.heads[0].epochs.horizon if targets.heads else 0
    found = set()
    for run in ledger.runs():
        accuracies = tuple(epoch.val_accuracy for epoch in run.history)
        seconds = tuple(epoch.seconds for epoch in run.history)
        epochs = reached(Approach(accuracies, seconds), targets.target).epochs
        if epochs is None or epochs > horizon:
            found.add((run.record.head, run.record.seed))
    return frozenset(found)


def _step_chart(speed: Speed, styles: Mapping[str, Look]) -> Chart:
    rows = []
    for place, head in enumerate(speed.heads):
        size, step = speed.batch_size[place], 1000 * speed.cpu[place]
        dots = tuple(
            Dot(float(t / size), f"round {i}: {t / size:.3g} ms a picture, {t:.3g} ms a step")
            for i, t in enumerate(step, 1)
        )
        middle = float(np.median(step))
        said = f"median {middle / size:.3g} ms a picture, {middle:.3g} ms a step of {size}"
        rows.append(_row(styles, head, dots, Dot(middle / size, said)))
    return dot_chart(
        DotChart(
            "speed-step",
            "Processor time of a training step",
            "milliseconds per picture; left is faster",
            f"Small: each of {speed.cpu.shape[1]} rounds, in which heads take turns; large: their "
            f"median. One worker on {speed.device}.",
            tuple(rows),
        )
    )


def _epochs_chart(targets: Targets, late: Runs, styles: Mapping[str, Look]) -> Chart:
    rows = []
    for item in targets.heads:
        dots = []
        for seed, value in zip(item.seeds, item.epochs.values, strict=True):
            is_late = (item.head, seed) in late
            text = f"not within {value:g} epochs" if is_late else f"epoch {value:g}"
            dots.append(Dot(value, f"seed {seed}: {text}", is_late))
        middle = Dot(item.epochs.mean, f"mean {item.epochs.mean:.1f} epochs")
        rows.append(_row(styles, item.head, dots, middle))
    return dot_chart(
        DotChart(
            "speed-epochs",
            f"Epochs to {100 * targets.target:g} % validation accuracy",
            "epochs; left is faster",
            f"Small: each seed; large: their mean. {_censoring(targets.heads)}",
            tuple(rows),
            whole=True,
        )
    )


def _seconds_chart(
    targets: Targets,
    times: Mapping[str, Mapping[int, float]],
    late: Runs,
    styles: Mapping[str, Look],
) -> Chart:
    rows = []
    for head, seconds in times.items():
        dots = []
        for seed, value in seconds.items():
            is_late = (head, seed) in late
            text = f"more than {value:,.0f} s" if is_late else f"{value:,.0f} s"
            dots.append(Dot(value, f"seed {seed}: {text}", is_late))
        mean = float(np.mean(list(seconds.values())))
        rows.append(_row(styles, head, dots, Dot(mean, f"mean {mean:,.0f} s")))
    return dot_chart(
        DotChart(
            "speed-seconds",
            f"Processor time to {100 * targets.target:g} % validation accuracy",
            "seconds; left is faster",
            "Epochs to the target times the median step: what the claim about speed compares. "
            f"{_censoring(targets.heads)}",
            tuple(rows),
        )
    )


def _row(styles: Mapping[str, Look], head: str, dots: Sequence[Dot], middle: Dot) -> DotRow:
    return DotRow(head, list(styles).index(head), styles[head], tuple(dots), middle)


def _censoring(items: Sequence[HeadTarget]) -> str:
    if all(item.epochs.reached == item.epochs.n for item in items):
        return "Every run reached it."
    horizon = items[0].epochs.horizon
    return f"Triangles: not reached, counted as the {horizon:g} epochs that all runs were given."
