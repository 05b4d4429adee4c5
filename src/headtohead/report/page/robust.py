"""Accuracy as the window moves, and the time of a training step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headtohead.probes.evidence import (
    Speed,
    Translation,
    read_speed,
    read_translation,
    speed_key,
    speed_path,
    translation_path,
)
from headtohead.report.figures import Look
from headtohead.report.page.chart import Chart, drawing
from headtohead.report.page.svg import HEAD_ID
from headtohead.study.ledger import Ledger


@dataclass(frozen=True)
class Moved:
    """One head as the window moves: means over its seeds and over windows of equal distance.

    `distance` (d,) pixels, ascending, 0 first; `accuracy` and `agreement` (d,) shares in [0, 1],
    agreement with the prediction on the centre crop. `fine` are single pixels across a stride.
    """

    head: str
    seeds: int
    pictures: int
    distance: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    agreement: NDArray[np.float64]


def moved(ledger: Ledger) -> list[Moved]:
    """Every head that has translation evidence, in the study's order."""
    found: dict[str, list[Translation]] = {}
    for run in ledger.runs():
        head, seed = run.record.head, run.record.seed
        known = read_translation(translation_path(ledger.out, head, seed), run.record.key)
        if run.record.status == "finished" and known is not None and len(known.rows):
            found.setdefault(head, []).append(known)
    return [_moved(head, found[head]) for head in ledger.file.study.heads if head in found]


def _moved(head: str, runs: Sequence[Translation]) -> Moved:
    distances = [np.hypot(*run.shifts.T.astype(float)).round(1) for run in runs]
    known = sorted(set(np.concatenate(distances).tolist()))
    by_run = [
        [
            (float(run.accuracy[at == d].mean()), float(run.agreement[at == d].mean()))
            for d in known
            if (at == d).any()
        ]
        for run, at in zip(runs, distances, strict=True)
    ]
    # Runs of one study share their windows; one that does not is left out of the curve.
    table = np.array([row for row in by_run if len(row) == len(known)])
    if not len(table):
        table = np.array(by_run[:1])
        known = sorted(set(distances[0].tolist()))
    means = table.mean(axis=0)
    return Moved(head, len(table), len(runs[0].rows), np.array(known), means[:, 0], means[:, 1])


def translation_chart(
    found: Sequence[Moved], looks: Mapping[str, Look], order: Sequence[str], what: str
) -> Chart:
    """`what` is "accuracy" (its change against the centre crop) or "agreement", over distance."""
    with drawing() as paper:
        for one in found:
            look, index = looks[one.head], order.index(one.head)
            y = 100 * (one.agreement if what == "agreement" else one.accuracy - one.accuracy[0])
            (line,) = paper.axes.plot(
                one.distance, y, color=look.color, marker=look.marker, markersize=4, label=one.head
            )
            line.set_gid(f"{HEAD_ID}{index}.mean")
            unit = " %" if what == "agreement" else " points"
            said = [f"{d:g} pixels: {v:.2f}{unit}" for d, v in zip(one.distance, y, strict=True)]
            points = list(zip(one.distance.tolist(), y.tolist(), strict=True))
            paper.readable(one.head, index, points, said)
        centre = ", ".join(f"{one.head} {100 * one.accuracy[0]:.1f} %" for one in found)
        if what == "agreement":
            title, axis = "Same answer as on the centre crop", "share of pictures (%)"
            caption = "How often the class named stays what it was."
        else:
            title, axis = "Accuracy as the window moves", "change from the centre crop (points)"
            caption = f"On the centre crop: {centre}."
        paper.axes.set(xlabel="distance of the window from the centre (pixels)", ylabel=axis)
        furthest = "; ".join(
            f"{one.head} at {one.distance[-1]:g} pixels: agreement {100 * one.agreement[-1]:.1f} %"
            f", accuracy {100 * one.accuracy[-1]:.1f} %"
            for one in found
        )
        return paper.finish(f"translation-{what}", title, caption, f"{title}. {furthest}.")


def measured_speed(ledger: Ledger) -> Speed | None:
    """The speed session of this study's heads, where there is one."""
    heads = ledger.file.study.heads
    return read_speed(
        speed_path(ledger.out), speed_key([ledger.run_key(head, 0) for head in heads])
    )
