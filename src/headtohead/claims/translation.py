"""The fourth claim: the reference is more robust to translation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from headtohead.analysis.shown_in_full import not_drawn
from headtohead.claims.base import ClaimFigure, Question, Unit, measure, pairs
from headtohead.core.text import names
from headtohead.probes.translation import TRANSLATION, Translation, steps_of
from headtohead.report.charts.chart import Chart, drawing, keep_within
from headtohead.report.charts.lines import HeadLines, Line, Values, draw_head, mean_label
from headtohead.report.charts.style import HeadStyle, head_styles
from headtohead.study_data import BySeed, StudyData


@final
class TranslationClaim:
    """Its answers hold better as the window moves over real content."""

    name = "translation"

    def question(self, data: StudyData) -> Question:
        """Agreement with the centre crop beyond chance decides; accuracies stand beside."""
        found = data.evidence(TRANSLATION)
        known = {run: moved for run, moved in found.items() if len(moved.rows)}

        def of(value: Callable[[Translation], float]) -> BySeed:
            return data.by_seed((*run, value(moved)) for run, moved in known.items())

        runs = known.values()
        single = all(run.steps == list(range(1, len(run.steps) + 1)) for run in runs)
        small = "single-pixel" if single else "small"
        steady = of(lambda moved: float(moved.steadiness[1:].mean()))
        return Question(
            statement=f"{data.reference} is more robust to translation than {data.against}",
            tested=(
                f"agreement with the centre crop beyond chance (Cohen's kappa), mean over all "
                f"moved windows, {data.reference} minus {data.against}"
            ),
            differences=pairs(steady, data.reference, data.against, data.seeds),
            measures=(
                measure("agreement with the centre beyond chance, all windows", "share", steady),
                *(
                    measure(name.replace("small", small), unit, of(value))
                    for name, unit, value in _MEASURES
                ),
            ),
            notes=data.missing(found, "moved windows"),
        )

    def figure(self, data: StudyData) -> ClaimFigure:
        """Accuracy and agreement over the window's distance from the centre."""
        every = moved(data)
        found = [one for one in every if one.head in data.shown_in_full]
        if not found:
            return ClaimFigure(anchor="#movement")
        styles = head_styles(data.study.heads)
        return ClaimFigure(
            (
                translation_chart(found, styles, "accuracy"),
                translation_chart(found, styles, "agreement"),
            ),
            f"{translation_about(found[0])}{not_drawn(len(every) - len(found))}",
            "#movement",
        )


CLAIM = TranslationClaim()


_MEASURES: Sequence[tuple[str, Unit, Callable[[Translation], float]]] = (
    ("accuracy on the centre crop", "share", lambda m: float(m.accuracy[0])),
    (
        "accuracy in small steps, less the centre's",
        "points",
        lambda m: float(m.accuracy[m.fine][1:].mean() - m.accuracy[0]),
    ),
    (
        "accuracy in large steps, less the centre's",
        "points",
        lambda m: float(m.accuracy[~m.fine].mean() - m.accuracy[0]),
    ),
    (
        "agreement with the centre in small steps",
        "share",
        lambda m: float(m.agreement[m.fine][1:].mean()),
    ),
    (
        "agreement with the centre in large steps",
        "share",
        lambda m: float(m.agreement[~m.fine].mean()),
    ),
)
"""Measures that stand beside the one that decides: name, unit, value of a run's evidence."""


@dataclass(frozen=True)
class Moved:
    """One head as the window moves: for each seed, means over windows of equal distance.

    `distance` (d,) pixels, ascending, 0 first; `accuracy` and `agreement` (seeds, d) shares in
    [0, 1], agreement with the prediction on the centre crop. `shifts` (s, 2) are the windows
    (down, right), and `fine` (s,) those of them that are small steps.
    """

    head: str
    seeds: tuple[int, ...]
    pictures: int
    distance: Values
    accuracy: Values
    agreement: Values
    shifts: NDArray[np.int64]
    fine: NDArray[np.bool_]


def moved(data: StudyData) -> list[Moved]:
    """Every head that has translation evidence, in the study's order."""
    found: dict[str, dict[int, Translation]] = {}
    for (head, seed), known in data.evidence(TRANSLATION).items():
        if len(known.rows):
            found.setdefault(head, {})[seed] = known
    return [_moved(head, found[head]) for head in data.study.heads if head in found]


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
    """Which windows there are: small steps do not go in all directions."""
    steps, large = steps_of(found.shifts, found.fine), found.shifts[~found.fine]
    text = f"{found.pictures:,} test images; means over windows of one distance."
    if steps:
        text += f" Steps of {_steps_text(steps)} go to the right and down only"
    if len(large):
        far = " and ".join(f"{d:.0f}" for d in np.unique(np.hypot(*large.T.astype(float)).round()))
        text += f"; the large ones, {far} pixels, in {len(large)} directions"
    return f"{text}." if steps else text


def _steps_text(steps: Sequence[int]) -> str:
    """`1 to 8 pixels`, `4 to 32 pixels, every 4,`, `2, 4, 6 and 7 pixels`."""
    apart = set(np.diff(steps).tolist())
    if len(steps) > 2 and len(apart) == 1:
        every = apart.pop()
        return f"{steps[0]} to {steps[-1]} pixels{'' if every == 1 else f', every {every},'}"
    return f"{names([str(step) for step in steps])} pixel{'' if steps == [1] else 's'}"


def translation_chart(
    found: Sequence[Moved],
    styles: Mapping[str, HeadStyle],
    what: Literal["accuracy", "agreement"],
) -> Chart:
    """Accuracy as its change against the centre crop, or agreement with it, over distance."""
    with drawing() as paper:
        for one in found:
            lines = _lines(one, list(styles).index(one.head), styles[one.head], what)
            draw_head(paper, lines)
        axes = paper.axes
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        axes.set(xlabel="distance of the window from the centre (pixels)", ylabel=_AXES[what])
        if what == "agreement":
            keep_within(axes, 0, 100)
            caption = "How often the predicted class stays what it was."
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
    "agreement": "share of images (%)",
    "accuracy": "change from the centre crop (points)",
}
_UNITS = {"agreement": " %", "accuracy": " points"}


def _lines(one: Moved, index: int, style: HeadStyle, what: str) -> HeadLines:
    values = 100 * (one.agreement if what == "agreement" else one.accuracy - one.accuracy[:, :1])

    def line(label: str, row: Values) -> Line:
        pairs = zip(one.distance, row, strict=True)
        said = tuple(f"{d:g} pixels: {v:z.2f}{_UNITS[what]}" for d, v in pairs)
        return Line(label, one.distance, row, said)

    seeds = tuple(
        line(f"{one.head}, seed {seed}", row) for seed, row in zip(one.seeds, values, strict=True)
    )
    mean = line(mean_label(one.head, seeds), values.mean(axis=0))
    return HeadLines(one.head, index, style, mean, seeds)
