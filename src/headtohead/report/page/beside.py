"""The page's section on other software's runs: curves over ours, and a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from headtohead.analysis.baseline import Baseline, baseline_of
from headtohead.core.text import with_sign
from headtohead.report.beside import Beside, StackRow, stack_rows, unlike
from headtohead.report.charts.chart import Chart
from headtohead.report.charts.curves import QUANTITIES, Track, curve_chart
from headtohead.report.charts.style import COLORS, HeadStyle
from headtohead.stats import Spread, bounds
from headtohead.store.ledger import StudyFile

SHOWN = ("val_accuracy", "accuracy", "val_loss")
THEIRS = HeadStyle(COLORS[-1], "X", "--")


@dataclass(frozen=True)
class BesideRow:
    """A head here and there, in words."""

    head: str
    at: str
    ours: str
    theirs: str
    difference: str
    within: str


@dataclass(frozen=True)
class BesideView:
    """What `name` recorded: a table and, head by head, charts."""

    name: str
    margin: str
    notes: tuple[str, ...]
    rows: tuple[BesideRow, ...]
    charts: tuple[Chart, ...]


def beside_view(file: StudyFile, tracks: Sequence[Track], beside: Beside) -> BesideView:
    """Heads that both trained; others are left out. Raises UsageError where classes differ."""
    study = file.study
    margin = study.verdict.margin
    rows = stack_rows(tracks, beside, study.verdict.level)
    return BesideView(
        beside.name,
        f"{100 * margin:g}",
        tuple(filter(None, [unlike(file, beside)])),
        tuple(_row(row, margin) for row in rows),
        tuple(_charts(tracks, beside, len(study.heads), baseline_of(file))),
    )


def _row(row: StackRow, margin: float) -> BesideRow:
    found = row.difference
    interval = "one seed, no interval"
    if ends := bounds(found):
        interval = " to ".join(with_sign(100 * end, 1) for end in ends)
    answers = {None: "unknown", True: "yes", False: "not shown"}
    return BesideRow(
        row.head,
        row.at,
        _side(row.ours),
        _side(row.theirs),
        f"{with_sign(100 * found.mean, 1)} ({interval})",
        answers[found.within(margin)],
    )


def _side(found: Spread) -> str:
    deviation = "" if found.sd is None else f" ± {100 * found.sd:.1f}"
    return f"{100 * found.mean:.1f}{deviation} ({found.n})"


def _charts(
    tracks: Sequence[Track], beside: Beside, index: int, baseline: Baseline
) -> Iterator[Chart]:
    for track in tracks:
        runs = beside.heads.get(track.head)
        if not runs:
            continue
        theirs = Track(
            f"{beside.name}: {track.head}", index, THEIRS, tuple(runs), tuple(runs.values())
        )
        for quantity in QUANTITIES:
            if quantity.name in SHOWN:
                title = f"{track.head}: {quantity.title[0].lower()}{quantity.title[1:]}"
                name = f"beside-{beside.name}-{track.head}-{quantity.name}"
                shown = replace(quantity, name=name, title=title)
                yield curve_chart(shown, [track, theirs], baseline.shares)
