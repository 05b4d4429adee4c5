"""Charts inside a page: no clash between them, and their places where the pointer looks."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headtohead.claims.translation import Moved, moved, translation_about, translation_chart
from headtohead.probes.predictions import SplitPredictions
from headtohead.probes.translation import windows
from headtohead.report.charts.chart import Chart, drawing, log_ticks
from headtohead.report.charts.curves import (
    OVERFIT,
    QUANTITIES,
    curve_chart,
    curve_charts,
    together_charts,
    tracks_of,
)
from headtohead.report.charts.reliability import head_reliability, reliability, reliability_chart
from headtohead.report.charts.style import HeadStyle, head_styles
from headtohead.report.charts.svg import HEAD_ID
from headtohead.study_data import StudyData
from ledgers import full_ledger
from reports import rich_ledger
from stated import stated

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own


def example(name: str = "one", title: str = "A title") -> Chart:
    with drawing() as paper:
        (line,) = paper.axes.plot([1, 2, 3], [4, 5, 6], color="#D55E00", marker="o", label="x")
        line.set_gid(f"{HEAD_ID}2.mean")
        paper.readable("x", 2, [(1.0, 4.0), (3.0, 6.0)], ["first", "last"])
        return paper.finish(name, title, "caption", "rises")


def test_places_are_where_the_marks_are() -> None:
    """The value under the pointer must be that of the mark under the pointer."""
    chart = example()
    marks = [
        (float(use.get("x", "nan")), float(use.get("y", "nan")))
        for group in parsed(chart.svg).iter(f"{SVG}g")
        if group.get("data-head") == "2"
        for use in group.iter(f"{SVG}use")
    ]
    assert [marks[0], marks[-1]] == [
        pytest.approx(place, abs=0.11) for place in chart.series[0].places
    ]


def test_charts_of_a_page_share_no_id_and_no_style() -> None:
    """Two charts with one id: the second is drawn with the first one's marks or clip."""
    first, second = parsed(example("one").svg), parsed(example("two").svg)
    ids = [{e.get("id") for e in root.iter() if e.get("id")} for root in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for root in (first, second):
        assert not list(root.iter(f"{SVG}style"))
        assert not [e for e in root.iter() if e.get("style")]
        known = {e.get("id") for e in root.iter()}
        for element in root.iter():
            reference = element.get("{http://www.w3.org/1999/xlink}href", "#")
            assert reference == "#" or reference[1:] in known


def test_colours_follow_the_theme_and_have_a_fallback() -> None:
    """Black text on a black page is no chart; without a style sheet it is still coloured."""
    lines = [e for e in parsed(example().svg).iter() if e.get("class") == "s-d55e00"]
    assert lines
    assert {line.get("stroke") for line in lines} == {"#d55e00"}
    texts = list(parsed(example().svg).iter(f"{SVG}text"))
    assert texts
    assert all("f-111111" in text.get("class", "") for text in texts)


def test_titles_are_text() -> None:
    """A head named `<b>$x$` is shown as it is."""
    chart = example(title="<b>&$x^2$")
    assert parsed(chart.svg).findtext(f"{SVG}title") == "<b>&$x^2$"


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_chart_is_a_file_by_itself(suffix: str, start: bytes) -> None:
    """In a paper there is no page around it: title and legend must be in the file."""
    content = example().file(suffix)
    assert content.startswith(start)
    if suffix == "svg":
        assert b"A title" in content


def test_a_curve_says_every_epoch_of_every_seed(tmp_path: Path) -> None:
    """Hovering finds each seed and the mean, with the numbers of the history."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=3)
    tracks = tracks_of(StudyData(ledger))
    chart = curve_chart(QUANTITIES[0], tracks)
    assert [s.label for s in chart.series] == [
        *("fc, seed 0", "fc, seed 1", "fc, mean of 2 seeds"),
        *("gap, seed 0", "gap, seed 1", "gap, mean of 2 seeds"),
    ]
    value = 100 * tracks[0].histories[1][2].val_accuracy
    assert chart.series[1].said[2] == f"epoch 3: {value:.4g} %"
    assert len(list(curve_charts(tracks))) == 12


def test_training_and_validation_share_one_chart(tmp_path: Path) -> None:
    """Two charts beside each other hide how far the curves part: that gap is over-fitting."""
    tracks = tracks_of(StudyData(full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=3)))
    charts = {quantity.name: chart for quantity, chart in together_charts(tracks)}
    assert set(charts) == {
        *("together-accuracy", "together-accuracy-log", "together-loss", "together-loss-log"),
    }
    drawn = {s.label: s for s in charts["together-accuracy"].series}
    assert set(drawn) == {
        f"{head}, {split}, mean of 2 seeds"
        for head in ("fc", "gap")
        for split in ("training", "validation")
    }
    mean = 50 * sum(history[2].train_accuracy for history in tracks[1].histories)
    said = drawn["gap, training, mean of 2 seeds"].said[2]
    assert float(said.split(": ")[1].removesuffix(" %")) == pytest.approx(mean, rel=1e-3)


def labels_of(chart: Chart, axis: str) -> list[str]:
    """The texts of the ticks of "x" or "y"."""
    side = getattr(chart.figure.axes[0], f"{axis}axis")
    low, high = sorted(side.get_view_interval())
    ticks = [tick for tick in side.get_major_ticks() if low <= tick.get_loc() <= high]
    return [tick.label1.get_text() for tick in ticks if tick.label1.get_text()]


def test_a_logarithmic_chart_says_what_it_shows(tmp_path: Path) -> None:
    """Error drawn under "Validation accuracy", with one number on its axis: nobody can read it."""
    tracks = tracks_of(StudyData(full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=3)))
    charts = {q.name: chart for q, chart in curve_charts(tracks) if q.scale == "log"}
    assert len(charts) == 6
    for chart in charts.values():
        assert 3 <= len(labels_of(chart, "y")) <= 6, chart.name
    chart = charts["val_accuracy-log"]
    assert chart.title == "Validation error (logarithmic)"
    assert parsed(chart.svg).findtext(f"{SVG}title") == chart.title
    assert chart.description.startswith("Validation error")


@pytest.mark.parametrize(
    ("low", "high"),
    [(14.0, 52.0), (0.5, 4.0), (1e-6, 3.0), (64.0, 663_301.0), (31.0, 33.0), (1e-12, 1e9)],
)
def test_logarithmic_axes_have_three_to_six_labels(low: float, high: float) -> None:
    """With one label a logarithmic axis has no scale, with twenty they cover each other."""
    ticks = log_ticks(low, high)
    assert 3 <= len(ticks) <= 6
    assert low <= ticks[0] < ticks[-1] <= high


def test_an_epoch_without_error_counts_in_the_mean(tmp_path: Path) -> None:
    """Zero has no place on the axis; a mean without it would make the head look worse."""
    (track,) = tracks_of(StudyData(full_ledger(tmp_path, heads=("gap",), seeds=2, epochs=1)))
    perfect = tuple(e.model_copy(update={"val_accuracy": 1.0}) for e in track.histories[0])
    half = tuple(e.model_copy(update={"val_accuracy": 0.5}) for e in track.histories[1])
    quantity = QUANTITIES[0].log
    assert quantity is not None
    chart = curve_chart(quantity, [replace(track, histories=(perfect, half))])
    assert [(s.label, s.said) for s in chart.series] == [
        ("gap, seed 1", ("epoch 1: 50 % error",)),
        ("gap, mean of 2 seeds", ("epoch 1: 25 % error",)),
    ]


def test_runs_without_any_error_still_have_a_chart(tmp_path: Path) -> None:
    """Else the page of a study that learned everything cannot be drawn."""
    (track,) = tracks_of(StudyData(full_ledger(tmp_path, heads=("gap",), seeds=1, epochs=2)))
    perfect = tuple(e.model_copy(update={"val_accuracy": 1.0}) for e in track.histories[0])
    quantity = QUANTITIES[0].log
    assert quantity is not None
    chart = curve_chart(quantity, [replace(track, histories=(perfect,))])
    assert chart.figure.axes[0].get_yscale() == "linear"


def test_accuracies_end_at_a_hundred_per_cent(tmp_path: Path) -> None:
    """An axis up to 104 % promises what cannot be."""
    (track,) = tracks_of(StudyData(full_ledger(tmp_path, heads=("gap",), seeds=1, epochs=2)))
    histories = tuple(
        tuple(e.model_copy(update={"val_accuracy": a}) for e, a in zip(h, (0.2, 1.0), strict=True))
        for h in track.histories
    )
    chart = curve_chart(QUANTITIES[0], [replace(track, histories=histories)])
    assert chart.figure.axes[0].get_ylim()[1] == 100


def test_values_that_are_not_finite_leave_a_gap(tmp_path: Path) -> None:
    """A loss that overflowed must not take the whole chart with it."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=1, epochs=3)
    history = tmp_path / "runs" / "gap" / "seed-0" / "history.jsonl"
    lines = history.read_text().splitlines()
    loss = tracks_of(StudyData(ledger))[0].histories[0][1].val_loss
    lines[1] = lines[1].replace(f'"val_loss":{loss!r}', '"val_loss":NaN')
    history.write_text("\n".join(lines) + "\n")
    quantity = next(q for q in QUANTITIES if q.name == "val_loss")
    (series,) = curve_chart(quantity, tracks_of(StudyData(ledger))).series
    assert [text.partition(":")[0] for text in series.said] == ["epoch 1", "epoch 3"]
    assert "nan" not in curve_chart(quantity, tracks_of(StudyData(ledger))).svg.lower()


def test_a_long_run_keeps_its_ends(tmp_path: Path) -> None:
    """Of 350 epochs a hundred are drawn, the first and the last among them."""
    tracks = tracks_of(StudyData(full_ledger(tmp_path, heads=("gap",), seeds=1, epochs=350)))
    chart = curve_chart(OVERFIT, tracks)
    (series,) = chart.series
    assert stated(chart.caption) == ["350", "100"]
    assert len(series.said) == 100
    assert series.said[0].startswith("epoch 1:")
    assert series.said[-1].startswith("epoch 350:")


def test_many_long_runs_stay_small(tmp_path: Path) -> None:
    """A hundred runs of a hundred epochs must not make a page that no mail takes."""
    (track,) = tracks_of(StudyData(full_ledger(tmp_path, heads=("gap",), seeds=1, epochs=60)))
    many = replace(track, seeds=tuple(range(100)), histories=track.histories * 100)
    chart = curve_chart(OVERFIT, [many])
    assert sum(len(series.said) for series in chart.series) == 20 * 101
    assert len(chart.svg) < 60_000


def test_reliability_counts_what_it_shows() -> None:
    """Confidence and share correct of hand-made predictions, bins too thin left out."""
    logit = float(np.log(0.75 / 0.25))
    values = np.array([logit] * 8 + [-9.0] * 4, np.float32)[:, None]
    labels = np.array([1, 1, 1, 1, 1, 1, 0, 0] + [0] * 4)
    found = reliability([SplitPredictions(np.arange(12), labels, values, values)])
    assert found.count.tolist() == [8]
    assert found.confidence == pytest.approx([0.75])
    assert found.correct == pytest.approx([0.75])


def test_reliability_is_told_by_most_of_the_predictions() -> None:
    """Else whoever hears a chart is told of 8 predictions of 4,200."""
    sure, unsure = float(np.log(0.97 / 0.03)), float(np.log(0.75 / 0.25))
    logits = np.array([unsure] * 200 + [sure] * 8, np.float32)[:, None]
    labels = np.array([1] * 150 + [0] * 50 + [1] * 8)
    splits = [SplitPredictions(np.arange(208), labels, logits, logits)]
    chart = reliability_chart([head_reliability("gap", 0, HeadStyle("#0072B2", "o"), splits)], 0.5)
    assert chart is not None
    assert stated(chart.description) == ["75", "200", "208", "75"]


def test_translation_means_are_by_distance(tmp_path: Path) -> None:
    """One pixel down and one to the right are one distance; the centre is where all begin."""
    ledger = rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=2, epochs=1)
    for found in moved(StudyData(ledger)):
        assert found.distance.tolist() == [0, 1, 2, 5.7]
        assert found.agreement.shape == (2, 4)
        assert (found.agreement[:, 0] == 1).all()
        assert found.seeds == (0, 1)


def test_translation_shows_every_seed_and_where_the_window_went(tmp_path: Path) -> None:
    """Without its seeds a mean looks certain; single-pixel steps never went left or up."""
    ledger = rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=2, epochs=1)
    found = moved(StudyData(ledger))
    chart = translation_chart(found, head_styles(ledger.file.study.heads), "agreement")
    assert [series.label for series in chart.series[:3]] == [
        *("fc, seed 0", "fc, seed 1", "fc, mean of 2 seeds")
    ]
    assert all(label.lstrip("−").isdigit() for label in labels_of(chart, "x"))
    about = translation_about(found[0])
    assert stated(about, "right", "down", "left", "up", "directions") == [
        *("6", "1", "2", "right", "down"),
        *("6", "2", "directions"),
    ]


@pytest.mark.parametrize(
    ("stride", "told"),
    [(8, ["1", "8"]), (32, ["4", "32", "4"]), (14, [*"2467", "9", "11", "13", "14"]), (1, ["1"])],
)
def test_steps_of_the_window_are_those_that_were_measured(stride: int, told: list[str]) -> None:
    """Else "steps of 1 to 32 pixels" promises single-pixel steps that nobody looked at."""
    shifts, fine = windows(stride, 40)
    none = np.empty((1, 0))
    found = Moved("gap", (0,), 24, none[0], none, none, shifts, fine)
    steps = translation_about(found).partition("Steps of")[2].partition("right")[0]
    assert stated(steps) == told


def test_a_change_of_nothing_has_no_minus() -> None:
    """Else "-0.00 points" under the pointer is a loss that there is not."""
    shifts, fine = windows(1, 2)
    distance = np.array([0.0, 1.0])
    same, none = np.array([[0.1 + 0.2, 0.3]]), np.ones((1, 2))
    found = Moved("gap", (0,), 24, distance, same, none, shifts, fine)
    chart = translation_chart([found], {"gap": HeadStyle("#0072B2", "o")}, "accuracy")
    assert {said.partition(": ")[2] for s in chart.series for said in s.said} == {"0.00 points"}


def test_reliability_shows_every_seed() -> None:
    """Seven seeds that spread widely must not look like one firm line."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (2, 100, 1)).astype(np.float32)
    labels = np.arange(100) % 2
    splits = [SplitPredictions(np.arange(100), labels, v, v) for v in logits]
    chart = reliability_chart([head_reliability("gap", 0, HeadStyle("#0072B2", "o"), splits)], 0.5)
    assert chart is not None
    assert [s.label for s in chart.series] == [
        *("gap, one of 2 seeds", "gap, one of 2 seeds", "gap, all 2 seeds")
    ]
