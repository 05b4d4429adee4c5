"""Tuning, in real processes: as many trials for each head, on validation alone, and resumable."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import headtohead
from headtohead.cli import main
from headtohead.config.from_options import study_from
from headtohead.config.study import StudySpec
from headtohead.config.study_files import load_study, parse_study, resolve_tuning
from headtohead.core.errors import UsageError
from headtohead.store.ledger import Ledger, StudyFile
from headtohead.store.records import Failure
from headtohead.tuning.search_results import TuningRecord, write_results
from headtohead.tuning.trials import (
    FIRST_SEED,
    candidate,
    trial_head,
    trials_of,
    untuned_values,
    with_enough_steps,
)
from ledgers import add_run, change_epochs, study_ledger
from photographs import write_pictures
from stated import stated

pytestmark = pytest.mark.usefixtures("quick_workers")

PATIENCE = 60.0  # seconds
SEARCH = """
heads: [fc_dropout, gap]
seeds: 3
pictures: {image_size: 36}
recipe: {epochs: 6, batch_size: 16}
verdict: {reference: gap}
tuning:
  trials: 3
  epochs: 1
  recipe:
    learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}
    augment: {flip: [false, true]}
  options:
    fc_dropout: {dropout: {low: 0.2, high: 0.8}, hidden: [[100, 100], [20, 20]]}
"""

Words = Callable[..., list[str]]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Words:
    """The command's words after `headtohead`."""
    source = write_pictures(tmp_path_factory.mktemp("source"), {"cat": 60, "dog": 60})
    cache = tmp_path_factory.mktemp("cache")
    study = source.with_name("search.yaml")
    study.write_text(SEARCH)

    def words(out: Path, *extra: str) -> list[str]:
        return [
            *("tune", str(study), "--data", str(source)),
            *("--cache", str(cache), "--out", str(out), "--workers", "1", *extra),
        ]

    return words


def finish(words: list[str], code: int = 0) -> Result:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == code, done.output
    return done


def without_times(out: Path) -> Any:
    record = json.loads((out / "tuning.json").read_bytes())
    for head in record["heads"].values():
        for trial in head["trials"]:
            del trial["seconds"]
    return record


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, words: Words) -> Path:
    out = tmp_path_factory.mktemp("tuned") / "undisturbed"
    told = finish(words(out))
    assert "fc_dropout" in told.stdout
    assert f"headtohead compare {out / 'tuned.yaml'}" in " ".join(told.stdout.split())
    return out


def test_each_head_has_as_many_trials_and_the_untuned_is_the_first(undisturbed: Path) -> None:
    """Else one head wins by having been tried more often, or by a worse start."""
    record = TuningRecord.model_validate_json((undisturbed / "tuning.json").read_bytes())
    assert {name: len(head.trials) for name, head in record.heads.items()} == {
        "fc_dropout": 3,
        "gap": 3,
    }
    assert record.heads["gap"].untuned.values == {"learning_rate": 0.001, "augment.flip": False}
    assert record.heads["fc_dropout"].untuned.values == {
        "learning_rate": 0.001,
        "augment.flip": False,
        "option.hidden": [100, 100],
        "option.dropout": 0.5,
    }
    for head in record.heads.values():
        assert head.best.accuracy == max(trial.accuracy for trial in head.trials)


def test_the_test_split_is_never_looked_at(undisturbed: Path) -> None:
    """Else what the comparison reports on it was chosen by it. Nor are trials' weights kept."""
    assert not (undisturbed / "trials/evidence").exists()
    assert not list(undisturbed.rglob("*.safetensors"))
    seeds = {path.name for path in undisturbed.glob("trials/runs/*/*")}
    assert seeds == {f"seed-{FIRST_SEED}"}


def test_trials_are_no_study_to_report(undisturbed: Path) -> None:
    """Else a page is made of them that says that nothing was trained."""
    refused = finish(["report", str(undisturbed / "trials")], code=2)
    assert "tuning.md" in refused.stderr
    page = (undisturbed / "tuning.md").read_text()
    assert page.count("(untuned)") == 2


def test_the_winners_are_a_study_with_seeds_that_no_trial_has(undisturbed: Path) -> None:
    """Else the choice cannot be put to the test, or is tested on what it was chosen by."""
    record = TuningRecord.model_validate_json((undisturbed / "tuning.json").read_bytes())
    study = load_study(undisturbed / "tuned.yaml")
    assert study.tuning is None
    assert study.seeds == 3 <= FIRST_SEED
    assert study.verdict.reference == "gap"
    for name, found in record.heads.items():
        recipe, values = study.recipe_for(name), found.best.values
        assert recipe.epochs == 6
        assert recipe.learning_rate == values["learning_rate"]
        assert recipe.augment.flip == values["augment.flip"]
    dropout = record.heads["fc_dropout"].best.values["option.dropout"]
    assert study.heads["fc_dropout"].options["dropout"] == dropout


def test_a_killed_search_goes_on_and_heads_and_trials_are_added(
    tmp_path: Path, words: Words, undisturbed: Path
) -> None:
    """Killed in its first round, then asked for more of both: an undisturbed search's choice."""
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "headtohead", *words(out, "--trials", "2", "--heads", "gap")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE
    while not list(out.glob("trials/runs/*/*/history.jsonl")):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (out / "tuning.json").exists()
    started = {path.parts[-3] for path in out.glob("trials/runs/*/*/history.jsonl")}
    assert started <= {candidate("gap", number) for number in (0, 1)}
    finish(words(out))
    assert without_times(out) == without_times(undisturbed)
    assert (out / "tuned.yaml").read_bytes() == (undisturbed / "tuned.yaml").read_bytes()


def test_the_same_search_again_trains_nothing_and_another_is_refused(
    words: Words, undisturbed: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.glob("trials/runs/*/*/*")}
    record = (undisturbed / "tuning.json").read_bytes()
    again = finish(words(undisturbed, "--json"))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert again.stdout.encode() == record
    refused = finish(words(undisturbed, "--epochs", "3"), code=2)
    said = refused.stderr.splitlines()[-1].partition("another search")[2]
    assert stated(said, "epoch") == ["1", "epoch", "3"], "what differs, and nothing else"
    assert (undisturbed / "tuning.json").read_bytes() == record


PICKY = """
import torch
from headtohead.heads.base import Head


class Picky(Head):
    def __init__(self, channels, size, outputs, width=2):
        super().__init__(channels, size, outputs)
        self.width = width
        self.linear = torch.nn.Linear(channels, outputs)

    def forward(self, features):
        if self.training and self.width == 1:
            raise ValueError("too narrow")
        return self.linear(features.mean((2, 3)))
"""


def test_a_trial_that_always_fails_leaves_those_before_it(
    tmp_path: Path, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a head that cannot train with some value takes every finished trial with it."""
    (tmp_path / "picky_h2h.py").write_text(PICKY)
    monkeypatch.syspath_prepend(tmp_path)
    study = tmp_path / "search.yaml"
    study.write_text(
        "heads: {picky: {head: 'picky_h2h:Picky'}}\npictures: {image_size: 36}\n"
        "recipe: {batch_size: 16}\n"
        "tuning: {trials: 4, epochs: 1, options: {picky: {width: {low: 1, high: 3}}}}\n"
    )
    _, _, *options = words(tmp_path / "out")
    failed = finish(["tune", str(study), *options], code=4)
    assert "too narrow" in failed.stderr
    ledger = Ledger.open(tmp_path / "out/trials")
    over = [ledger.run(candidate("picky", n), FIRST_SEED) is not None for n in range(4)]
    assert over == [True, True, True, False], "another proposal: let another trial fail"
    assert "--trials 2" in failed.stderr
    finish(["tune", str(study), *options, "--trials", "2"])


def test_a_folder_with_something_else_is_refused(tmp_path: Path, words: Words) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    assert "letter.txt" in finish(words(tmp_path), code=2).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    study_ledger(tmp_path / "compared/trials")
    refused = finish(words(tmp_path / "compared"), code=2)
    assert "a study that was compared" in refused.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("gap: {dropout: [0.1, 0.2]}", "no such option; it takes none"),
        ("fc_dropout: {dropout: [0.1, 0.2]}", "is 0.5 without tuning, which is not in 0.1, 0.2"),
        ("fc_dropout: {dropout: {low: 0.6, high: 0.7}}", "not in 0.6 to 0.7"),
        ("fc_dropout: {dropout: [0.5, 1.5]}", "received 1.5"),
        ("attention: {heads: {low: 1, high: 8}}", "received 3: choose one of 1, 2, 4, 8"),
        (
            "fc: {hidden: [[100, 100], [90000, 90000], [10, 10]]}",
            r"fc with hidden \[90000, 90000\]",
        ),
    ],
    ids=["strange option", "not among", "outside", "impossible", "between", "too large"],
)
def test_options_that_a_head_does_not_take_are_told_before_the_work(
    tmp_path: Path, options: str, told: str
) -> None:
    path = tmp_path / "search.yaml"
    path.write_text(
        "heads: [fc_dropout, gap, attention, fc]\n"
        f"tuning: {{recipe: {{weight_decay: [0, 0.1]}}, options: {{{options}}}}}\n"
    )
    with pytest.raises(UsageError, match=told):
        headtohead.tune(path)


def trials_ledger(out: Path, study: StudySpec, trials: int) -> Ledger:
    """A ledger of trials without runs, each with the untuned values."""
    heads = {
        candidate(head, number): trial_head(study, head, untuned_values(study, head))
        for head in study.heads
        for number in range(trials)
    }
    file = StudyFile.model_validate(
        {
            "headtohead": "0.1.0",
            "digest": "d" * 64,
            "prepared": "p" * 64,
            "classes": ["cat", "dog"],
            "counts": {name: {"cat": 60, "dog": 40} for name in ("train", "validation", "test")},
            "study": StudySpec(heads=heads, seeds=1),
            "tunes": study,
        }
    )
    return Ledger.create(out, file)


DIVERGED = Failure(reason="the training loss is not finite", epoch=2, step=1)


def test_a_trial_that_fails_scores_the_majority_share(tmp_path: Path) -> None:
    """Else an epoch before it diverged makes a recipe the winner that cannot be trained."""
    study = parse_study(SEARCH.replace("epochs: 1", "epochs: 4\n  seeds: 2"), "search.yaml")
    ledger = trials_ledger(tmp_path / "trials", study, 2)
    for number, failure in ((0, None), (1, DIVERGED)):
        name = candidate("gap", number)
        add_run(ledger, name, FIRST_SEED, skill=0.55, predictions=False)
        add_run(ledger, name, FIRST_SEED + 1, skill=0.99, predictions=False, failure=failure)
    fine, failed = trials_of(ledger, study, "gap", range(2))
    first = ledger.run(candidate("gap", 1), FIRST_SEED)
    assert first is not None
    assert first.best is not None
    assert failed.accuracy == pytest.approx((first.best.val_accuracy + 0.6) / 2)
    assert failed.failures == (DIVERGED.reason,)
    assert failed.loss is None
    assert fine.rank() > failed.rank()


def test_a_trial_that_fails_is_chosen_after_all_that_do_not(tmp_path: Path) -> None:
    """Else a recipe that cannot be trained wins where the others guess below the largest class."""
    study = parse_study(SEARCH, "search.yaml")
    ledger = trials_ledger(tmp_path / "trials", study, 2)
    for number, skill, failure in ((0, 0.3, None), (1, 0.99, DIVERGED)):
        name = candidate("gap", number)
        add_run(ledger, name, FIRST_SEED, skill=skill, predictions=False, failure=failure)
    fine, failed = trials_of(ledger, study, "gap", range(2))
    assert fine.accuracy < failed.accuracy  # which is that of the largest class
    assert fine.rank() > failed.rank()


def test_a_head_whose_trials_all_fail_is_told(tmp_path: Path) -> None:
    """Else the study to compare has a recipe that is known to fail."""
    study = parse_study(SEARCH.replace("trials: 3", "trials: 1"), "search.yaml")
    ledger = trials_ledger(tmp_path / "trials", study, 1)
    add_run(ledger, candidate("gap", 0), FIRST_SEED, predictions=False)
    name = candidate("fc_dropout", 0)
    add_run(ledger, name, FIRST_SEED, predictions=False, failure=DIVERGED)
    with pytest.raises(headtohead.RunError, match="no trial of fc_dropout"):
        write_results(tmp_path, ledger, study)
    assert not (tmp_path / "tuned.yaml").exists()


def test_what_a_choice_is_worth_is_said_beside_it(tmp_path: Path) -> None:
    """Else a recipe is taken for the best where no trial had learnt anything."""
    study = parse_study(SEARCH.replace("trials: 3", "trials: 2"), "search.yaml")
    ledger = trials_ledger(tmp_path / "trials", study, 2)
    for head, skill in (("fc_dropout", 0.5), ("gap", 0.9)):
        for number in range(2):
            failure = DIVERGED if number and head == "gap" else None
            name = candidate(head, number)
            add_run(ledger, name, FIRST_SEED, skill=skill, predictions=False, failure=failure)
    told = " ".join(str(write_results(tmp_path, ledger, study)).split())
    assert re.search(r"fc_dropout [^.]* 60\.0 %", told)
    assert "gap diverged in trial 1" in told
    assert re.search(r" 100 images [^.]* 1\.", told)


@pytest.mark.parametrize(
    ("learned", "epochs", "longer", "numbers"),
    [
        (0.58, 4, True, ["60.0", "58.0"]),
        (0.9, 4, True, ["60.0", "90.0"]),
        (0.97, 4, False, ["60.0", "0", "97.0"]),
        (0.97, 1, False, ["60.0"]),
    ],
    ids=["learned nothing", "not yet", "over-fits", "closed form"],
)
def test_more_epochs_are_advised_only_where_they_may_help(
    tmp_path: Path, learned: float, epochs: int, longer: bool, numbers: list[str]
) -> None:
    """Else hours go into training a head that has its training images by heart."""
    text = SEARCH.replace("trials: 3\n  epochs: 1", f"trials: 1\n  epochs: {epochs}")
    study = parse_study(text, "search.yaml")
    ledger = trials_ledger(tmp_path / "trials", study, 1)
    for head, skill in (("fc_dropout", 0.9), ("gap", 0.5)):
        add_run(ledger, candidate(head, 0), FIRST_SEED, skill=skill, predictions=False)
    change_epochs(ledger, candidate("gap", 0), train_accuracy=learned, val_accuracy=0.5)
    if epochs == 1:  # of a head that has its training images after fewer epochs than were asked for
        tuning = study.tuning
        assert tuning is not None
        study = study.model_copy(update={"tuning": tuning.model_copy(update={"epochs": 4})})
    (said,) = (n for n in write_results(tmp_path, ledger, study).record.notes if "largest" in n)
    assert stated(said) == numbers
    assert ("give trials more epochs" in said) is longer
    assert ("do not help" in said or "no epochs" in said) is not longer


def test_a_head_that_only_diverged_is_not_told_to_train_longer(tmp_path: Path) -> None:
    """Else the advice beside the error is to diverge for longer."""
    study = parse_study(SEARCH.replace("trials: 3", "trials: 1"), "search.yaml")
    ledger = trials_ledger(tmp_path / "trials", study, 1)
    for head in ("fc_dropout", "gap"):
        name = candidate(head, 0)
        add_run(ledger, name, FIRST_SEED, predictions=False, failure=DIVERGED)
    with pytest.raises(headtohead.RunError):
        write_results(tmp_path, ledger, study)
    record = TuningRecord.model_validate_json((tmp_path / "tuning.json").read_bytes())
    assert not any("epochs" in note for note in record.notes)


def test_so_much_as_chance_gives_is_said(tmp_path: Path) -> None:
    """Else ten points between trials of the same settings are taken for a better recipe."""
    study = parse_study(SEARCH.replace("trials: 3", "trials: 3\n  seeds: 2"), "search.yaml")
    ledger = trials_ledger(tmp_path / "trials", study, 3)
    for head in ("fc_dropout", "gap"):
        for number, skill in enumerate((0.8, 0.7, 0.9)):
            for seed in (FIRST_SEED, FIRST_SEED + 1):
                add_run(ledger, candidate(head, number), seed, skill=skill, predictions=False)
    found = write_results(tmp_path, ledger, study)
    accuracies = sorted(trial.accuracy for trial in found.record.heads["gap"].trials)
    (said,) = (note for note in found.record.notes if note.startswith("gap had"))
    ends = [f"{100 * accuracies[0]:.1f}", f"{100 * accuracies[-1]:.1f}"]
    assert stated(said) == ["0", "1", "2", *ends]
    # One more image right of 100, with one of two seeds, is half a point.
    told = re.split("[;.] ", next(found.explanation()))[1]
    assert stated(told) == ["100", "0.5"]


def test_a_search_by_accuracy_for_verdicts_on_another_metric_is_told(tmp_path: Path) -> None:
    """Else settings that help small classes are thought to have been looked for."""
    metric = "verdict: {reference: gap, metric: macro_f1}"
    text = SEARCH.replace("verdict: {reference: gap}", metric).replace("trials: 3", "trials: 1")
    study = parse_study(text, "search.yaml")
    ledger = trials_ledger(tmp_path / "trials", study, 1)
    for head in ("fc_dropout", "gap"):
        add_run(ledger, candidate(head, 0), FIRST_SEED, predictions=False)
    assert any("macro f1" in note for note in write_results(tmp_path, ledger, study).record.notes)


def test_a_chosen_value_that_is_null_is_in_the_study_to_compare(tmp_path: Path) -> None:
    """Else the winner is compared with its option's default, which was not chosen."""
    search = "tuning: {trials: 1, options: {fc_dropout: {dropout: [null, 0.5]}}}"
    study = parse_study(f"heads: {{fc_dropout: {{options: {{dropout: null}}}}}}\n{search}", "s")
    ledger = trials_ledger(tmp_path / "trials", study, 1)
    add_run(ledger, candidate("fc_dropout", 0), FIRST_SEED, predictions=False)
    tuned = load_study(write_results(tmp_path, ledger, study).study)
    assert tuned.heads["fc_dropout"].options == {"dropout": None}


def test_a_value_that_is_not_searched_is_told_with_its_place() -> None:
    """Else the search by default refuses a study's own learning rate, and nobody knows where."""
    study = resolve_tuning(study_from("quick", learning_rate=0.5))
    with pytest.raises(UsageError, match=r"tuning\.recipe\.learning_rate"):
        untuned_values(study, "gap")
    text = "heads: {fc_dropout: {options: {dropout: 0.9}}}\n"
    with pytest.raises(UsageError, match=r"tuning\.options\.fc_dropout\.dropout"):
        untuned_values(resolve_tuning(parse_study(text, "study.yaml")), "fc_dropout")


def test_a_name_that_leaves_no_room_for_trials_is_refused() -> None:
    """Else the trials are trained into a folder that cannot be opened again."""
    for length, fits in ((60, True), (61, False)):
        text = f"heads: {{{'a' * length}: {{head: gap}}}}\n"
        study = resolve_tuning(parse_study(text, "study.yaml"))
        if fits:
            assert untuned_values(study, "a" * length)
        else:
            with pytest.raises(UsageError, match="shorter name"):
                untuned_values(study, "a" * length)


def test_the_shipped_search_can_be_run() -> None:
    """Else `article-tuned` fails on its first line: every head's own values are in its space."""
    study = load_study("article-tuned")
    for head in study.heads:
        assert untuned_values(study, head)["learning_rate"] == 0.001


def test_a_trial_has_the_steps_that_the_study_asks_for() -> None:
    """Else a learning rate is chosen on networks that had hardly been trained."""
    study = parse_study(SEARCH.replace("epochs: 6,", "epochs: 6, min_steps: 100,"), "search.yaml")
    few, many = (with_enough_steps(study, images) for images in (96, 16_000))
    assert [each.tuning and each.tuning.epochs for each in (few, many)] == [17, 1]
    assert trial_head(few, "gap", {"batch_size": 16}).recipe["epochs"] == 17
    plain = with_enough_steps(parse_study(SEARCH, "search.yaml"), 96)
    assert plain.tuning is not None
    assert plain.tuning.epochs == 1


def test_heads_on_a_frozen_backbone_are_searched_by_what_they_can_take() -> None:
    """Else `tune` of a frozen backbone refuses crops that nobody asked for."""
    found = resolve_tuning(study_from("quick", train_backbone="none"))
    assert found.tuning is not None
    assert found.tuning.recipe.augment.model_dump(mode="json") == {
        "flip": [False, True],
        "crop": None,
        "color": None,
    }
    whole = resolve_tuning(study_from("quick"))
    assert whole.tuning is not None
    assert whole.tuning.recipe.augment.crop is not None


def test_heads_on_cached_features_are_tuned(tmp_path: Path) -> None:
    """The search by default, on a frozen backbone, to the study that compares the winners."""
    source = write_pictures(tmp_path / "source", {"cat": 40, "dog": 40})
    common = ["--heads", "gap,gmp", "--image-size", "36", "--train-backbone", "none"]
    search = ["--trials", "3", "--epochs", "1", "--batch-size", "16", "--workers", "1"]
    out, cache = tmp_path / "out", tmp_path / "cache"
    finish(
        ["tune", "--data", str(source), *common, *search, "--cache", str(cache), "--out", str(out)]
    )
    record = json.loads((out / "tuning.json").read_bytes())
    assert {head: len(each["trials"]) for head, each in record["heads"].items()} == {
        "gap": 3,
        "gmp": 3,
    }
    assert list((cache / "features").glob("*/features.npy"))
    tuned = Ledger.open(out / "trials").file.tunes
    assert tuned is not None
    assert tuned.tuning is not None
    assert tuned.tuning.epochs == 1, "as the command says, not as min_steps asks"
