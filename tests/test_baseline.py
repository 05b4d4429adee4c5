"""Always predicting the largest class: its interval, and heads against it."""

import csv
import io
import re
from pathlib import Path

import pytest
from scipy import stats

from headtohead.analysis.baseline import baseline_of
from headtohead.analysis.run_results import PRIMARY
from headtohead.report.formats.csv import results_csv
from headtohead.report.formats.figures import write_figures
from headtohead.report.formats.markdown import report_markdown
from headtohead.report.formats.terminal import render_text
from headtohead.report.page.content import gather
from headtohead.report.page.html import arrange
from headtohead.report.summary import summarize
from headtohead.stats.over_images import share_interval
from headtohead.store.ledger import Ledger, StudyFile
from headtohead.study_data import StudyData
from ledgers import add_run, full_ledger, study_ledger


@pytest.mark.parametrize(("right", "images"), [(0, 5), (5, 5), (37, 50), (100, 200)])
def test_the_interval_of_a_share_is_the_exact_binomial_one(right: int, images: int) -> None:
    """A wrong interval would call noise "learned"."""
    found = stats.binomtest(right, images).proportion_ci(0.95, "exact")
    assert share_interval(right, images, 0.05) == pytest.approx((found.low, found.high))


def test_a_share_of_no_images_is_refused() -> None:
    """No interval can be had of it."""
    with pytest.raises(ValueError, match="0 of 0"):
        share_interval(0, 0, 0.05)


def unequal(out: Path) -> Ledger:
    """A study whose second class has three of four test images."""
    ledger = study_ledger(out, heads=("fc", "gap"), seeds=2, epochs=2)
    content = ledger.file.model_dump()
    content["counts"]["test"] = {"cat": 50, "dog": 150}
    content["counts"]["validation"] = {"cat": 40, "dog": 60}
    return Ledger(out, StudyFile.model_validate(content))


def test_the_largest_class_of_the_test_split_is_named(tmp_path: Path) -> None:
    """Whoever always says "dog" is right in three of four: 75 % is then no feat."""
    found = baseline_of(unequal(tmp_path).file)
    assert (found.name, found.test, found.validation, found.images) == ("dog", 0.75, 0.6, 200)
    assert (found.low, found.high) == share_interval(150, 200, 0.05)


def test_a_head_must_beat_it_on_the_test_images(tmp_path: Path) -> None:
    """On 200 images 80 % is not shown to be more than 75 %, and 90 % is."""
    ledger = unequal(tmp_path)
    for seed in (0, 1):
        add_run(ledger, "fc", seed, skill=0.76)
        add_run(ledger, "gap", seed, skill=0.95)
    summary = summarize(StudyData(ledger))
    assert {found.head: found.beats for found in summary.standings} == {"fc": False, "gap": True}
    assert summary.at_majority == ["fc"]


def test_without_predictions_nothing_is_said_of_it(tmp_path: Path) -> None:
    """A ledger without test predictions has neither learned nor not."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=1, epochs=1)
    for head in ("fc", "gap"):
        add_run(ledger, head, 0, predictions=False)
    summary = summarize(StudyData(ledger))
    assert [found.beats for found in summary.standings] == [None, None]
    assert not summary.nothing_learned
    assert summary.at_majority == []


def test_it_is_a_row_of_the_tables(tmp_path: Path) -> None:
    """Else 75 % looks like skill."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=1, epochs=1)
    summary = summarize(StudyData(ledger))
    text = render_text(summary)
    row, below = text.partition("largest class")[2].splitlines()[:2]
    assert row.split()[0] == "50.0"
    assert below.split()[0] == "42.9–57.1"
    page = arrange(gather(StudyData(ledger), summary))
    (row,) = re.findall(r'<tr class="baseline">.*?</tr>', page, re.S)
    assert "largest class: always cat" in row
    assert "shown to have learned" in page, "above it by chance, a head has learned nothing"
    assert "42.9 to 57.1" in row


def test_it_is_a_line_of_the_accuracy_charts_and_of_no_other(tmp_path: Path) -> None:
    """A curve that never leaves the line has learned nothing, at a glance."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2)
    found = gather(StudyData(ledger), summarize(StudyData(ledger)))
    said = {
        chart.name: [s.said[0] for s in chart.series if s.label == "largest class"]
        for chart in found.charts
    }
    line = "always predicting the largest class: 50.0 %"
    for name in ("val_accuracy", "train_accuracy", "accuracy"):
        assert said[f"curve-{name}"] == [line]
        assert said[f"curve-{name}-log"] == [f"{line} error"]
    assert said["parameters"] == [line]
    assert said["curve-val_loss"] == []
    assert said["forest"] == []


def test_the_figures_have_the_line_in_their_legend(tmp_path: Path) -> None:
    """PNG and SVG for papers: accuracy has the line, a loss has none."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=1, epochs=1)
    write_figures(StudyData(ledger))
    for name, there in (("all_heads_accuracy", True), ("all_heads_loss", False)):
        svg = (tmp_path / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        assert ("largest class" in svg) is there


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("test_accuracy", 0.9), ("balanced_accuracy", 0.5), ("macro_f1", 0.9 / 1.9)],
)
def test_every_format_has_it_on_the_primary_metric(
    metric: str, expected: float, tmp_path: Path
) -> None:
    """Else a head at 60 % balanced accuracy is plotted below a constant answer of "90 %"."""
    ledger = full_ledger(
        tmp_path, heads=("fc", "gap"), seeds=1, epochs=1, rare=9, per_class=90, metric=metric
    )
    summary = summarize(StudyData(ledger))
    *_, row = csv.DictReader(io.StringIO(results_csv(summary).decode()))
    name = PRIMARY[summary.file.study.verdict.metric]
    assert row["status"] == "baseline"
    assert float(row[f"scored_{name}"]) == pytest.approx(expected)
    assert row[f"scored_{name}"] == row[name]
    content = gather(StudyData(ledger), summary)
    assert content.baseline.cells[0].order == pytest.approx(expected)
    shown = f"{100 * expected:.1f}"
    line = next(li for li in render_text(summary).splitlines() if "largest class   " in li)
    assert shown in line.split()
    (line,) = (li for li in report_markdown(content).decode().splitlines() if "always cat" in li)
    assert line.split("|")[2].split()[0] == shown
    assert "accuracy" in content.baseline.about
