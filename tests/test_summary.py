"""The summary says what the ledger holds: who won, how sure that is, and what is missing."""

import json
from pathlib import Path

import numpy as np
import pytest

from headtohead.analysis.run_results import METRICS
from headtohead.probes.base import read_run, write_run
from headtohead.probes.predictions import PREDICTIONS, Predictions, SplitPredictions
from headtohead.report.formats.terminal import explanation
from headtohead.report.page.on_validation import best_of_all, best_so_far
from headtohead.report.summary import summarize
from headtohead.store.ledger import Ledger, StudyFile
from headtohead.store.picture_table import PictureTable, write_pictures
from headtohead.store.records import Failure
from headtohead.study_data import StudyData
from ledgers import ENVIRONMENT, add_run, change_epochs, full_ledger, study_ledger
from stated import stated

DIVERGED = Failure(reason="the training loss is not finite", epoch=2, step=31)


def test_numbers_are_those_of_the_records_and_predictions(tmp_path: Path) -> None:
    """The table's numbers, recomputed here by hand from the files a user can open."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=3)
    summary = summarize(StudyData(ledger))
    (head,) = summary.heads
    runs = ledger.runs()
    best = [run.best.val_accuracy for run in runs if run.best]
    found = head.spreads["best_val_accuracy"]
    assert found is not None
    assert (found.n, found.mean) == pytest.approx((3, np.mean(best)))
    assert found.sd == pytest.approx(np.std(best, ddof=1))
    tests = []
    for run in runs:
        predictions = read_run(ledger, PREDICTIONS, "gap", run.record.seed)
        assert predictions is not None
        split = predictions.test
        tests.append(np.mean((split.best[:, 0] > 0) == (split.labels == 1)))
    assert [run.metrics["test_accuracy"] for run in head.runs] == tests
    last = runs[0].history[-1]
    assert head.runs[0].metrics["last_overfit"] == last.train_accuracy - last.val_accuracy
    assert set(head.runs[0].metrics) == set(METRICS) == set(head.spreads)
    assert all(value is not None for value in head.runs[0].metrics.values())


def test_winner_is_chosen_on_validation_not_on_test(tmp_path: Path) -> None:
    """Choosing on the test split would make the reported test accuracy an optimist's."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    for run in ledger.runs():
        # Turn the test logits of the head that leads on validation around.
        if run.record.head == "gap":
            found = read_run(ledger, PREDICTIONS, "gap", run.record.seed)
            assert found is not None
            t = found.test
            worse = SplitPredictions(t.rows, t.labels, -t.best, -t.last)
            turned = PREDICTIONS.pack(Predictions(found.validation, worse))
            write_run(ledger, PREDICTIONS, "gap", run.record.seed, turned)
    summary = summarize(StudyData(ledger))
    assert summary.winner is not None
    assert summary.winner.head == "gap"
    best = {run.seed: run.metrics["best_val_accuracy"] for run in summary.heads[1].runs}
    assert best[summary.winner.seed] == max(value for value in best.values() if value is not None)


def test_a_tie_goes_to_fewer_parameters(tmp_path: Path) -> None:
    """Of two equally good heads the user wants the smaller one."""
    ledger = study_ledger(tmp_path, heads=("fc", "mine"), seeds=1)
    for head in ("fc", "mine"):
        add_run(ledger, head, 0)
    history = tmp_path / "runs" / "fc" / "seed-0" / "history.jsonl"
    (tmp_path / "runs" / "mine" / "seed-0" / "history.jsonl").write_bytes(history.read_bytes())
    path = tmp_path / "runs" / "mine" / "seed-0" / "run.json"
    best = next(run.record.best_epoch for run in ledger.runs() if run.record.head == "fc")
    other = next(run.record for run in ledger.runs() if run.record.head == "mine")
    path.write_text(other.model_copy(update={"best_epoch": best}).model_dump_json())
    summary = summarize(StudyData(ledger))
    assert summary.winner is not None
    assert summary.winner.head == "mine"


def test_heads_are_ranked_over_the_seeds_that_all_have(tmp_path: Path) -> None:
    """After an interruption one head has a run more: a lucky seed must not decide."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    add_run(ledger, "fc", 0, skill=0.7)
    add_run(ledger, "gap", 0, skill=0.8)
    add_run(ledger, "fc", 1, skill=0.97)
    summary = summarize(StudyData(ledger))
    assert summary.winner is not None
    assert (summary.winner.head, summary.winner.seeds) == ("gap", (0,))
    assert summary.unfinished == (("gap", 1),)
    assert any("Unfinished: gap seed 1" in note for note in summary.notes)


def test_reference_is_never_chosen_by_results(tmp_path: Path) -> None:
    """The study names it beforehand; without a name it is gap, else the first head."""
    named = study_ledger(tmp_path / "a", heads=("fc", "gap"), reference="fc")
    gap = study_ledger(tmp_path / "b", heads=("fc", "gap"))
    first = study_ledger(tmp_path / "c", heads=("fc", "avgpool2x2"))
    found = [ledger.file.study.reference for ledger in (named, gap, first)]
    assert found == ["fc", "gap", "fc"]
    # In these runs gap wins and fc loses: the reference is the same when it loses as when it wins.
    for wanted in ("fc", "gap"):
        ledger = full_ledger(
            tmp_path / f"full-{wanted}", heads=("fc", "gap"), seeds=2, reference=wanted
        )
        summary = summarize(StudyData(ledger))
        assert summary.winner is not None
        assert summary.winner.head == "gap"
        assert summary.reference == wanted


def test_seven_clear_seeds_decide_and_six_do_not(tmp_path: Path) -> None:
    """The promise of `plan`: with the seeds it asks for, a clear difference gets its verdict."""
    heads = ("fc", "fc_dropout", "gap", "avgpool2x2")
    ledger = study_ledger(tmp_path, heads=heads, seeds=7)
    for seed in range(7):
        if seed == 6:
            few = summarize(StudyData(ledger))
        for head, skill in zip(heads, (0.8, 0.9, 0.85, 0.85), strict=True):
            add_run(ledger, head, seed, skill=skill)
    assert few.seeds_needed == 7
    for item in few.comparisons:
        assert item.comparison.better.outcome == "inconclusive"
        assert stated(item.comparison.better.rule, "needed") == ["6", "7", "needed"]
    outcomes = {
        item.other: (item.comparison.better.outcome, item.comparison.not_worse.outcome)
        for item in summarize(StudyData(ledger)).comparisons
    }
    assert outcomes == {
        "fc": ("supported", "supported"),
        "fc_dropout": ("refuted", "refuted"),
        "avgpool2x2": ("inconclusive", "supported"),
    }


def test_a_diverged_run_scores_the_majority_share(tmp_path: Path) -> None:
    """Dropping failures would reward a head for diverging on its bad seeds."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    for seed in (0, 1):
        add_run(ledger, "gap", seed, skill=0.85)
    add_run(ledger, "fc", 0, skill=0.95)
    add_run(ledger, "fc", 1, failure=DIVERGED)
    summary = summarize(StudyData(ledger))
    (item,) = summary.comparisons
    assert item.comparison.difference.differences == pytest.approx((-0.1, 0.35))
    assert summary.winner is not None
    assert summary.winner.head == "gap"
    fc = summary.heads[0]
    assert (fc.finished, len(fc.runs)) == (1, 2)
    assert fc.spreads["test_accuracy"] is not None
    assert fc.spreads["test_accuracy"].mean == pytest.approx(0.95)
    (note,) = [note for note in summary.notes if "failed" in note]
    assert fc.runs[1].failure is not None
    assert fc.runs[1].failure in note
    assert stated(note, "fc", "failed") == ["fc", "failed", "1", "2", "31", "50.0"]


def test_a_failed_run_scores_the_majority_of_its_own_split(tmp_path: Path) -> None:
    """Else a run that failed on a harder split is scored by the class shares of another."""
    content = study_ledger(tmp_path, heads=("fc", "gap"), seeds=3).file.model_dump()
    content["study"]["split"]["mode"] = "per-seed"
    first = Ledger(tmp_path, StudyFile.model_validate(content))
    content["counts"]["test"] = {"cat": 50, "dog": 150}
    content["counts"]["validation"] = {"cat": 60, "dog": 40}
    second = Ledger(tmp_path, StudyFile.model_validate(content))
    add_run(first, "fc", 0, skill=0.9)
    add_run(first, "gap", 0, skill=0.9)
    add_run(second, "fc", 1, failure=DIVERGED)
    add_run(second, "gap", 1, skill=0.9)
    add_run(second, "fc", 2, failure=DIVERGED)  # no run tells of seed 2's split
    data = StudyData(first)
    summary = summarize(data)
    assert [run.scored for run in summary.heads[0].runs] == [0.9, 0.75, 0.5]
    assert [run.scored_validation for run in summary.heads[0].runs][1:] == [0.6, 0.5]
    assert data.answers.runs["fc", 1].correct.mean() == 0.75
    told = [note for note in summary.notes if note.startswith("fc failed")]
    assert [stated(note)[-1] for note in told] == ["75.0", "50.0"]
    (note,) = [note for note in summary.notes if "split of seed 0" in note]
    assert "split of its own" in note


def test_pairs_across_environments_give_no_verdict(tmp_path: Path) -> None:
    """A GPU's rounding must not pass for a head's merit."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=7)
    for seed in range(7):
        add_run(ledger, "gap", seed, skill=0.9)
        device = "cuda" if seed < 2 else "cpu"
        add_run(ledger, "fc", seed, skill=0.8, environment={**ENVIRONMENT, "device": device})
    summary = summarize(StudyData(ledger))
    (item,) = summary.comparisons
    assert item.seeds == (2, 3, 4, 5, 6)
    assert set(item.flagged) == {0, 1}
    assert item.comparison.better.outcome == "inconclusive"
    assert stated(item.comparison.better.rule, "needed") == ["5", "6", "needed"]
    (note,) = (note for note in summary.notes if "0–1" in note)
    words = ("fc", "gap", "0–1", "device", "cpu", "cuda")
    assert set(stated(note, *words)) == set(words)


def test_other_python_or_package_versions_are_no_other_environment(tmp_path: Path) -> None:
    """A patch release of headtohead must not cost the user all pairs."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=1)
    add_run(ledger, "gap", 0, environment={**ENVIRONMENT, "headtohead": "0.1.0"})
    other = {"headtohead": "0.1.1", "scipy": "1.0", "release": "Linux-7", "cores": "64"}
    add_run(ledger, "fc", 0, environment={**ENVIRONMENT, **other})
    (item,) = summarize(StudyData(ledger)).comparisons
    assert (item.seeds, dict(item.flagged)) == ((0,), {})


def test_missing_predictions_are_said_and_do_not_stop(tmp_path: Path) -> None:
    """Training ended but the probe did not: everything else is still shown."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=1)
    add_run(ledger, "fc", 0)
    add_run(ledger, "gap", 0, predictions=False)
    summary = summarize(StudyData(ledger))
    assert summary.heads[1].spreads["test_accuracy"] is None
    assert summary.heads[1].spreads["best_val_accuracy"] is not None
    assert summary.comparisons[0].comparison.difference.n == 0
    (note,) = (note for note in summary.notes if "No predictions" in note)
    assert stated(note, "fc", "gap") == ["gap", "0"]


def test_logits_that_are_no_numbers_count_as_a_failure(tmp_path: Path) -> None:
    """A run that overflows on test images alone must neither crash the report nor vanish."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=1)
    run = ledger.run("fc", 0)
    assert run is not None
    found = read_run(ledger, PREDICTIONS, "fc", 0)
    assert found is not None
    broken = found.test.best.copy()
    broken[0] = np.nan
    test = SplitPredictions(found.test.rows, found.test.labels, broken, found.test.last)
    overflown = PREDICTIONS.pack(Predictions(found.validation, test))
    write_run(ledger, PREDICTIONS, "fc", 0, overflown)
    summary = summarize(StudyData(ledger))
    result = summary.heads[0].runs[0]
    assert (result.finished, result.scored) == (False, 0.5)
    assert any("not finite" in note for note in summary.notes)


def test_a_study_without_runs_says_so(tmp_path: Path) -> None:
    """A report on a study that was stopped at once must say it in words."""
    summary = summarize(StudyData(study_ledger(tmp_path)))
    assert (summary.heads, summary.winner, summary.comparisons) == ((), None, ())
    assert "No run" in summary.notes[0]


def test_more_than_two_classes(tmp_path: Path) -> None:
    """A study of five classes has its AUROC and a 5 × 5 confusion matrix."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=1, classes="abcde")
    result = summarize(StudyData(ledger)).heads[0].runs[0]
    assert result.test_best is not None
    assert len(result.test_best.confusion) == 5
    assert result.metrics["test_auroc"] is not None
    assert result.test_best.n == 500


def test_another_precision_is_said_beside_the_verdicts(tmp_path: Path) -> None:
    """Else a verdict about networks trained in bfloat16 is read as one about float32."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"))
    assert not any("Trained in" in note for note in summarize(StudyData(ledger)).notes)
    content = ledger.file.model_dump()
    content["study"]["heads"]["gap"]["recipe"] = {"precision": "bf16"}
    other = Ledger(tmp_path, StudyFile.model_validate(content))
    assert any("Trained in bf16: gap." in note for note in summarize(StudyData(other)).notes)


def test_too_few_steps_to_believe_evaluation_are_said(tmp_path: Path) -> None:
    """Else 50 % for every head looks like a result."""
    few = study_ledger(tmp_path / "few", epochs=1, batch_norm="moving")
    assert any("Few steps" in note for note in summarize(StudyData(few)).notes)
    for settled in ("recomputed", "frozen"):  # neither has moving averages to wait for
        other = study_ledger(tmp_path / settled, epochs=1, batch_norm=settled)
        assert not any("Few steps" in note for note in summarize(StudyData(other)).notes)
    many = study_ledger(tmp_path / "many", epochs=100, batch_norm="moving")
    assert not any("Few steps" in note for note in summarize(StudyData(many)).notes)


def test_evaluation_that_lags_behind_training_is_said(tmp_path: Path) -> None:
    """Else batch norm's lag passes for what a head does: 12 points of training accuracy."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=1)
    assert summarize(StudyData(ledger)).lags == {}
    change_epochs(ledger, "gap", accuracy=0.763, train_accuracy=0.647)
    summary = summarize(StudyData(ledger))
    assert list(summary.lags) == ["gap"]
    (note,) = [note for note in summary.notes if "lags" in note or "Few steps" in note]
    assert stated(note, "fc", "gap") == ["gap", "gap", "76.3", "64.7", "11.6"]


def test_a_head_start_is_said_beside_the_verdicts(tmp_path: Path) -> None:
    """Else a backbone that another head trained passes for the merit of the head after it."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), heads_after={"gap": "fc"})
    (note,) = (note for note in summarize(StudyData(ledger)).notes if "backbone" in note)
    assert stated(note, "gap", "starts from", "fc") == ["gap", "starts from", "fc"]


def test_pictures_that_lie_in_two_splits_are_said(tmp_path: Path) -> None:
    """Else a test image that was trained on raises accuracy and nobody knows."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=1)
    assert summarize(StudyData(ledger)).leaks is None
    table = PictureTable(
        ("a", "b", "c"), ("cat",) * 3, np.array([0, 0, 2]), ("train", "test", "test")
    )
    write_pictures(tmp_path, table)
    summary = summarize(StudyData(ledger))
    assert summary.leaks == 1
    assert any(note.startswith("1 group of near-identical") for note in summary.notes)
    said = Ledger(tmp_path, ledger.file.model_copy(update={"leaks": 0}))
    assert summarize(StudyData(said)).leaks == 0


def test_wrong_labels_and_lost_files_are_told_beside_the_answer(tmp_path: Path) -> None:
    """A winner would be named on labels that contradict each other, or on half of a class."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=1)
    label = ledger.file.classes[0]
    update = {"two_labels": 3, "quarantined": {label: 7}}
    notes = summarize(StudyData(Ledger(tmp_path, ledger.file.model_copy(update=update)))).notes
    used = sum(counts[label] for counts in ledger.file.counts.values())
    assert [note for note in notes if "3 groups" in note and "two labels" in note]
    (note,) = (note for note in notes if note.startswith("Quarantined"))
    assert stated(note, label) == ["7", label, "7", f"{used + 7:,}"]
    clean = {"two_labels": 0, "quarantined": {}}
    quiet = summarize(StudyData(Ledger(tmp_path, ledger.file.model_copy(update=clean)))).notes
    assert quiet == summarize(StudyData(ledger)).notes


def test_a_heads_failed_runs_are_one_note(tmp_path: Path) -> None:
    """Else a study of thirty heads that diverge has two hundred notes, and nobody reads one."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=4)
    for seed in range(4):
        add_run(ledger, "gap", seed, skill=0.9)
        add_run(ledger, "fc", seed, failure=None if seed == 2 else DIVERGED)
    (note,) = [note for note in summarize(StudyData(ledger)).notes if "failed" in note]
    assert stated(note, "fc") == ["fc", "0", "1", "3", "0", "2", "31", "50.0"]


def test_heads_that_do_as_well_on_validation_are_told(tmp_path: Path) -> None:
    """Else one of many equal heads is read as the best of them."""
    ledger = full_ledger(tmp_path, seeds=3, epochs=1)
    shares = {"fc": (0.1, 0.2, 0.3), "gap": (0.3, 0.2, 0.1), "fc_dropout": (0.1, 0.1, 0.1)}
    assert np.mean(shares["fc"]) > np.mean(shares["gap"]), "by the rounding of an addition"
    for head, values in shares.items():
        for seed, value in enumerate(values):
            path = ledger.run_folder(head, seed) / "history.jsonl"
            epoch = json.loads(path.read_text()) | {"val_accuracy": value}
            path.write_text(f"{json.dumps(epoch)}\n")
    summary = summarize(StudyData(ledger))
    assert summary.winner is not None
    assert summary.winner.head == "gap", "the fewest parameters"
    assert summary.level_with_winner == ["fc"]
    (line,) = (line for line in explanation(summary) if line.startswith("*"))
    for told in (line, best_of_all(summary), best_so_far(summary)):
        assert stated(told, "fc", "gap").count("fc") == 1
    apart = full_ledger(tmp_path / "apart", heads=("fc", "gap"), seeds=2, epochs=1)
    assert summarize(StudyData(apart)).level_with_winner == []


@pytest.mark.parametrize(("planned", "early"), [(7, False), (9, True)])
def test_verdicts_before_the_last_seed_are_called_early(
    tmp_path: Path, planned: int, early: bool
) -> None:
    """Else whoever stops at a verdict that pleases looks like whoever waited for all seeds."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=planned, epochs=1)
    for seed in range(7):
        add_run(ledger, "gap", seed, skill=0.9 + 0.005 * (seed % 3))
        add_run(ledger, "fc", seed, skill=0.7)
    summary = summarize(StudyData(ledger))
    assert summary.comparisons[0].comparison.better.outcome == "supported"
    assert any("planned" in note for note in summary.notes) == early
