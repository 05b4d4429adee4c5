"""Everything that the page shows, gathered from study data: the template only arranges it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from headtohead.analysis.baseline import Baseline
from headtohead.core.text import MISSING
from headtohead.probes.predictions import SplitPredictions
from headtohead.probes.speed import SPEED
from headtohead.report.beside import Beside
from headtohead.report.charts.chart import Chart
from headtohead.report.charts.confusion import ConfusionTable, confusions
from headtohead.report.charts.curves import (
    GROUPS,
    TOGETHER,
    Track,
    curve_charts,
    together_charts,
    tracks_of,
)
from headtohead.report.charts.reliability import head_reliability, reliability_chart
from headtohead.report.charts.style import head_styles
from headtohead.report.classes import FOLDED_FROM, HeadClasses, head_classes
from headtohead.report.comparisons import HeadComparison
from headtohead.report.page.answer import ShortAnswer, answer
from headtohead.report.page.beside import BesideView, beside_view
from headtohead.report.page.brief import Brief, brief
from headtohead.report.page.caveats import caveats
from headtohead.report.page.claims_part import ClaimsPart, claims_part
from headtohead.report.page.findings import (
    EstimateRow,
    PicturesRow,
    TargetRow,
    estimate_rows,
    looks_text,
    picture_rows,
    target_rows,
)
from headtohead.report.page.forest import forest
from headtohead.report.page.gallery import Card, MapGrid, cards, map_grid, unfit_maps
from headtohead.report.page.hard_images import (
    disagreements,
    head_predictions,
    mistakes,
    predictions_on_test,
)
from headtohead.report.page.on_validation import without_verdict
from headtohead.report.page.setting import backbone_facts, command, environments, study_yaml
from headtohead.report.page.tables import (
    BaselineRow,
    OverfitRow,
    Row,
    SpeedTable,
    baseline_row,
    columns,
    overfit_rows,
    rows,
    speed_table,
)
from headtohead.report.page.thumbnails import Facts, Thumbnails, read_thumbnails
from headtohead.report.summary import Summary
from headtohead.study_data import StudyData

SHOWN_IMAGES = 12
"""Test images in each grid of the page, unless it is asked for more or fewer."""


@dataclass(frozen=True)
class CurvePanel:
    """A chart of the switchable curves: which group and scale it shows."""

    group: str
    scale: str
    chart: Chart


@dataclass(frozen=True)
class HeadKey:
    """A head's entry in the legend; `faint` where charts of many heads draw its mean in grey."""

    name: str
    index: int
    color: str
    marker: str
    faint: bool = False


@dataclass(frozen=True)
class Seen:
    """What heads see: class maps, mistakes, disagreements."""

    maps: MapGrid | None
    unfit: tuple[str, ...]
    mistakes: tuple[Card, ...]
    disagreements: tuple[Card, ...]
    predictions: bool
    heads: int


@dataclass(frozen=True)
class Content:
    """The page, before it is arranged. What could not be made is None or empty.

    `changed_late` says that the design is not the one that was named before the runs.
    """

    summary: Summary
    answer: ShortAnswer
    brief: Brief
    caveats: tuple[str, ...]
    keys: tuple[HeadKey, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    claims: ClaimsPart
    baseline: BaselineRow
    pictures: tuple[PicturesRow, ...]
    estimates: tuple[EstimateRow, ...]
    targets: tuple[TargetRow, ...]
    looks: str
    forest: Chart | None
    groups: tuple[str, ...]
    curves: tuple[CurvePanel, ...]
    beside: tuple[BesideView, ...]
    overfit_rows: tuple[OverfitRow, ...]
    reliability: Chart | None
    confusions: tuple[ConfusionTable, ...]
    by_class: tuple[HeadClasses, ...]
    speed: SpeedTable | None
    seen: Seen
    facts: Facts | None
    backbone: tuple[tuple[str, str], ...]
    command: str
    study_yaml: str
    environments: tuple[tuple[str, str], ...]
    changed_late: bool

    @property
    def without_verdict(self) -> str:
        """That heads outside the declared family are estimated alone; empty for none."""
        return without_verdict(self.summary)

    @property
    def faint(self) -> frozenset[str]:
        """Heads of a large study that are folded away, and drawn in grey."""
        return frozenset(key.name for key in self.keys if key.faint)

    @property
    def folded(self) -> tuple[HeadComparison, ...]:
        """Comparisons of heads that are folded away."""
        return tuple(item for item in self.summary.comparisons if item.other in self.faint)

    @property
    def many_classes(self) -> bool:
        """Whether tables of classes are folded."""
        return len(self.summary.file.classes) >= FOLDED_FROM

    @property
    def results(self) -> list[tuple[str, ...]]:
        """The table of results as plain texts: every head, and the largest class."""
        heads = [(r.head, *(c.full for c in r.cells), str(r.finished)) for r in self.rows]
        found = self.baseline
        return [*heads, (found.label, *(c.full for c in found.cells), MISSING)]

    @property
    def charts(self) -> Iterator[Chart]:
        """Every chart, for the values that the pointer reads."""
        for chart in (self.forest, self.reliability):
            if chart is not None:
                yield chart
        yield from (panel.chart for panel in self.curves)
        for figure in self.claims.figures.values():
            yield from figure.charts
        for view in self.beside:
            yield from view.charts


def gather(
    data: StudyData,
    summary: Summary,
    pictures: int = SHOWN_IMAGES,
    beside: Sequence[Beside] = (),
    claims: bool = False,
) -> Content:
    """Everything, from records and evidence alone; `pictures` for each grid.

    `claims` unfolds the claims about pooling where no pooling head is the reference, too.
    """
    found_answer = answer(summary)
    found = predictions_on_test(data)
    kept = read_thumbnails(data)
    tracks = tracks_of(data)
    return Content(
        summary=summary,
        answer=found_answer,
        brief=brief(summary, found_answer),
        caveats=tuple(caveats(summary)),
        keys=_keys(data),
        columns=columns(data.study.verdict.metric),
        rows=rows(summary),
        claims=claims_part(data, unfolded=claims),
        baseline=baseline_row(summary.baseline, data.study.verdict.metric),
        pictures=picture_rows(summary),
        estimates=estimate_rows(summary),
        targets=target_rows(summary),
        looks=looks_text(summary),
        forest=forest(summary, data.shown_in_full),
        groups=(TOGETHER, *GROUPS),
        curves=_curves(tracks, summary.baseline),
        beside=tuple(beside_view(data.file, tracks, other) for other in beside),
        overfit_rows=tuple(overfit_rows(summary, tracks)),
        reliability=_reliability(found, data),
        confusions=confusions(found, data.file.classes),
        by_class=head_classes(summary),
        speed=speed_table(data.session(SPEED)),
        seen=_seen(data, summary, found, kept, pictures),
        facts=kept.facts if kept else None,
        backbone=backbone_facts(summary.file),
        command=command(data.study.model_copy(update={"masks": data.masks_folder})),
        study_yaml=study_yaml(summary),
        environments=environments(summary),
        changed_late=bool(data.late_changes),
    )


def _keys(data: StudyData) -> tuple[HeadKey, ...]:
    return tuple(
        HeadKey(head, index, style.color, style.marker, head not in data.shown_in_full)
        for index, (head, style) in enumerate(head_styles(data.study.heads).items())
        if head in data.by_head
    )


def _curves(tracks: Sequence[Track], baseline: Baseline) -> tuple[CurvePanel, ...]:
    if not tracks:
        return ()
    return tuple(
        CurvePanel(quantity.group, quantity.scale, chart)
        for quantity, chart in (
            *together_charts(tracks, baseline.shares),
            *curve_charts(tracks, baseline.shares),
        )
    )


def _reliability(found: dict[str, list[SplitPredictions]], data: StudyData) -> Chart | None:
    styles = head_styles(data.study.heads)
    order = list(styles)
    entries = [
        head_reliability(head, order.index(head), styles[head], splits)
        for head, splits in found.items()
        if head in data.shown_in_full
    ]
    return reliability_chart(entries, 1 / len(data.file.classes))


def _seen(
    data: StudyData,
    summary: Summary,
    found: dict[str, list[SplitPredictions]],
    kept: Thumbnails | None,
    pictures: int,
) -> Seen:
    predictions = head_predictions(found)
    wrong = mistakes(predictions, pictures) if predictions else []
    apart = disagreements(predictions, pictures) if predictions else []
    seed = summary.winner.seed if summary.winner else 0
    return Seen(
        maps=map_grid(data, seed, pictures),
        unfit=tuple(unfit_maps(data)),
        mistakes=cards(data.file.classes, wrong, kept),
        disagreements=cards(data.file.classes, apart, kept),
        predictions=predictions is not None,
        heads=len(found),
    )
