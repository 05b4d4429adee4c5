"""Estimates beside the verdicts: every pair and metric, in the right direction and unit."""

from pathlib import Path

import numpy as np
import pytest

from headtohead.analysis.pairs import TARGET_METRICS
from headtohead.analysis.run_results import METRICS
from headtohead.report.summary import Summary, summarize
from headtohead.stats import t_interval
from headtohead.store.picture_table import PictureTable, write_pictures
from headtohead.store.records import Failure
from headtohead.study_data import StudyData
from ledgers import ENVIRONMENT, add_run, full_ledger, study_ledger

DIVERGED = Failure(reason="the training loss is not finite", epoch=2, step=31)


def estimate(summary: Summary, metric: str, first: str, second: str) -> tuple[int, float | None]:
    (found,) = [
        item
        for item in summary.estimates
        if (item.metric, item.first, item.second) == (metric, first, second)
    ]
    return found.over_seeds.n, found.over_seeds.mean


def test_every_pair_and_metric_is_there_but_for_the_verdicts(tmp_path: Path) -> None:
    """What is not in the summary cannot be reported; what has a verdict must not have two."""
    summary = summarize(StudyData(full_ledger(tmp_path, seeds=2)))
    found = [(item.first, item.second, item.metric) for item in summary.estimates]
    assert len(found) == len(set(found))
    metrics = {*METRICS, *TARGET_METRICS}
    pairs = {("gap", "fc"), ("gap", "fc_dropout"), ("fc", "fc_dropout")}
    expected = {(a, b, metric) for a, b in pairs for metric in metrics}
    verdicts = {("gap", "fc", "test_accuracy"), ("gap", "fc_dropout", "test_accuracy")}
    assert set(found) == expected - verdicts
    over = [item for item in summary.estimates if item.pictures is not None]
    assert [(item.first, item.metric) for item in over] == [("fc", "test_accuracy")]


def test_estimates_are_first_minus_second_paired_by_seed(tmp_path: Path) -> None:
    """A sign turned around would praise the head that over-fits more."""
    summary = summarize(StudyData(full_ledger(tmp_path, heads=("fc", "gap"), seeds=3)))
    fc, gap = summary.heads
    values = []
    for mine, theirs in zip(gap.runs, fc.runs, strict=True):
        a, b = mine.metrics["last_overfit"], theirs.metrics["last_overfit"]
        assert a is not None
        assert b is not None
        values.append(a - b)
    (found,) = [item for item in summary.estimates if item.metric == "last_overfit"]
    assert found.over_seeds.mean == pytest.approx(np.mean(values))
    assert (found.over_seeds.low, found.over_seeds.high) == pytest.approx(t_interval(values, 0.05))
    assert found.over_seeds.mean is not None
    assert found.over_seeds.mean < 0, "gap over-fits less in these records"


def test_failed_runs_have_no_metrics_and_never_reach_a_target(tmp_path: Path) -> None:
    """A diverged run's epochs to the target are censored at the horizon, not left out."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=6)
    for seed in (0, 1):
        add_run(ledger, "gap", seed, skill=0.9)
    add_run(ledger, "fc", 0, skill=0.9)
    add_run(ledger, "fc", 1, failure=DIVERGED)
    summary = summarize(StudyData(ledger))
    assert summary.targets is not None
    assert not summary.targets.declared
    fc = next(item for item in summary.targets.heads if item.head == "fc")
    assert (fc.epochs.n, fc.epochs.horizon, fc.epochs.values[1]) == (2, 6, 6)
    assert fc.epochs.reached <= 1
    assert estimate(summary, "test_loss", "gap", "fc")[0] == 1
    assert estimate(summary, "epochs_to_target", "gap", "fc")[0] == 2


def test_a_target_that_the_study_declares_is_taken(tmp_path: Path) -> None:
    """A target chosen from the results flatters whoever chose it."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    text = (tmp_path / "study.yaml").read_text().replace("target: null", "target: 0.99")
    (tmp_path / "study.yaml").write_text(text)
    targets = summarize(StudyData(type(ledger).open(tmp_path))).targets
    assert targets is not None
    assert (targets.target, targets.declared) == (0.99, True)
    assert [item.epochs.reached for item in targets.heads] == [0, 0]
    assert [item.epochs.median for item in targets.heads] == [None, None]


def test_a_failed_run_answers_with_the_majority_class_on_the_others_pictures(
    tmp_path: Path,
) -> None:
    """Seeds and images must score a diverged run alike, else the two intervals disagree."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    for seed in (0, 1):
        add_run(ledger, "gap", seed, skill=0.85)
    add_run(ledger, "fc", 0, skill=0.95)
    add_run(ledger, "fc", 1, failure=DIVERGED)
    (item,) = summarize(StudyData(ledger)).comparisons
    assert item.pictures is not None
    assert item.pictures.mean == pytest.approx(item.comparison.difference.mean)
    assert (item.pictures.seeds, item.pictures.pictures) == (2, 200)
    assert [test.seed for test in item.mcnemar] == [0, 1]


def test_an_estimate_counts_a_failed_run_as_comparisons_do(tmp_path: Path) -> None:
    """Else a head that diverges now and then looks as good as one that never does."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap", "gmp"), seeds=3, reference="gap")
    for seed in range(3):
        add_run(ledger, "gap", seed, skill=0.85)
        add_run(ledger, "fc", seed, skill=0.85)
        add_run(ledger, "gmp", seed, failure=DIVERGED if seed else None, skill=0.85)
    summary = summarize(StudyData(ledger))
    (found,) = (
        item
        for item in summary.estimates
        if (item.metric, item.first, item.second) == ("test_accuracy", "fc", "gmp")
    )
    assert found.over_seeds.n == 3
    assert found.pictures is not None
    assert found.over_seeds.mean == pytest.approx(found.pictures.mean)
    assert estimate(summary, "test_loss", "fc", "gmp")[0] == 1


def test_duplicates_in_pictures_csv_are_counted_once(tmp_path: Path) -> None:
    """Without its groups, the same photograph saved twice would narrow the interval."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    (alone,) = summarize(StudyData(ledger)).comparisons
    assert any("No pictures.csv" in note for note in summarize(StudyData(ledger)).notes)
    names = tuple(f"{i}.jpg" for i in range(200))
    table = PictureTable(names, ("cat",) * 200, np.arange(200) // 2, ("test",) * 200)
    write_pictures(tmp_path, table)
    summary = summarize(StudyData(ledger))
    (item,) = summary.comparisons
    assert item.pictures is not None
    assert alone.pictures is not None
    assert (alone.pictures.clusters, item.pictures.clusters) == (200, 100)
    assert item.pictures.low != alone.pictures.low
    assert not any("No pictures.csv" in note for note in summary.notes)


def test_splits_per_seed_say_what_their_intervals_cannot(tmp_path: Path) -> None:
    """Networks that were trained on each other's test images are not independent."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    text = (tmp_path / "study.yaml").read_text().replace("mode: fixed", "mode: per-seed")
    (tmp_path / "study.yaml").write_text(text)
    summary = summarize(StudyData(type(ledger).open(tmp_path)))
    assert any("Nadeau & Bengio" in note for note in summary.notes)
    assert summary.comparisons[0].pictures is not None


def test_runs_by_other_kernels_are_no_pair(tmp_path: Path) -> None:
    """Else a difference of rounding is taken for the heads'. Old records do not say: fused on the
    CPU in float32, plain elsewhere."""
    cases: list[tuple[dict[str, str], dict[str, str], bool]] = [
        ({"kernels": "fused"}, {"kernels": "plain"}, True),
        ({"kernels": "plain"}, {"kernels": "plain"}, False),
        ({}, {}, False),
        ({}, {"kernels": "fused"}, False),
        ({}, {"kernels": "plain"}, True),
        ({"precision": "bf16"}, {"precision": "bf16", "kernels": "plain"}, False),
        ({"device": "cuda"}, {"device": "cuda", "kernels": "plain"}, False),
    ]
    for number, (mine, theirs, flagged) in enumerate(cases):
        ledger = study_ledger(tmp_path / str(number), heads=("fc", "gap"))
        for head, entries in (("fc", mine), ("gap", theirs)):
            add_run(ledger, head, 0, environment={**ENVIRONMENT, **entries})
        (item,) = summarize(StudyData(ledger)).comparisons
        assert set(item.flagged) == ({0} if flagged else set()), (mine, theirs)
