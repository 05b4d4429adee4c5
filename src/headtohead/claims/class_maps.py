"""The third claim: class maps find the object, by masks or by taking images apart."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal, final

import numpy as np

from headtohead.analysis.shown_in_full import not_drawn
from headtohead.claims.base import ClaimFigure, Measure, Question, measure, pairs
from headtohead.core.text import counted
from headtohead.probes.class_maps import CLASS_MAPS, ClassMaps
from headtohead.probes.probe_images import UNKNOWN, Masks
from headtohead.report.charts.chart import Chart, Drawing, drawing, keep_within
from headtohead.report.charts.dots import Dot, DotChart, DotRow, dot_chart
from headtohead.report.charts.lines import (
    HeadLines,
    Line,
    Values,
    draw_head,
    make_readable,
    mean_label,
)
from headtohead.report.charts.style import HeadStyle, head_styles
from headtohead.stats.maps import Objects, area_gain, objects_of, score_maps
from headtohead.study_data import DRAWN, BySeed, StudyData

MapsByRun = Mapping[tuple[str, int], ClassMaps]

LOST = "the masks are lost"
BY_MASKS = (
    "the share of Grad-CAM's positive part that lies on the object, less what other images' maps "
    "have there"
)
BY_CURVES = (
    "insertion less deletion area of Grad-CAM, less that of random maps (the study has no masks)"
)


@final
class ClassMapsClaim:
    """The reference's class maps find the object better."""

    name = "class_maps"

    def question(self, data: StudyData) -> Question:
        """By masks where the study has or had them, else by deletion and insertion.

        Masks that are lost change no rule: the question then cannot be answered.
        """
        maps = data.evidence(CLASS_MAPS)
        masks = data.masks(run.seed for run in data.finished)
        measures = [*_curve_measures(data, maps)]
        notes = data.missing(maps, "class maps")
        if data.study.data == DRAWN or data.masks_folder is not None:
            seen = {run: found for run, found in maps.items() if run[1] in masks}
            score, rows = _mask_measures(data, seen, masks)
            measures = [*(rows if seen else ()), *measures]
            what = BY_MASKS
            lost = LOST if maps and not seen else ""
            unmasked = sorted({seed for _, seed in maps.keys() - seen.keys()})
            if seen and unmasked:
                notes += (f"Left out, their masks are lost: seeds {_listed(unmasked)}",)
            notes += few_masks(masks[seed] for _, seed in seen)
        else:
            pair = {run: maps[run] for run in maps if run[0] in (data.reference, data.against)}
            alike, without = same_images(pair)
            score, what, lost = _gains(data, alike, "gradcam"), BY_CURVES, ""
            if without:
                notes += (f"Left out, no image was taken apart for both: seeds {_listed(without)}",)
        return Question(
            statement=f"{data.reference}'s class maps find the object better than {data.against}'s",
            tested=f"{what}, {data.reference} minus {data.against}",
            differences=pairs(score, data.reference, data.against, data.seeds),
            measures=tuple(measures),
            notes=notes,
            lost=lost,
        )

    def figure(self, data: StudyData) -> ClaimFigure:
        """Deletion and insertion; with masks, energy and pointing game before them."""
        return ClaimFigure(tuple(class_map_charts(data)), anchor="#class-maps")


CLAIM = ClassMapsClaim()


def few_masks(found: Iterable[Masks]) -> tuple[str, ...]:
    """That some images have no mask, and are thus not scored; nothing where all have one."""
    splits = {id(masks): masks.masks for masks in found}.values()  # seeds may share a split
    total = sum(map(len, splits))
    have = sum(int((masks != UNKNOWN).any((1, 2)).sum()) for masks in splits)
    if have == total:
        return ()
    return (f"Only {have:,} of the {counted(total, 'image')} that were looked at have a mask",)


def mask_scores(
    found: Mapping[tuple[str, int], ClassMaps], masks: Mapping[int, Masks]
) -> dict[str, dict[tuple[str, int], dict[str, float]]]:
    """By "Grad-CAM" and "exact map" → (head, seed) → the mean of each field of `MapScores`."""
    scores: dict[str, dict[tuple[str, int], dict[str, float]]] = {"Grad-CAM": {}, "exact map": {}}
    objects: dict[tuple[object, ...], Objects] = {}  # the same for all runs on one split
    for (head, seed), maps in found.items():
        for kind, values in (("Grad-CAM", maps.gradcam), ("exact map", maps.exact)):
            if values is not None and len(values) == len(masks[seed].masks):
                key = (id(masks[seed]), values.shape[1:], maps.first, maps.stride)
                if key not in objects:
                    height, width = values.shape[1:]
                    objects[key] = objects_of(
                        masks[seed].masks, (height, width), maps.first, maps.stride
                    )
                scores[kind][head, seed] = score_maps(values, objects[key]).mean()
    return scores


def same_images(found: MapsByRun) -> tuple[MapsByRun, list[int]]:
    """`found` with the curves of the images that all runs of a seed took apart.

    And the seeds that have no such image: of a frozen study of before, to which a head was added.
    """
    kept: dict[tuple[str, int], ClassMaps] = {}
    without = []
    for seed in sorted({seed for _, seed in found}):
        runs = {run: maps for run, maps in found.items() if run[1] == seed}
        common = reduce(np.intersect1d, (maps.apart for maps in runs.values()))
        if not len(common) and any(len(maps.apart) for maps in runs.values()):
            without.append(seed)
        kept |= {run: maps.curves_of(common) for run, maps in runs.items()}
    return kept, without


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _mask_measures(
    data: StudyData, found: dict[tuple[str, int], ClassMaps], masks: dict[int, Masks]
) -> tuple[BySeed, list[Measure]]:
    """Grad-CAM's energy beyond chance by seed, and all scores of both kinds of maps."""
    scores = mask_scores(found, masks)

    def of(kind: str, field: str) -> BySeed:
        return data.by_seed((*run, values[field]) for run, values in scores[kind].items())

    beyond = data.by_seed(
        (*run, values["energy"] - values["energy_others"])
        for run, values in scores["Grad-CAM"].items()
    )
    rows = [measure("Grad-CAM: energy on the object, beyond other images' maps", "points", beyond)]
    for kind in scores:
        rows += [
            measure(f"{kind}: energy on the object", "share", of(kind, "energy")),
            measure(f"{kind}: points at the object", "share", of(kind, "pointing")),
        ]
    chance = {
        "energy, other images' Grad-CAM": "energy_others",
        "energy, a Gaussian in the middle": "energy_centre",
        "pointing, other images' Grad-CAM": "pointing_others",
        "pointing, the middle": "pointing_centre",
    }
    rows += [measure(f"chance: {n}", "share", of("Grad-CAM", f)) for n, f in chance.items()]
    return beyond, rows


def _curve_measures(data: StudyData, found: MapsByRun) -> list[Measure]:
    names = {"gradcam": "Grad-CAM", "exact": "exact map"}
    return [
        measure(
            f"{name}: insertion less deletion area, beyond random maps",
            "points",
            _gains(data, found, kind),
        )
        for kind, name in names.items()
    ]


def _gains(data: StudyData, found: MapsByRun, kind: str) -> BySeed:
    def gain(maps: ClassMaps) -> float | None:
        curves, random = getattr(maps, f"{kind}_curves"), maps.random_curves
        if curves is None or not len(curves.deletion):
            return None
        chance = area_gain(random.deletion, random.insertion)
        return area_gain(curves.deletion, curves.insertion) - chance

    return data.by_seed((*run, gain(maps)) for run, maps in found.items())


@dataclass(frozen=True)
class _Way:
    """One of the two ways to take images apart, in words."""

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
    _Score("pointing", "Pointing game", "images whose map peaks on the object (%)", "the pixel"),
)


def class_map_charts(data: StudyData) -> Iterator[Chart]:
    """Deletion and insertion; with masks, energy and pointing game before them."""
    found = {run: maps for run, maps in data.evidence(CLASS_MAPS).items() if len(maps.rows)}
    styles = head_styles(data.study.heads)
    yield from _mask_charts(data, found, styles)
    apart = {run: maps for run, maps in found.items() if len(maps.gradcam_curves.deletion)}
    drawn = {run: maps for run, maps in apart.items() if run[0] in data.shown_in_full}
    if drawn:
        left_out = not_drawn(len({head for head, _ in apart}) - len({head for head, _ in drawn}))
        for way in WAYS:
            yield _curve_chart(way, drawn, styles, left_out)


def _mask_charts(
    data: StudyData, found: MapsByRun, styles: Mapping[str, HeadStyle]
) -> Iterator[Chart]:
    masks = data.masks({seed for _, seed in found})
    masked = {run: maps for run, maps in found.items() if run[1] in masks}
    scores = mask_scores(masked, masks)["Grad-CAM"]
    known = {run: values for run, values in scores.items() if np.isfinite(values["energy"])}
    if known:
        for score in SCORES:
            yield _score_chart(score, known, styles)


def _score_chart(
    score: _Score,
    scores: Mapping[tuple[str, int], Mapping[str, float]],
    styles: Mapping[str, HeadStyle],
) -> Chart:
    rows = []
    for head in styles:
        mine = {seed: values for (name, seed), values in scores.items() if name == head}
        if not mine:
            continue
        own = {seed: 100 * values[score.field] for seed, values in mine.items()}
        others = float(np.mean([100 * values[f"{score.field}_others"] for values in mine.values()]))
        mean = float(np.mean(list(own.values())))
        rows.append(
            DotRow(
                head,
                tuple(Dot(value, f"seed {seed}: {value:.1f} %") for seed, value in own.items()),
                Dot(mean, f"mean {mean:.1f} %"),
                Dot(others, f"by chance {others:.1f} %: other images' maps"),
            )
        )
    middle = float(np.mean([100 * values[f"{score.field}_centre"] for values in scores.values()]))
    return dot_chart(
        DotChart(
            f"maps-{score.field}",
            score.title,
            score.axis,
            "Grad-CAM against the objects' masks. Small: each seed; large: their mean; bar: other "
            f"images' maps on these images (chance); dashed: {score.middle} in the middle.",
            tuple(rows),
            styles,
            Dot(middle, f"{score.middle} in the middle: {middle:.1f} %"),
            "other images' maps (chance)",
        )
    )


def _curve_chart(
    way: _Way, found: MapsByRun, styles: Mapping[str, HeadStyle], left_out: str
) -> Chart:
    with drawing() as paper:
        told = []
        for index, (head, style) in enumerate(styles.items()):
            mine = {seed: maps for (name, seed), maps in found.items() if name == head}
            if not mine:
                continue
            own = _means([getattr(maps.gradcam_curves, way.field) for maps in mine.values()])
            chance = _means([getattr(maps.random_curves, way.field) for maps in mine.values()])
            random = _line(f"{head}, random maps", chance.mean(axis=0))
            _draw_dashed(paper, index, random, style.color)
            seeds = tuple(_line(f"{head}, seed {s}", row) for s, row in zip(mine, own, strict=True))
            mean = _line(mean_label(head, seeds), own.mean(axis=0))
            draw_head(paper, HeadLines(head, index, style, mean, seeds))
            told.append(
                f"{head}: on average {mean.y.mean():.1f} %, "
                f"with random maps {random.y.mean():.1f} %"
            )
        paper.axes.set(xlabel=way.axis, ylabel="probability of the true class (%)", xlim=(0, 100))
        keep_within(paper.axes, 0, 100)
        each = max(len(maps.apart) for maps in found.values())
        every = len(np.unique(np.concatenate([maps.apart for maps in found.values()])))
        images = f"{every} test images" + (f", {each} for each seed" if each < every else "")
        return paper.finish(
            f"maps-{way.field}",
            way.title,
            f"{images}, the most important pixels first. Solid: in Grad-CAM's "
            "order, mean over seeds (faint: each seed); dashed: in random maps' order. "
            f"The further {way.better} the dashed line, the more the map shows what counts."
            f"{left_out}",
            f"{way.title}. {'; '.join(told)}.",
        )


def _draw_dashed(paper: Drawing, index: int, line: Line, color: str) -> None:
    dashes = (0, (4, 3))
    (drawn,) = paper.axes.plot(
        line.x, line.y, color=color, linestyle=dashes, linewidth=1.3, label=line.label
    )
    paper.belongs(index, drawn)
    make_readable(paper, index, line)


def _means(curves: Sequence[Values]) -> Values:
    """(m, steps + 1) curves of each seed → (seeds, steps + 1) means over images, in per cent.

    Where seeds were measured in steps of different width (a frozen backbone's in fewer since), the
    wider ones are all that is kept: they are among the others.
    """
    means = [100 * np.asarray(curve, np.float64).mean(axis=0) for curve in curves]
    steps = min(len(mean) for mean in means) - 1
    return np.array([mean[:: (len(mean) - 1) // steps] for mean in means])


def _line(label: str, row: Values) -> Line:
    at = np.linspace(0, 100, len(row))
    said = tuple(f"{x:.0f} % of the pixels: {y:.1f} %" for x, y in zip(at, row, strict=True))
    return Line(label, at, row, said)
