"""A study of thirty heads and seven seeds can be told apart, read, and sent."""

import re
from pathlib import Path

import pytest

from headtohead.analysis.shown_in_full import shown_in_full
from headtohead.config.study_files import load_study
from headtohead.heads.table import HEADS as SHIPPED
from headtohead.report.charts.chart import saved
from headtohead.report.charts.curves import curve_charts, together_charts, tracks_of
from headtohead.report.charts.panels import draw_panels
from headtohead.report.charts.style import COLORS, KNOWN_HEADS, MARKERS, OWN, OWN_FIRST, head_styles
from headtohead.report.formats.figures import plots, sheets
from headtohead.report.page.frame import THEME
from headtohead.report.render import render
from headtohead.store.ledger import Ledger
from headtohead.study_data import StudyData
from ledgers import add_run, study_ledger
from pages import report_page
from stated import stated

HEADS, SEEDS = 30, 7
LARGEST = 3_000_000
"""Bytes."""


def test_a_heads_style_does_not_depend_on_the_others() -> None:
    """Else GeM is orange in one report and blue in the next."""
    every = head_styles([*KNOWN_HEADS, "mine.Head"])
    assert len(set(every.values())) == len(every)
    for name in (*KNOWN_HEADS, "mine.Head"):
        assert head_styles(["x", name, "y"])[name] == every[name]
    assert set(COLORS) <= set(THEME)


def test_a_head_more_that_is_shipped_changes_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every own head has another colour after an update, beside reports from before."""
    own = {"my_head": ("#7F7F7F", "X"), "gap_2": ("#000000", "D"), "a": ("#882255", "^")}
    mine = [f"mine.Head{i}" for i in range(OWN - 1)]
    before = head_styles([*KNOWN_HEADS, *mine])
    assert {name: (style.color, style.marker) for name, style in head_styles(own).items()} == own
    assert set(KNOWN_HEADS) == set(SHIPPED)
    assert len(COLORS) * len(MARKERS) == OWN_FIRST + OWN
    monkeypatch.setattr("headtohead.report.charts.style.KNOWN_HEADS", (*KNOWN_HEADS, "new"))
    assert head_styles([*KNOWN_HEADS, *mine]) == before
    with_it = head_styles([*mine, *KNOWN_HEADS, "new"])
    assert with_it["new"] == head_styles(["new"])["new"]
    assert len(set(with_it.values())) == len(with_it)
    assert list(with_it) == [*mine, *KNOWN_HEADS, "new"]


def test_as_many_heads_of_ones_own_differ() -> None:
    """Else two lines of a chart cannot be told apart."""
    found = head_styles(f"mine.Head{i}" for i in range(OWN))
    assert len(set(found.values())) == len(found) == OWN
    more = head_styles(f"mine.Head{i}" for i in range(OWN + 5))
    assert len(more) == OWN + 5


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    heads = list(load_study("pooling-zoo").heads)[:HEADS]
    out = tmp_path_factory.mktemp("zoo")
    made = study_ledger(out, heads=heads, seeds=SEEDS, epochs=10, pairs=["linear", "gem"])
    for seed in range(SEEDS):
        for head in heads:
            add_run(made, head, seed)
    return made


def test_its_reports_are_small(ledger: Ledger) -> None:
    """Else the page of a zoo cannot be sent by mail, and a browser is slow with it."""
    summary = render(StudyData(ledger))
    sizes = {name: (ledger.out / name).stat().st_size for name in ("report.html", "summary.json")}
    assert max(sizes.values()) < LARGEST, sizes
    page = (ledger.out / "report.html").read_text()
    assert page.count("The other 20 heads") == 1
    by_class = page.partition('id="by-class"')[2].partition("</section>")[0]
    shown, _, folded = by_class.partition("20 more heads")
    assert (shown.count("<h3>"), folded.count("<h3>")) == (10, 20)
    assert {item.other for item in summary.comparisons} == {"linear", "gem"}
    for head in ledger.file.study.heads:
        assert f'data-order="{head}"' in page, "every head is in the tables"


def test_ten_heads_are_drawn_in_full(ledger: Ledger) -> None:
    """Else a chart is a web of 210 lines."""
    data = StudyData(ledger)
    shown = shown_in_full(data.study, data.by_head)
    assert len(shown) == 10
    assert {"gap", "linear", "gem", "fc_dropout"} <= shown  # declared, and the best
    assert {track.head for track in tracks_of(data) if not track.faint} == shown


def test_a_caption_counts_heads_and_not_curves(ledger: Ledger) -> None:
    """Else a study of 30 heads is said to have 40 more, for each has a curve of either split."""
    tracks = tracks_of(StudyData(ledger))
    for charts in (together_charts(tracks), curve_charts(tracks)):
        for _, chart in charts:
            assert stated(chart.caption.partition("means of")[2]) == ["20"], chart.name


def test_its_heads_share_a_figure(ledger: Ledger) -> None:
    """Else the figures of a zoo are ninety files of 20 MB."""
    tracks = tracks_of(StudyData(ledger))
    assert [plot.name for plot in plots(tracks, "gap")] == ["all_heads_accuracy", "all_heads_loss"]
    sheet, _ = sheets(tracks, "gap")
    assert [len(panel.curves) for panel in sheet.panels].count(3) == 9  # the reference behind each
    drawn = draw_panels(sheet.title, "", sheet.panels)
    low, high = drawn.axes[0].get_ylim()
    assert {axes.get_ylim() for axes in drawn.axes[:10]} == {(low, high)}
    assert len(saved(drawn, "svg")) < LARGEST / 16


def test_a_small_study_is_drawn_whole(tmp_path: Path) -> None:
    """Else heads are missing where there was room for them."""
    made = study_ledger(tmp_path, heads=("fc", "gap"), seeds=1)
    for head in ("fc", "gap"):
        add_run(made, head, 0)
    assert not any(track.faint for track in tracks_of(StudyData(made)))


@pytest.mark.usefixtures("no_drawing")
def test_heads_that_are_folded_away_are_sorted_alike(ledger: Ledger) -> None:
    """Else a click on a loss puts the least on top of one table and the most on that of another."""
    page = report_page(ledger)
    first, other = re.findall(r'<table class="heads">(.*?)</thead>', page, re.S)
    rising = [
        re.findall(r'data-first="ascending"><button type="button">([^<]*)', titles)
        for titles in (first, other)
    ]
    assert rising[0] == rising[1] != []
