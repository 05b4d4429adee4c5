"""Class by class: by hand, and nothing in the files that a spreadsheet would run."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from headtohead.core.text import MISSING
from headtohead.probes.predictions import SplitPredictions
from headtohead.report.classes import (
    Misclassified,
    confused,
    head_classes,
    misclassified,
    misclassified_csv,
    over_seeds,
)
from headtohead.report.render import render
from headtohead.report.summary import summarize
from headtohead.store.picture_table import PictureTable
from headtohead.study_data import StudyData
from ledgers import add_run, full_ledger, study_ledger
from stated import stated


def split(rows: list[int], labels: list[int], named: list[int], sure: float) -> SplitPredictions:
    """Three classes, the one that is named with a probability of `sure`."""
    logits = np.log(np.full((len(rows), 3), (1 - sure) / 2))
    logits[np.arange(len(rows)), named] = np.log(sure)
    found = logits.astype(np.float32)
    return SplitPredictions(np.array(rows), np.array(labels), found, found)


def lines_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_an_image_is_listed_with_the_wrong_class_that_most_seeds_name() -> None:
    """Whoever looks for wrong labels begins with files that all seeds agree on."""
    found = misclassified(
        [
            split([7, 8, 9], [0, 1, 2], [1, 1, 0], 0.6),
            split([7, 8, 9], [0, 1, 2], [1, 1, 2], 0.8),
            split([7, 8, 9], [0, 1, 2], [2, 0, 2], 0.9),
        ]
    )
    assert [(i.row, i.label, i.predicted, i.wrong, i.seeds) for i in found] == [
        (7, 0, 1, 3, 3),
        (8, 1, 0, 1, 3),
        (9, 2, 0, 1, 3),
    ]
    assert [i.probability for i in found] == pytest.approx([0.7, 0.9, 0.6], abs=1e-6)


def test_names_of_files_and_classes_are_no_formulas() -> None:
    """A file called =cmd(…) must not run when the list is opened in a spreadsheet."""
    names = ("=1+1.png", "+a.png", "-b.png", "@c.png", "plain, with a comma.png")
    table = PictureTable(names, ("@x",) * 5, np.arange(5), ("test",) * 5)
    found = [Misclassified(row, 0, 1, 0.5, 1, 2) for row in range(5)]
    content = misclassified_csv(found, ("@x", "=y"), table).decode()
    lines = list(csv.DictReader(io.StringIO(content)))
    assert [line["file"] for line in lines] == [*(f"'{n}" for n in names[:4]), names[4]]
    assert {(line["label"], line["prediction"]) for line in lines} == {("'@x", "'=y")}
    assert lines[0]["probability"] == "0.500000"
    assert (lines[0]["wrong"], lines[0]["of"]) == ("1", "2")


def test_the_most_confused_pair_is_of_the_largest_share_of_its_class() -> None:
    """By number alone a large class's few mistakes hide that half of a small one is lost."""
    counts = np.array([[90, 10, 0], [5, 5, 0], [0, 0, 20]])
    lines = list(confused("gap", counts, ("cat", "fox", "owl")))
    assert [stated(line, "gap", "cat", "fox", "owl") for line in lines] == [
        ["gap", "fox", "cat", "50.0", "fox", "5", "10"],  # a share of the foxes, not of gap's
        ["gap", "cat", "fox", "10.0", "cat", "10", "100"],
    ]


def test_a_class_without_a_value_shows_a_dash_and_not_zero() -> None:
    assert over_seeds(np.array([np.nan, np.nan])) == MISSING
    assert over_seeds(np.array([0.5, np.nan])) == "50.0"
    assert over_seeds(np.array([0.5, 0.7])) == "60.0 ± 14.1"


@pytest.mark.usefixtures("no_drawing")
def test_a_report_writes_both_tables_and_shows_the_winner_first(tmp_path: Path) -> None:
    """Otherwise nobody finds which files to look at."""
    ledger = full_ledger(tmp_path, heads=("gap", "fc"), seeds=2, classes=("a", "b", "=c"))
    data = StudyData(ledger)
    summary = render(data)
    assert summary.winner is not None
    found = head_classes(summary)
    assert [item.won for item in found] == [True, False]
    best = [r.test_best for r in data.by_head[found[0].head] if r.test_best is not None]
    recalls = [np.diag(b.confusion) / np.sum(b.confusion, axis=1) for b in best]
    assert found[0].rows[1].recall.startswith(f"{100 * np.mean([r[1] for r in recalls]):.1f}")
    lines = lines_of(tmp_path / "tables/per_class.csv")
    assert [(line["head"], line["class"]) for line in lines[:3]] == [
        (found[0].head, name) for name in ("a", "b", "'=c")
    ]
    wrong = lines_of(tmp_path / "tables/misclassified.csv")
    assert sum(int(line["wrong"]) for line in wrong) == sum(
        r.n - int(np.trace(r.confusion)) for r in best
    )
    assert 'id="by-class"' in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Class by class" in (tmp_path / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("metric", "value"),
    [("balanced_accuracy", 0.5), ("macro_f1", 2 * (100 / 133) / (1 + 100 / 133) / 2)],
)
def test_verdicts_are_about_the_metric_that_the_study_names(
    tmp_path: Path, metric: str, value: float
) -> None:
    """Else a study of rare classes is decided by the common one. By hand, from the confusions."""
    ledger = study_ledger(tmp_path, heads=("gap", "fc"), seeds=2, metric=metric, rare=3)
    for seed in range(2):
        for head in ledger.file.study.heads:
            add_run(ledger, head, seed)
    data = StudyData(ledger)
    summary = summarize(data)
    item = summary.comparisons[0]
    expected = []
    for seed in item.seeds:
        mine, theirs = (
            next(r for r in data.by_head[head] if r.seed == seed).test_best
            for head in (summary.reference, item.other)
        )
        assert mine is not None
        assert theirs is not None
        expected.append(getattr(mine, metric) - getattr(theirs, metric))
        assert mine.accuracy - theirs.accuracy != expected[-1]
    assert item.comparison.difference.differences == pytest.approx(expected)
    assert item.pictures is not None
    assert item.pictures.mean == pytest.approx(np.mean(expected))
    key = f"test_{metric}"
    assert summary.baseline.metrics[key] == pytest.approx(value)
    assert not any(e.metric == key and summary.reference == e.first for e in summary.estimates)
    assert any(e.metric == "test_accuracy" for e in summary.estimates)


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_f1"])
def test_a_head_that_names_everything_rightly_has_learned(tmp_path: Path, metric: str) -> None:
    """Scores that are all alike have no spread; without one it was said to have learned nothing."""
    ledger = study_ledger(tmp_path, heads=("gap", "fc"), seeds=2, metric=metric, rare=3)
    for seed in range(2):
        for head in ledger.file.study.heads:
            add_run(ledger, head, seed, skill=1.0)
    summary = summarize(StudyData(ledger))
    assert [found.beats for found in summary.standings] == [True, True]
    assert summary.chance == "50.0 % balanced accuracy"
