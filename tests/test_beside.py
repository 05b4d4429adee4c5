"""Other software's runs, shown beside a study's."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from headtohead.core.errors import DataError, UsageError
from headtohead.report.beside import read_beside, unlike
from headtohead.report.page.content import gather
from headtohead.report.page.html import arrange
from headtohead.report.summary import summarize
from headtohead.stats.unpaired import unpaired_difference
from headtohead.study_data import StudyData
from ledgers import full_ledger

RECORDED = Path(__file__).parents[1] / "docs" / "article" / "recorded"


def write(folder: Path, head: str, seed: int, values: list[float]) -> Path:
    path = folder / head / f"seed-{seed}" / "history.jsonl"
    path.parent.mkdir(parents=True)
    epochs = [{"epoch": i, "val_accuracy": value} for i, value in enumerate(values, 1)]
    path.write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    return path


def test_the_articles_own_epochs_are_read() -> None:
    """Else its curves cannot be drawn over ours."""
    article = read_beside(f"article={RECORDED}")
    assert {head: len(runs[0]) for head, runs in article.heads.items()} == {
        "avgpool2x2": 7,
        "fc": 10,
        "fc_dropout": 7,
    }
    assert article.heads["fc"][0][5].val_accuracy == pytest.approx(0.859, abs=5e-4)
    assert np.isnan(article.heads["fc"][0][5].train_accuracy)


@pytest.mark.parametrize("asked", ["", "keras", "=runs", "keras=", "a/b=runs", "<b>=runs"])
def test_what_names_no_folder_is_refused(asked: str) -> None:
    with pytest.raises(UsageError, match="NAME=FOLDER"):
        read_beside(asked)


def test_a_folder_without_histories_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no <head>/seed-<n>/history\.jsonl"):
        read_beside(f"keras={tmp_path}")


@pytest.mark.parametrize("line", ["{", "[]", '{"epoch": 1}', '{"epoch": 1, "val_accuracy": "x"}'])
def test_a_line_that_is_no_epoch_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, "fc", 0, [0.5])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError, match="line 2 is"):
        read_beside(f"keras={tmp_path}")


@pytest.mark.usefixtures("no_drawing")
def test_heads_of_both_stand_side_by_side_at_their_last_common_epoch(tmp_path: Path) -> None:
    """Else two stacks are compared after unlike amounts of training."""
    ledger = full_ledger(tmp_path / "study", heads=("fc", "gap"), seeds=5, epochs=4)
    for seed in range(5):
        write(tmp_path / "other", "gap", seed, [0.5, 0.8 - seed / 100, 0.7 + seed / 100])
        write(tmp_path / "other", "<script>", seed, [0.5])
    data = StudyData(ledger)
    beside = read_beside(f"keras={tmp_path / 'other'}")
    assert set(beside.heads) == {"gap", "<script>"}
    content = gather(data, summarize(data), 0, [beside])
    (view,) = content.beside
    row, best = view.rows
    ours = [run.history[2].val_accuracy for run in ledger.runs() if run.record.head == "gap"]
    assert (row.head, row.at) == ("gap", "epoch 3")
    assert (best.at, best.theirs) == ("best of 3", "78.0 ± 1.6 (5)")
    assert row.ours == f"{100 * np.mean(ours):.1f} ± {100 * np.std(ours, ddof=1):.1f} (5)"
    assert row.theirs == "72.0 ± 1.6 (5)"
    assert [chart.name.split("-")[-1] for chart in view.charts] == [
        "val_accuracy",
        "val_loss",
        "accuracy",
    ]
    page = arrange(content, 0)
    assert 'id="beside"' in page
    plain = arrange(gather(data, summarize(data), 0), 0)
    assert 'id="beside"' not in plain
    assert page.count("<script") == plain.count("<script") == 2


@pytest.mark.usefixtures("no_drawing")
def test_runs_on_other_classes_are_refused_and_on_other_images_are_told(tmp_path: Path) -> None:
    """80 % of ten classes beside 80 % of two: the difference would say nothing of the software."""
    ours = full_ledger(tmp_path / "ours", heads=("gap",), seeds=1, epochs=1)
    twin = full_ledger(tmp_path / "twin", heads=("gap",), seeds=1, epochs=1)
    fewer = full_ledger(tmp_path / "fewer", heads=("gap",), seeds=1, epochs=1, per_class=7)
    names = ("bird", "fish", "frog")
    other = full_ledger(tmp_path / "other", heads=("gap",), seeds=1, epochs=1, classes=names)
    assert unlike(ours.file, read_beside(f"x={twin.out / 'runs'}")) == ""
    assert unlike(ours.file, read_beside(f"x={fewer.out / 'runs'}")) != ""
    with pytest.raises(UsageError, match="bird, fish, frog"):
        unlike(ours.file, read_beside(f"x={other.out / 'runs'}"))
    write(tmp_path / "plain", "gap", 0, [0.5])
    data = StudyData(ours)
    (view,) = gather(data, summarize(data), 0, [read_beside(f"x={tmp_path / 'plain'}")]).beside
    assert len(view.notes) == 1


def test_the_interval_is_welchs() -> None:
    first, second = [0.7, 0.72, 0.75, 0.71, 0.73], [0.70, 0.71, 0.74]
    found = unpaired_difference(first, second, 0.05)
    variances = np.var(first, ddof=1) / 5, np.var(second, ddof=1) / 3
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 4 + variances[1] ** 2 / 2)
    half = float(stats.t.ppf(0.975, freedom) * np.sqrt(sum(variances)))
    assert found.mean == pytest.approx(np.mean(first) - np.mean(second))
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))
    assert found.within(half + abs(found.mean) + 1e-9) is True
    assert found.within(half) is False


@pytest.mark.parametrize("first", [[0.7], [0.7, 0.7], [0.7, float("nan")]])
def test_no_interval_without_spread(first: list[float]) -> None:
    """One seed shows nothing: it must not be taken for equality."""
    found = unpaired_difference(first, [0.7] * len(first), 0.05)
    assert found.low is None
    assert found.within(0.5) is None
