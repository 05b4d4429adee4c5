"""The page of several studies: a row each, heads × studies, a chart each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from headtohead.analysis.shown_in_full import shown_in_full
from headtohead.config.study import prepared_text
from headtohead.core.text import FEW, MISSING, confidence, counted, names, printable
from headtohead.report.charts.chart import Chart
from headtohead.report.charts.dots import Dot, DotChart, DotRow, dot_chart
from headtohead.report.charts.style import head_styles
from headtohead.report.page.answer import answer
from headtohead.report.page.content import HeadKey
from headtohead.report.page.frame import render_template
from headtohead.report.page.recipe import recipe_text
from headtohead.report.page.setting import backbone_text, epochs_text
from headtohead.report.several import AgainstReference, Entry, Place, Several

TAGS: dict[AgainstReference, str] = {
    "reference": "",
    "beats": "supported",
    "behind": "refuted",
    "equal": "",
    "open": "inconclusive",
    "not judged": "not-judged",
    "no verdict": "",
}
"""The style of each standing's tag."""


@dataclass(frozen=True)
class StudyRow:
    """A study in words; `answer` is the sentence that its own page begins with."""

    label: str
    data: str
    images: str
    classes: str
    backbone: str
    recipe: str
    runs: str
    metric: str
    chance: str
    answer: str


@dataclass(frozen=True)
class PlaceCell:
    """A head in a study: its mean and interval in %, and its standing with the tag's style."""

    mean: str
    interval: str
    chosen: bool
    verdict: str
    tag: str


@dataclass(frozen=True)
class HeadRow:
    """A head: a cell for each study, None where the study has not got it, and where it wins."""

    head: str
    cells: tuple[PlaceCell | None, ...]
    studies: int
    chosen: str
    ahead: str
    behind: str

    @property
    def told(self) -> bool:
        """Whether there is more to say of it than that one study has it."""
        return self.studies > 1 or {self.chosen, self.ahead, self.behind} != {MISSING}


@dataclass(frozen=True)
class SeveralContent:
    """The page, before it is arranged."""

    several: Several
    rows: tuple[StudyRow, ...]
    heads: tuple[HeadRow, ...]
    keys: tuple[HeadKey, ...]
    charts: tuple[Chart, ...]
    left_out: str

    @property
    def untold(self) -> str:
        """Heads of one study that are neither chosen nor decided there."""
        return names([row.head for row in self.heads if not row.told])


def several_page(several: Several) -> bytes:
    """The page in UTF-8."""
    page = _gather(several)
    return render_template("several.html.j2", page.charts, page=page, several=several).encode()


def _gather(several: Several) -> SeveralContent:
    drawn = {entry.label: _drawn(entry) for entry in several.entries}
    shown = {head for heads in drawn.values() for head in heads}
    left_out = [entry.label for entry in several.entries if drawn[entry.label] < set(entry.places)]
    return SeveralContent(
        several=several,
        rows=tuple(study_row(entry) for entry in several.entries),
        heads=tuple(_head_row(several, head) for head in several.heads),
        keys=tuple(
            HeadKey(head, index, style.color, style.marker)
            for index, (head, style) in enumerate(head_styles(several.heads).items())
            if head in shown
        ),
        charts=tuple(_charts(several, drawn)),
        left_out=names(left_out),
    )


def study_row(entry: Entry) -> StudyRow:
    """What was asked in a study, and what its own page answers."""
    summary = entry.summary
    file, study = summary.file, summary.file.study
    total = file.sizes
    classes = names([printable(name) for name in file.classes])
    many = len(file.classes) > FEW
    done = sum(head.finished for head in summary.heads)
    return StudyRow(
        label=entry.label,
        data=printable(study.data),
        images=(
            f"{sum(total.values()):,} ({total['train']:,} to train on, {total['test']:,} to test); "
            f"{prepared_text(study).partition(', no')[0]}"
        ),
        classes=f"{len(file.classes)} classes" if many else classes,
        backbone=backbone_text(study),
        recipe=recipe_text(study),
        runs=f"{study.seeds}; {done} of {summary.planned} runs finished",
        metric=f"{summary.metric}, against {summary.reference}",
        chance=f"{100 * entry.chance:.1f} % {summary.metric} by always predicting "
        f"{printable(summary.baseline.name)}",
        answer=answer(summary).sentence,
    )


def _head_row(several: Several, head: str) -> HeadRow:
    return HeadRow(
        head=head,
        cells=tuple(
            _cell(entry.places[head]) if head in entry.places else None for entry in several.entries
        ),
        studies=len(several.having(head)),
        chosen=names(several.chosen(head)) or MISSING,
        ahead=names(several.ahead(head)) or MISSING,
        behind=names(several.behind(head)) or MISSING,
    )


def _cell(place: Place) -> PlaceCell:
    found = place.estimate
    mean = MISSING if found.mean is None else f"{100 * found.mean:.1f}"
    failed = f" + {place.failed} failed" if place.failed else ""
    seeds = f"{counted(found.n, 'seed')}{failed}"
    interval = seeds
    if place.interval is not None:
        low, high = place.interval
        interval = f"{low:.1f} to {high:.1f}, {seeds}"
    return PlaceCell(mean, interval, place.chosen, place.verdict, TAGS[place.outcome])


def _drawn(entry: Entry) -> set[str]:
    """The heads of a study that its chart has: all, or the best of many."""
    runs = {head.head: head.runs for head in entry.summary.heads if head.head in entry.places}
    return set(shown_in_full(entry.summary.file.study, runs))


def _charts(several: Several, drawn: dict[str, set[str]]) -> Iterator[Chart]:
    """A chart for each study, its heads in the same order everywhere, on its own scale."""
    for number, entry in enumerate(several.entries):
        able = [
            place
            for head in several.heads
            if head in drawn[entry.label]
            and (place := entry.places[head]).estimate.mean is not None
        ]
        if able:
            yield _chart(several, entry, able, number)


def _chart(several: Several, entry: Entry, places: Sequence[Place], number: int) -> Chart:
    summary = entry.summary
    chosen = next((place.head for place in places if place.chosen), None)
    best = f"; best on validation: {chosen}" if chosen else ""
    how = f"{backbone_text(summary.file.study)}; {epochs_text(summary.file.study)}"
    return dot_chart(
        DotChart(
            name=f"study-{number}",
            title=entry.label,
            axis=f"{summary.metric}, %",
            caption=f"{how}{best}.",
            rows=tuple(_row(place) for place in places),
            styles=head_styles(several.heads),
        )
    )


def _row(place: Place) -> DotRow:
    found = place.estimate
    bounds = place.interval
    said = f"{100 * (found.mean or 0.0):.2f} % over {counted(found.n, 'seed')}"
    if bounds is not None:
        said += f", {confidence(found.level)} interval {bounds[0]:.2f} to {bounds[1]:.2f}"
    return DotRow(
        head=place.head,
        dots=tuple(
            Dot(100 * value, f"seed {seed}: {100 * value:.2f} %") for seed, value in place.values
        ),
        middle=Dot(100 * (found.mean or 0.0), f"{said}; {place.verdict}"),
        interval=bounds,
    )
