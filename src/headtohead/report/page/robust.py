"""Accuracy as the window moves, one line for each seed and head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from headtohead.probes.base import read_run
from headtohead.probes.translation import TRANSLATION, Translation
from headtohead.report.figures import Look
from headtohead.report.page.chart import Chart, drawing, keep_within
from headtohead.report.page.strands import Strand, Trace, Values, draw_strand, mean_label
from headtohead.store.ledger import Ledger


@dataclass(frozen=True)
class Moved:
    """One head as the window moves: for each seed, means over windows of equal distance.

    `distance` (d,) pixels, ascending, 0 first; `accuracy` and `agreement` (seeds, d) shares in
    [0, 1], agreement with the prediction on the centre crop. `shifts` (s, 2) are the windows
    (down, right), and `fine` (s,) those of them that go through single pixels.
    """

    head: str
    seeds: tuple[int, ...]
    pictures: int
    distance: Values
    accuracy: Values
    agreement: Values
    shifts: NDArray[np.int64]
    fine: NDArray[np.bool_]


def moved(ledger: Ledger) -> list[Moved]:
    """Every head that has translation evidence, in the study's order."""
    found: dict[str, dict[int, Translation]] = {}
    for run in ledger.runs():
        head, seed = run.record.head, run.record.seed
        known = read_run(ledger, TRANSLATION, head, seed)
        if run.record.status == "finished" and known is not None and len(known.rows):
            found.setdefault(head, {})[seed] = known
    return [_moved(head, found[head]) for head in ledger.file.study.heads if head in found]


def _moved(head: str, runs: Mapping[int, Translation]) -> Moved:
    first = next(iter(runs.values()))
    # Runs of one study share their windows; one that does not is left out of the curve.
    alike = {s: run for s, run in runs.items() if np.array_equal(run.shifts, first.shifts)}
    at = np.hypot(*first.shifts.T.astype(float)).round(1)
    known = np.unique(at)

    def by_distance(shares: Values) -> list[float]:
        return [float(shares[at == distance].mean()) for distance in known]

    return Moved(
        head,
        tuple(alike),
        len(first.rows),
        known,
        np.array([by_distance(run.accuracy) for run in alike.values()]),
        np.array([by_distance(run.agreement) for run in alike.values()]),
        first.shifts,
        first.fine,
    )


def translation_about(found: Moved) -> str:
    """Which windows there are: single-pixel steps do not go in all directions."""
    fine, large = found.shifts[found.fine], found.shifts[~found.fine]
    text = f"{found.pictures:,} test pictures; means over windows of one distance."
    if len(fine):
        text += f" Steps of 1 to {np.abs(fine).max()} pixels go to the right and down only"
    if len(large):
        far = " and ".join(f"{d:.0f}" for d in np.unique(np.hypot(*large.T.astype(float)).round()))
        text += f"; the large ones, {far} pixels, in {len(large)} directions"
    return f"{text}." if len(fine) else text


def translation_chart(
    found: Sequence[Moved],
    looks: Mapping[str, Look],
    order: Sequence[str],
    what: Literal["accuracy", "agreement"],
) -> Chart:
    """Accuracy as its change against the centre crop, or agreement with it, over distance."""
    with drawing() as paper:
        for one in found:
            strand = _strand(one, order.index(one.head), looks[one.head], what)
            draw_strand(paper, strand)
        axes = paper.axes
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        axes.set(xlabel="distance of the window from the centre (pixels)", ylabel=_AXES[what])
        if what == "agreement":
            keep_within(axes, 0, 100)
            caption = "How often the class named stays what it was."
        else:
            centre = ", ".join(
                f"{one.head} {100 * one.accuracy[:, 0].mean():.1f} %" for one in found
            )
            caption = f"On the centre crop: {centre}."
        title = _TITLES[what]
        furthest = "; ".join(
            f"{one.head} at {one.distance[-1]:g} pixels: agreement "
            f"{100 * one.agreement[:, -1].mean():.1f} %, accuracy "
            f"{100 * one.accuracy[:, -1].mean():.1f} %"
            for one in found
        )
        return paper.finish(
            f"translation-{what}",
            title,
            f"Strong: mean over seeds; faint: each seed. {caption}",
            f"{title}. {furthest}.",
        )


_TITLES = {
    "agreement": "Same answer as on the centre crop",
    "accuracy": "Accuracy as the window moves",
}
_AXES = {
    "agreement": "share of pictures (%)",
    "accuracy": "change from the centre crop (points)",
}
_UNITS = {"agreement": " %", "accuracy": " points"}


def _strand(one: Moved, index: int, look: Look, what: str) -> Strand:
    values = 100 * (one.agreement if what == "agreement" else one.accuracy - one.accuracy[:, :1])

    def trace(label: str, row: Values) -> Trace:
        pairs = zip(one.distance, row, strict=True)
        said = tuple(f"{d:g} pixels: {v:.2f}{_UNITS[what]}" for d, v in pairs)
        return Trace(label, one.distance, row, said)

    seeds = tuple(
        trace(f"{one.head}, seed {seed}", row) for seed, row in zip(one.seeds, values, strict=True)
    )
    mean = trace(mean_label(one.head, seeds), values.mean(axis=0))
    return Strand(one.head, index, look, mean, seeds)
