"""Everything that the page shows, gathered from the ledger: the template only arranges it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from headtohead.probes.predictions import SplitPredictions
from headtohead.probes.speed import Speed
from headtohead.report.baseline import Baseline
from headtohead.report.beside import Beside
from headtohead.report.claims import claims_of, measured_speed
from headtohead.report.figures import looks
from headtohead.report.page.beside import BesideView, beside_view
from headtohead.report.page.calibration import reliability_chart, trust
from headtohead.report.page.chart import Chart
from headtohead.report.page.curves import (
    GROUPS,
    OVERFIT,
    Track,
    curve_chart,
    curve_charts,
    tracks_of,
)
from headtohead.report.page.effects import against_parameters, forest
from headtohead.report.page.findings import (
    ClaimView,
    EstimateRow,
    PicturesRow,
    TargetRow,
    claim_views,
    estimate_rows,
    looks_text,
    picture_rows,
    target_rows,
)
from headtohead.report.page.gallery import Card, MapGrid, cards, map_grid
from headtohead.report.page.kept import Facts, Kept, kept
from headtohead.report.page.looking import looking_charts
from headtohead.report.page.pace import pace_charts
from headtohead.report.page.picks import disagreements, mistakes, opinions_of, predictions_on_test
from headtohead.report.page.robust import moved, translation_about, translation_chart
from headtohead.report.page.setting import command, environments, study_yaml
from headtohead.report.page.tables import (
    MISSING,
    BaselineRow,
    ConfusionTable,
    OverfitRow,
    Row,
    baseline_row,
    columns,
    confusions,
    overfit_rows,
    rows,
)
from headtohead.report.page.words import Answer, answer, caveats
from headtohead.report.sight import masks_folder
from headtohead.report.summary import Summary
from headtohead.stats.claims import Claim
from headtohead.store.ledger import Ledger

PICTURES = 12
"""Test pictures in each grid of the page, unless it is asked for more or fewer."""


@dataclass(frozen=True)
class CurvePanel:
    """A chart of the switchable curves: which group and scale it shows."""

    group: str
    scale: str
    chart: Chart


@dataclass(frozen=True)
class HeadKey:
    """A head's entry in the legend."""

    name: str
    index: int
    color: str
    marker: str


@dataclass(frozen=True)
class SpeedRow:
    """Median milliseconds of a training step over rounds, and the fastest and slowest round."""

    head: str
    wall: str
    wall_range: str
    cpu: str
    order: float


@dataclass(frozen=True)
class Seen:
    """What heads see: class maps, mistakes, disagreements."""

    maps: MapGrid | None
    mistakes: tuple[Card, ...]
    disagreements: tuple[Card, ...]
    predictions: bool
    heads: int


@dataclass(frozen=True)
class Content:
    """The page, before it is arranged. What could not be made is None or empty."""

    summary: Summary
    answer: Answer
    caveats: tuple[str, ...]
    keys: tuple[HeadKey, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    judged: tuple[Claim, ...]
    claims: tuple[ClaimView, ...]
    baseline: BaselineRow
    pictures: tuple[PicturesRow, ...]
    estimates: tuple[EstimateRow, ...]
    targets: tuple[TargetRow, ...]
    looks: str
    forest: Chart | None
    parameters: Chart | None
    groups: tuple[str, ...]
    curves: tuple[CurvePanel, ...]
    beside: tuple[BesideView, ...]
    overfit: Chart | None
    overfit_rows: tuple[OverfitRow, ...]
    reliability: Chart | None
    confusions: tuple[ConfusionTable, ...]
    translation: tuple[Chart, ...]
    translation_about: str
    looking: tuple[Chart, ...]
    pace: tuple[Chart, ...]
    speed: tuple[SpeedRow, ...]
    speed_about: str
    seen: Seen
    facts: Facts | None
    command: str
    study_yaml: str
    environments: tuple[tuple[str, str], ...]

    @property
    def results(self) -> list[tuple[str, ...]]:
        """The table of results as plain texts: every head, and the largest class."""
        heads = [(r.head, *(c.full for c in r.cells), str(r.finished)) for r in self.rows]
        found = self.baseline
        return [*heads, (found.label, *(c.full for c in found.cells), MISSING)]

    @property
    def charts(self) -> Iterator[Chart]:
        """Every chart, for the values that the pointer reads."""
        for chart in (self.forest, self.parameters, self.overfit, self.reliability):
            if chart is not None:
                yield chart
        yield from (panel.chart for panel in self.curves)
        yield from (*self.translation, *self.looking, *self.pace)
        for view in self.beside:
            yield from view.charts


def gather(
    ledger: Ledger,
    summary: Summary,
    pictures: int = PICTURES,
    beside: Sequence[Beside] = (),
) -> Content:
    """Everything, from records and evidence alone; `pictures` for each grid."""
    judged = claims_of(ledger)
    found = predictions_on_test(ledger)
    known = kept(ledger)
    tracks = tracks_of(ledger)
    styles = looks(ledger.file.study.heads)
    order = list(ledger.file.study.heads)
    translations, about_translation = _translations(ledger)
    speed, about_speed = _speed(measured_speed(ledger))
    return Content(
        summary=summary,
        answer=answer(summary),
        caveats=tuple(caveats(summary)),
        keys=_keys(summary),
        columns=columns(),
        rows=rows(summary),
        judged=judged,
        claims=claim_views(judged),
        baseline=baseline_row(summary.baseline),
        pictures=picture_rows(summary),
        estimates=estimate_rows(summary),
        targets=target_rows(summary),
        looks=looks_text(summary),
        forest=forest(summary),
        parameters=against_parameters(summary.heads, styles, order, summary.baseline),
        groups=GROUPS,
        curves=_curves(tracks, summary.baseline),
        beside=tuple(beside_view(ledger, tracks, other) for other in beside),
        overfit=curve_chart(OVERFIT, tracks) if tracks else None,
        overfit_rows=tuple(overfit_rows(summary, tracks)),
        reliability=_reliability(found, ledger),
        confusions=confusions(found, summary),
        translation=translations,
        translation_about=about_translation,
        looking=tuple(looking_charts(ledger)),
        pace=tuple(pace_charts(ledger, summary.targets)),
        speed=speed,
        speed_about=about_speed,
        seen=_seen(ledger, summary, found, known, pictures),
        facts=known.facts if known else None,
        command=command(ledger.file.study, masks_folder(ledger)),
        study_yaml=study_yaml(summary),
        environments=environments(summary),
    )


def _keys(summary: Summary) -> tuple[HeadKey, ...]:
    known = {result.head for result in summary.heads}
    return tuple(
        HeadKey(head, index, look.color, look.marker)
        for index, (head, look) in enumerate(looks(summary.file.study.heads).items())
        if head in known
    )


def _curves(tracks: Sequence[Track], baseline: Baseline) -> tuple[CurvePanel, ...]:
    if not tracks:
        return ()
    return tuple(
        CurvePanel(quantity.group, quantity.scale, chart)
        for quantity, chart in curve_charts(tracks, baseline.shares)
    )


def _reliability(found: dict[str, list[SplitPredictions]], ledger: Ledger) -> Chart | None:
    styles = looks(ledger.file.study.heads)
    order = list(styles)
    entries = [
        trust(head, order.index(head), styles[head], splits) for head, splits in found.items()
    ]
    return reliability_chart(entries, 1 / len(ledger.file.classes))


def _translations(ledger: Ledger) -> tuple[tuple[Chart, ...], str]:
    found = moved(ledger)
    if not found:
        return (), ""
    order, styles = list(ledger.file.study.heads), looks(ledger.file.study.heads)
    charts = (
        translation_chart(found, styles, order, "accuracy"),
        translation_chart(found, styles, order, "agreement"),
    )
    return charts, translation_about(found[0])


def _speed(found: Speed | None) -> tuple[tuple[SpeedRow, ...], str]:
    if found is None:
        return (), ""
    rows = []
    for index, head in enumerate(found.heads):
        wall, cpu = 1000 * found.wall[index], 1000 * found.cpu[index]
        middle = float(sorted(wall)[len(wall) // 2])
        rows.append(
            SpeedRow(
                head,
                f"{middle:.1f}",
                f"{wall.min():.1f} to {wall.max():.1f}",
                f"{float(sorted(cpu)[len(cpu) // 2]):.1f}",
                middle,
            )
        )
    return tuple(rows), (
        f"One worker on {found.device}, heads in turn, {found.wall.shape[1]} rounds, "
        f"{found.batch_size[0]} pictures a step."
    )


def _seen(
    ledger: Ledger,
    summary: Summary,
    found: dict[str, list[SplitPredictions]],
    known: Kept | None,
    pictures: int,
) -> Seen:
    opinions = opinions_of(found)
    wrong = mistakes(opinions, pictures) if opinions else []
    apart = disagreements(opinions, pictures) if opinions else []
    seed = summary.winner.seed if summary.winner else 0
    return Seen(
        maps=map_grid(ledger, seed, pictures),
        mistakes=cards(ledger, wrong, known),
        disagreements=cards(ledger, apart, known),
        predictions=opinions is not None,
        heads=len(found),
    )
