"""Charts of what heads differ by: names that fit, chance beside the dots, every claim a figure."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.text import Text

from headtohead.analysis.pairs import MANY
from headtohead.claims.class_maps import class_map_charts
from headtohead.claims.parameters import kept_within, parameters_chart, spread_out
from headtohead.claims.speed import speed_charts
from headtohead.claims.translation import CLAIM, moved
from headtohead.probes.base import write_run
from headtohead.probes.predictions import PREDICTIONS
from headtohead.probes.probe_images import Masks, masks_path, write_masks
from headtohead.probes.speed import Speed
from headtohead.report.charts.chart import WIDTH, Chart
from headtohead.report.charts.confusion import confusion_charts
from headtohead.report.charts.curves import tracks_of
from headtohead.report.charts.dots import Dot, DotChart, DotRow, dot_chart
from headtohead.report.charts.style import head_styles
from headtohead.report.formats.figures import write_charts
from headtohead.report.page.content import gather
from headtohead.report.page.tables import speed_table
from headtohead.report.summary import summarize
from headtohead.study_data import StudyData
from ledgers import full_ledger
from reports import PROBED, SIDE, rich_ledger
from stated import stated

LONG = ("laboratory.heads.GlobalMaximumThenLinear", "W" * 64)


def boxes(chart: Chart) -> dict[str, tuple[float, float, float, float]]:
    """Text → left, bottom, right and top, in the chart's units, of every text that is drawn."""
    figure = chart.figure
    figure.draw_without_rendering()
    axes = figure.axes[0]
    texts = [*axes.texts, axes.xaxis.label, axes.yaxis.label]
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        texts += [t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
    found: dict[str, tuple[float, float, float, float]] = {}
    for text in texts:
        if text.get_text():
            # Of an annotation the words alone: its line to a mark may pass a name, and covers none.
            left, bottom, right, top = Text.get_window_extent(text).extents
            found[text.get_text()] = (left, bottom, right, top)
    return found


def test_long_names_stay_within_their_charts(tmp_path: Path) -> None:
    """A head of one's own is called module.Class; its name must not leave the page."""
    ledger = full_ledger(tmp_path, heads=("gap", *LONG), seeds=2, epochs=2)
    content = gather(StudyData(ledger), summarize(StudyData(ledger)))
    for chart in (
        content.forest,
        *content.claims.figures["parameters"].charts,
        *content.claims.figures["speed"].charts,
    ):
        assert chart is not None
        for text, (left, _, right, _) in boxes(chart).items():
            assert left >= 0, text
            assert right <= WIDTH, text


def test_names_in_the_scatter_do_not_cover_each_other(tmp_path: Path) -> None:
    """Four heads of one size and almost one accuracy: four names that can be read."""
    heads = ("one", "two", "three", "four")
    ledger = full_ledger(tmp_path, heads=heads, seeds=2, epochs=2)
    chart = parameters_chart(StudyData(ledger))
    assert chart is not None
    spans = sorted((low, high) for text, (_, low, _, high) in boxes(chart).items() if text in heads)
    assert len(spans) == 4
    assert all(below[1] <= above[0] + 1 for below, above in pairwise(spans))


def test_spreading_moves_no_more_than_it_must() -> None:
    """Names far apart stay at their marks; names that touch part evenly, in their order."""
    assert spread_out([0, 50, 100], 14) == [0, 50, 100]
    assert spread_out([10, 10], 14) == [3, 17]
    assert spread_out([10, 8, 40, 9], 14) == pytest.approx([23, -5, 40, 9])
    moved = spread_out([0, 14, 15], 14)
    assert np.diff(moved).tolist() == pytest.approx([14, 14])


def test_the_forest_tells_of_no_interval_that_is_not_there(tmp_path: Path) -> None:
    """One seed has no interval: a caption that names its line sends the reader looking."""
    one = full_ledger(tmp_path / "one", heads=("fc", "gap"), seeds=1, epochs=1)
    forest = gather(StudyData(one), summarize(StudyData(one))).forest
    assert forest is not None
    assert "Student" not in forest.caption
    assert "no line" in forest.caption
    two = full_ledger(tmp_path / "two", heads=("fc", "gap"), seeds=3, epochs=1)
    forest = gather(StudyData(two), summarize(StudyData(two))).forest
    assert forest is not None
    assert stated(forest.caption, "Line", "Student's t")[:3] == ["Line", "95", "Student's t"]


def test_class_maps_are_drawn_against_chance(tmp_path: Path) -> None:
    """A map that finds no more than any other image's map does must be seen to."""
    ledger = rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=2, epochs=1)
    assert [chart.name for chart in class_map_charts(StudyData(ledger))] == [
        "maps-deletion",
        "maps-insertion",
    ]
    masks = np.zeros((PROBED, SIDE, SIDE), np.uint8)
    masks[:, 6:18, 6:18] = 1
    write_masks(masks_path(ledger.out, 0), ledger.file.digest, Masks(np.arange(PROBED), masks))
    charts = {chart.name: chart for chart in class_map_charts(StudyData(ledger))}
    assert list(charts) == ["maps-energy", "maps-pointing", "maps-deletion", "maps-insertion"]
    energy = charts["maps-energy"]
    told = [text for series in energy.series for text in series.said]
    assert sum(text.startswith("seed ") for text in told) == 4
    assert sum("other images' maps" in text for text in told) == 2
    assert told[0].startswith("a Gaussian in the middle: ")
    deletion = charts["maps-deletion"]
    assert [series.label for series in deletion.series if series.head == 1] == [
        *("gap, random maps", "gap, seed 0", "gap, seed 1", "gap, mean of 2 seeds")
    ]
    assert stated(deletion.series[0].said[0]) == ["0", "90.0"]


def test_speed_is_drawn_round_by_round(tmp_path: Path) -> None:
    """The claim about speed rests on rounds and seeds: all of them are in sight."""
    ledger = rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=2, epochs=3)
    charts = {c.name: c for c in speed_charts(StudyData(ledger))}
    assert list(charts) == ["speed-step", "speed-epochs", "speed-seconds"]
    rounds = charts["speed-step"].series[0]
    assert sorted(text.partition(":")[0] for text in rounds.said) == [
        f"round {i}" for i in range(1, 6)
    ]


def test_a_target_that_was_missed_is_told_from_one_reached_last(tmp_path: Path) -> None:
    """Both stand at the last epoch; only one of them is a success."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=2, epochs=3)
    for seed, accuracy in ((0, 0.9), (1, 0.4)):
        path = ledger.run_folder("gap", seed) / "history.jsonl"
        run = ledger.run("gap", seed)
        assert run is not None
        values = (0.3, 0.3, accuracy)
        lines = [
            epoch.model_copy(update={"val_accuracy": value}).model_dump_json()
            for epoch, value in zip(run.history, values, strict=True)
        ]
        path.write_text("\n".join(lines) + "\n")
    (chart,) = speed_charts(StudyData(ledger))
    assert [stated(text, "not") for text in sorted(chart.series[0].said)] == [
        ["0", "3"],
        ["1", "not", "3"],
    ]
    assert "Triangles: not reached" in chart.caption


def test_equal_dots_do_not_cover_each_other() -> None:
    """Seven seeds at one epoch are seven dots, within their head's row."""
    dots = tuple(Dot(3.0, f"seed {i}") for i in range(7))
    rows = tuple(DotRow(head, dots, Dot(3.0, "m")) for head in "ab")
    chart = dot_chart(DotChart("n", "t", "x", "c", rows, head_styles("ab")))
    places = [place for series in chart.series if len(series.said) == 7 for place in series.places]
    assert len(set(places)) == 14
    rows_apart = chart.series[2].places[0][1] - chart.series[0].places[0][1]
    assert chart.series[0].places[-1][1] - chart.series[0].places[0][1] < 0.5 * rows_apart


def test_every_figure_is_a_file(tmp_path: Path) -> None:
    """For a paper: charts of all five claims and the confusion matrices, PNG and SVG."""
    ledger = rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=2, epochs=2)
    content = gather(StudyData(ledger), summarize(StudyData(ledger)), 0)
    charts = (*content.charts, *confusion_charts(content.confusions))
    asked = {"maps-insertion", "speed-step", "speed-epochs", "confusion-fc", "confusion-gap"}
    assert asked <= {chart.name for chart in charts}
    data = StudyData(ledger)
    paths = write_charts([chart for chart in charts if chart.name in asked], data)
    names = {path.name for path in paths if path.stat().st_size}
    assert names == {f"{name}.{suffix}" for name in asked for suffix in ("png", "svg")}
    matrix = confusion_charts(content.confusions)[0]
    count, share = content.confusions[0].rows[0][1][0]
    assert f"{count:,}\n{100 * share:.1f} %" in {t.get_text() for t in matrix.figure.axes[0].texts}


def test_a_figure_by_itself_says_what_it_shows_and_of_what(tmp_path: Path) -> None:
    """Else dots, dashes and shades in a paper's figure mean nothing: its page is not there."""
    ledger = full_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=2, epochs=2)
    data = StudyData(ledger)
    charts = {c.name: c for c in gather(data, summarize(data), 0).charts}
    for name, seeds in (("forest", False), ("curve-val_loss", True)):
        (_, svg) = write_charts([charts[name]], data)
        root = ElementTree.fromstring(svg.read_text(encoding="utf-8"))  # noqa: S314 - our own
        texts = (n.text or "" for n in root.iter("{http://www.w3.org/2000/svg}text"))
        told = " ".join(" ".join(texts).split())
        assert " ".join(charts[name].caption.split()) in told
        assert stated(told.partition("study quick")[2])[:2] == ["2", "2,000"]
        assert ("faint" in told) == seeds


def test_a_scatter_of_many_heads_names_few_within_its_axes(tmp_path: Path) -> None:
    """Else forty names lie over each other and over the title."""
    heads = [f"head_{n}" for n in range(30)]
    ledger = full_ledger(tmp_path, heads=heads, seeds=1, epochs=1)
    chart = parameters_chart(StudyData(ledger))
    assert chart is not None
    named = {text: box for text, box in boxes(chart).items() if text in heads}
    assert len(named) == MANY
    inside = chart.figure.axes[0].get_window_extent()
    spans = sorted((low, high) for _, low, _, high in named.values())
    assert spans[0][0] >= inside.y0 - 1
    assert spans[-1][1] <= inside.y1 + 1
    assert all(below[1] <= above[0] + 1 for below, above in pairwise(spans))
    assert stated(chart.caption)[-1] == str(len(heads) - MANY)


def test_names_are_kept_within_their_room() -> None:
    """A name above the axes covers the title."""
    assert kept_within([5, 19, 33], 14, (0, 100)) == [5, 19, 33]
    assert kept_within([80, 94, 108], 14, (0, 100)) == [72, 86, 100]
    assert kept_within([-9, 5, 60], 14, (0, 100)) == [0, 14, 60]


def test_maps_of_many_heads_are_drawn_of_few(tmp_path: Path) -> None:
    """Else a chart of forty heads has eighty lines, and tells none from another."""
    heads = [f"head_{n}" for n in range(MANY + 2)]
    ledger = rich_ledger(tmp_path / "out", heads=heads, seeds=1, epochs=1)
    data = StudyData(ledger)
    (deletion, _) = class_map_charts(data)
    assert len({series.head for series in deletion.series}) == MANY
    assert stated(deletion.caption)[-1] == "2"
    figure = CLAIM.figure(data)
    assert {len({s.head for s in chart.series}) for chart in figure.charts} == {MANY}
    assert stated(figure.about)[-1] == "2"


@pytest.mark.parametrize(
    ("values", "whole"),
    [((0.0317, 0.0347), False), ((5, 5), True), ((1, 7), True), ((100_000, 100_350), False)],
)
def test_labels_of_an_axis_do_not_touch(values: tuple[float, float], whole: bool) -> None:
    """Else "0.03150.0320" is read as one number, or an epoch as 4.8."""
    rows = tuple(
        DotRow(name, (Dot(value, ""),), Dot(value, ""))
        for name, value in zip(("fc", "gap"), values, strict=True)
    )
    styles = head_styles(("fc", "gap"))
    chart = dot_chart(DotChart("dots", "Dots", "axis", "", rows, styles, whole=whole))
    axes = chart.figure.axes[0]
    chart.figure.draw_without_rendering()
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    found = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
    shown = [box for box in found if axes.bbox.x0 - 1 <= (box.x0 + box.x1) / 2 <= axes.bbox.x1 + 1]
    assert all(left.x1 < right.x0 for left, right in pairwise(shown))
    assert ticks
    assert not whole or all(tick == round(tick) for tick in ticks)


def test_a_files_legend_lies_beside_the_values(tmp_path: Path) -> None:
    """Chance's bar in a legend among the dots would be read as one more value."""
    rows = (DotRow("a", (Dot(1.0, "s"),), Dot(1.0, "m"), Dot(2.0, "c")),)
    line = Dot(3.0, "the middle: 3 %")
    chart = dot_chart(DotChart("n", "t", "x", "c", rows, head_styles("a"), line, "other maps"))
    svg = chart.file("svg").decode()
    assert "other maps" in svg
    assert "the middle: 3 %" in svg
    axes = chart.figure.axes[0]
    chart.figure.draw_without_rendering()
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_window_extent().x0 >= axes.bbox.x1


def test_a_step_of_less_than_a_millisecond_keeps_two_digits() -> None:
    """Else a head twice as fast as another reads "0.1" beside "0.1"."""
    times = np.array([[0.86e-4] * 3, [0.0123] * 3])
    found = speed_table(Speed(("gap", "fc"), (32, 32), "cpu", times, times))
    assert found is not None
    assert [row.wall for row in found.rows] == ["0.086", "12.3"]


def test_the_median_of_an_even_number_of_rounds_lies_between_two() -> None:
    """Else the table of a training step tells another median than the chart above it."""
    times = np.array([[0.001, 0.002, 0.004, 0.005]])
    found = speed_table(Speed(("gap",), (32,), "cpu", times, times))
    assert found is not None
    assert [(row.wall, row.cpu) for row in found.rows] == [("3.0", "3.0")]


def test_a_run_without_finite_logits_is_in_no_curve(tmp_path: Path) -> None:
    """Else a chart draws a mean over more seeds than the tables and verdicts beside it."""
    ledger = rich_ledger(tmp_path / "study", heads=("fc", "gap"), seeds=2, epochs=2)
    found = StudyData(ledger).run_evidence(PREDICTIONS, "gap", 1)
    assert found is not None
    broken = replace(found, test=replace(found.test, best=np.full_like(found.test.best, np.nan)))
    write_run(ledger, PREDICTIONS, "gap", 1, PREDICTIONS.pack(broken))
    data = StudyData(ledger)
    assert [(run.head, run.seed) for run in data.finished] == [("fc", 0), ("gap", 0), ("fc", 1)]
    assert {one.head: one.seeds for one in tracks_of(data)} == {"fc": (0, 1), "gap": (0,)}
    assert {one.head: one.seeds for one in moved(data)} == {"fc": (0, 1), "gap": (0,)}
    labels = {series.label for chart in class_map_charts(data) for series in chart.series}
    assert ("fc, seed 1" in labels, "gap, seed 1" in labels) == (True, False)
    history = ledger.run_folder("gap", 1) / "history.jsonl"
    lines = [json.loads(line) | {"accuracy": 0.99} for line in history.read_text().splitlines()]
    history.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert not StudyData(ledger).lags, "nor does it say that evaluation lags"
