"""Whether class maps are worth anything: against random maps, other pictures' maps, the middle."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from headtohead.probes.base import read_run
from headtohead.probes.class_maps import CLASS_MAPS, ClassMaps
from headtohead.report.figures import Look, looks
from headtohead.report.page.chart import Chart, drawing, keep_within
from headtohead.report.page.dots import Dot, DotChart, DotRow, dot_chart
from headtohead.report.page.strands import (
    Strand,
    Trace,
    Values,
    draw_strand,
    mean_label,
    read_trace,
)
from headtohead.report.sight import mask_scores, masks_of
from headtohead.store.ledger import Ledger

Evidence = Mapping[tuple[str, int], ClassMaps]


@dataclass(frozen=True)
class _Way:
    """One of the two ways to take pictures apart, in words."""

    field: Literal["deletion", "insertion"]
    title: str
    axis: str
    better: str


WAYS = (
    _Way("deletion", "Deletion: what maps mark is taken away", "pixels taken away (%)", "below"),
    _Way("insertion", "Insertion: what maps mark comes back", "pixels come back (%)", "above"),
)


@dataclass(frozen=True)
class _Score:
    """A score of maps against masks: the fields of `MapScores` that hold it and its chance."""

    field: str
    title: str
    axis: str
    middle: str


SCORES = (
    _Score("energy", "Energy on the object", "share of the map's positive part (%)", "a Gaussian"),
    _Score("pointing", "Pointing game", "pictures whose map peaks on the object (%)", "the pixel"),
)


def looking_charts(ledger: Ledger) -> Iterator[Chart]:
    """Deletion and insertion; with masks, energy and pointing game before them."""
    found: dict[tuple[str, int], ClassMaps] = {}
    for run in ledger.runs():
        head, seed = run.record.head, run.record.seed
        maps = read_run(ledger, CLASS_MAPS, head, seed)
        if run.record.status == "finished" and maps is not None and len(maps.rows):
            found[head, seed] = maps
    styles = looks(ledger.file.study.heads)
    yield from _mask_charts(ledger, found, styles)
    apart = {run: maps for run, maps in found.items() if len(maps.gradcam_curves.deletion)}
    if apart:
        for way in WAYS:
            yield _curve_chart(way, apart, styles)


def _mask_charts(ledger: Ledger, found: Evidence, styles: Mapping[str, Look]) -> Iterator[Chart]:
    masks = masks_of(ledger, {seed for _, seed in found})
    masked = {run: maps for run, maps in found.items() if run[1] in masks}
    scores = mask_scores(masked, masks)["Grad-CAM"]
    known = {run: values for run, values in scores.items() if np.isfinite(values["energy"])}
    if known:
        for score in SCORES:
            yield _score_chart(score, known, styles)


def _score_chart(
    score: _Score,
    scores: Mapping[tuple[str, int], Mapping[str, float]],
    styles: Mapping[str, Look],
) -> Chart:
    rows = []
    for index, (head, look) in enumerate(styles.items()):
        mine = {seed: values for (name, seed), values in scores.items() if name == head}
        if not mine:
            continue
        own = {seed: 100 * values[score.field] for seed, values in mine.items()}
        others = float(np.mean([100 * values[f"{score.field}_others"] for values in mine.values()]))
        mean = float(np.mean(list(own.values())))
        rows.append(
            DotRow(
                head,
                index,
                look,
                tuple(Dot(value, f"seed {seed}: {value:.1f} %") for seed, value in own.items()),
                Dot(mean, f"mean {mean:.1f} %"),
                Dot(others, f"by chance {others:.1f} %: other pictures' maps"),
            )
        )
    middle = float(np.mean([100 * values[f"{score.field}_centre"] for values in scores.values()]))
    return dot_chart(
        DotChart(
            f"maps-{score.field}",
            score.title,
            score.axis,
            "Grad-CAM against the objects' masks. Small: each seed; large: their mean; bar: other "
            f"pictures' maps on these pictures (chance); dashed: {score.middle} in the middle.",
            tuple(rows),
            Dot(middle, f"{score.middle} in the middle: {middle:.1f} %"),
            "other pictures' maps (chance)",
        )
    )


def _curve_chart(way: _Way, found: Evidence, styles: Mapping[str, Look]) -> Chart:
    with drawing() as paper:
        told = []
        for index, (head, look) in enumerate(styles.items()):
            mine = {seed: maps for (name, seed), maps in found.items() if name == head}
            if not mine:
                continue
            own = _means([getattr(maps.gradcam_curves, way.field) for maps in mine.values()])
            chance = _means([getattr(maps.random_curves, way.field) for maps in mine.values()])
            random = _trace(f"{head}, random maps", chance.mean(axis=0))
            (line,) = paper.axes.plot(
                random.x,
                random.y,
                color=look.color,
                linestyle=(0, (4, 3)),
                linewidth=1.3,
                label=f"{head}, random maps",
            )
            paper.belongs(index, line)
            read_trace(paper, index, random)
            seeds = tuple(
                _trace(f"{head}, seed {s}", row) for s, row in zip(mine, own, strict=True)
            )
            mean = _trace(mean_label(head, seeds), own.mean(axis=0))
            draw_strand(paper, Strand(head, index, look, mean, seeds))
            told.append(
                f"{head}: on average {mean.y.mean():.1f} %, "
                f"with random maps {random.y.mean():.1f} %"
            )
        paper.axes.set(xlabel=way.axis, ylabel="probability of the true class (%)", xlim=(0, 100))
        keep_within(paper.axes, 0, 100)
        pictures = max(len(maps.gradcam_curves.deletion) for maps in found.values())
        return paper.finish(
            f"maps-{way.field}",
            way.title,
            f"{pictures} test pictures, the most important pixels first. Solid: in Grad-CAM's "
            "order, mean over seeds (faint: each seed); dashed: in random maps' order. "
            f"The further {way.better} the dashed line, the more the map shows what counts.",
            f"{way.title}. {'; '.join(told)}.",
        )


def _means(curves: Sequence[Values]) -> Values:
    """(m, steps + 1) curves of each seed → (seeds, steps + 1) means over pictures, in per cent."""
    return np.array([100 * np.asarray(curve, np.float64).mean(axis=0) for curve in curves])


def _trace(label: str, row: Values) -> Trace:
    at = np.linspace(0, 100, len(row))
    said = tuple(f"{x:.0f} % of the pixels: {y:.1f} %" for x, y in zip(at, row, strict=True))
    return Trace(label, at, row, said)
