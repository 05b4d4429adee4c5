"""Heads that do not beat the largest class, and why: each run by itself."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from headtohead.analysis.learning import room
from headtohead.config.recipe import AugmentSpec
from headtohead.report.page.answer import answer
from headtohead.report.page.brief import brief
from headtohead.report.page.content import gather
from headtohead.report.page.html import arrange
from headtohead.report.summary import summarize
from headtohead.store.ledger import Ledger
from headtohead.study_data import StudyData
from ledgers import add_run, change_epochs, made
from stated import stated


def test_a_head_that_fits_its_training_images_does_not_stay_at_the_largest_class(
    tmp_path: Path,
) -> None:
    """Else a head with a lead that 200 images do not settle "is no better" and "lost fairly"."""
    others = {f"head_{i}": 0.8 for i in range(6)}
    ledger = made(tmp_path, {"fc": 0.53, **others, "gap": 0.85}, seeds=2)
    change_epochs(ledger, "fc", accuracy=0.85, train_accuracy=0.86, val_accuracy=0.56)
    summary = summarize(StudyData(ledger))
    assert (summary.at_majority, summary.stuck) == (["fc"], [])
    (lead,) = (found.over_images for found in summary.standings if found.head == "fc")
    assert lead is not None
    assert lead.low is not None
    assert lead.high is not None
    low, high = (f"{100 * end:+.1f}".replace("-", "−") for end in (lead.low, lead.high))
    found = answer(summary)
    told = ("is not shown", "stays", "no better", "fairly", "largest class")
    last = found.sentence.rpartition(". ")[2]
    assert stated(last, "fc", *told) == [
        *("fc", "+3.0", low, high, "is not shown", "largest class", "50.0"),
    ]
    assert stated(found.more.partition(".")[0], *others, *told) == ["7", "largest class"]
    assert not {"no better", "fairly"} & set(stated(found.more, *told))


def test_heads_that_are_not_shown_to_beat_the_largest_class_are_counted(tmp_path: Path) -> None:
    """Else the headline of a zoo is a list of thirty names."""
    weak = {f"head_{i}": 0.53 for i in range(5)}
    summary = summarize(StudyData(made(tmp_path, {**weak, "gap": 0.85}, seeds=2)))
    assert (len(summary.at_majority), summary.stuck) == (5, [])
    last = answer(summary).sentence.rpartition(". ")[2]
    assert stated(last, *weak)[0] == "5"


def test_a_head_that_fits_its_training_images_is_not_to_be_trained_longer(tmp_path: Path) -> None:
    """Else hours of epochs go into a head whose lead only more test images would settle."""
    ledger = made(tmp_path, {"fc": 0.52, "fc_dropout": 0.8, "gap": 0.53}, seeds=2, pairs=["fc"])
    for head in ("fc", "gap"):
        change_epochs(ledger, head, accuracy=0.85, train_accuracy=0.86, val_accuracy=0.56)
    summary = summarize(StudyData(ledger))
    assert (summary.at_majority, summary.stuck) == (["fc", "gap"], [])
    step = brief(summary, answer(summary)).next_step
    assert stated(step, "fc", "gap", "longer", "test images") == ["test images", "fc", "gap"]


def closed_form(ledger: Ledger, head: str, trainable: int) -> None:
    """Make the runs of `head` those of one that is computed: one epoch, no parameters of its own.

    Records of before count the backbone as trainable.
    """
    for path in ledger.out.glob(f"runs/{head}/*/run.json"):
        record = json.loads(path.read_text())
        record |= {"epochs": 1, "best_epoch": 1}
        record["parameters"] |= {"head": 0, "trainable": trainable}
        path.write_text(json.dumps(record))
        history = path.with_name("history.jsonl")
        history.write_text(history.read_text().splitlines(keepends=True)[0])


@pytest.mark.parametrize("trainable", [0, 28_896])
def test_a_head_of_which_nothing_is_trained_has_not_lost_fairly(
    trainable: int, tmp_path: Path
) -> None:
    """Else class means on random weights are said to have failed where others trained theirs."""
    ledger = made(tmp_path, {"class_mean": 0.48, "fc": 0.8, "gap": 0.85}, seeds=2)
    closed_form(ledger, "class_mean", trainable)
    change_epochs(ledger, "class_mean", accuracy=0.5, train_accuracy=0.5, val_accuracy=0.5)
    summary = summarize(StudyData(ledger))
    assert (summary.at_majority, summary.stuck) == (["class_mean"], [])
    assert summary.untrained == ["class_mean"]
    more = answer(summary).more
    assert stated(more, "Nothing", "class_mean", "has lost", "has not lost")[:3] == [
        *("Nothing", "class_mean", "has not lost"),
    ]
    (note,) = (note for note in summary.notes if "trained" in note)
    assert "class_mean" in note
    page = arrange(gather(StudyData(ledger), summary))
    assert "only what is head differs" not in page
    assert "only class_mean leaves" in page


def test_on_a_frozen_backbone_all_have_the_same_features(tmp_path: Path) -> None:
    """There a head in closed form is set against heads that see what it sees."""
    ledger = made(tmp_path, {"class_mean": 0.5, "fc": 0.8, "gap": 0.85}, seeds=2)
    closed_form(ledger, "class_mean", 0)
    content = ledger.file.model_dump(mode="json")
    content["study"]["backbone"]["train"] = "none"
    frozen = replace(ledger, file=ledger.file.model_validate(content))
    assert summarize(StudyData(ledger)).untrained == ["class_mean"]
    assert summarize(StudyData(frozen)).untrained == []


def test_single_runs_that_stayed_at_the_largest_class_are_told(tmp_path: Path) -> None:
    """Else 52.7, 50.0 and 76.5 % of one head are read as a mean that any run may have."""
    ledger = made(tmp_path, {"fc": 0.8, "gap": 0.85}, seeds=3)
    for seed, train in ((0, 0.533), (2, 0.5)):
        add_run(ledger, "fc", seed, skill=0.52)
        path = ledger.run_folder("fc", seed) / "history.jsonl"
        values = {"accuracy": train, "train_accuracy": train, "val_accuracy": 0.505}
        lines = [json.loads(line) | values for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = summarize(StudyData(ledger))
    assert (summary.at_majority, summary.stuck) == ([], [])
    (note,) = (note for note in summary.notes if "largest class" in note)
    assert stated(note, "fc")[:5] == ["fc", "2", "3", "0", "2"]
    assert stated(note)[-1] == "5"


@pytest.mark.parametrize(
    ("share", "near"), [(0.5, 0.05), (0.1, 0.01), (0.95, 0.005), (0.001, 0.0001)]
)
def test_near_the_largest_class_is_by_what_there_is_to_learn(share: float, near: float) -> None:
    """Else 8 % of a thousand classes, or 99 % where 95 are one, count as nothing learned."""
    assert room(share) == pytest.approx(near)


WAYS = ("more epochs", "smaller batches", "more training images", "augmentation", "pretrained")


@pytest.mark.parametrize(
    ("fitting", "recipe", "backbone", "advised", "next_step"),
    [
        ((), {}, {}, ["more epochs", "smaller batches"], "longer"),
        (("fc",), {}, {}, list(WAYS), "longer"),
        (("fc", "gap"), {}, {}, list(WAYS[2:]), "more training images"),
        (("fc", "gap"), {"augment": AugmentSpec(flip=True)}, {"weights": "pretrained"},
         ["more training images"], "more training images"),
    ],
)  # fmt: skip
def test_heads_that_fit_their_training_images_are_not_sent_to_train_longer(
    fitting: tuple[str, ...],
    recipe: dict[str, object],
    backbone: dict[str, object],
    advised: list[str],
    next_step: str,
    tmp_path: Path,
) -> None:
    """Else hours of further epochs go into heads that have nothing left to learn."""
    ledger = made(tmp_path, {"fc": 0.50, "gap": 0.50}, seeds=2)
    for place, head in enumerate(fitting):
        accuracy = 0.996 - 0.02 * place
        change_epochs(ledger, head, accuracy=accuracy, train_accuracy=accuracy)
    summary = summarize(StudyData(ledger))
    study = summary.file.study
    study = study.model_copy(
        update={
            "recipe": study.recipe.model_copy(update=recipe),
            "backbone": study.backbone.model_copy(update=backbone),
        }
    )
    summary = replace(summary, file=summary.file.model_copy(update={"study": study}))
    found = answer(summary)
    assert found.certainty == "unlearned"
    # Of a head that fits, "more epochs do not help".
    told = [way for way in WAYS if re.search(rf"{way}(?! do not)", found.more)]
    assert (told, "labels" in found.more) == (advised, True)
    shares = {(): [], ("fc",): ["fc", "99.6"], ("fc", "gap"): ["fc", "gap", "97.6", "99.6"]}
    of_those = found.more.partition("data check). ")[2] if fitting == ("fc",) else found.more
    assert stated(of_those, "fc", "gap") == shares[fitting]
    assert next_step in brief(summary, found).next_step


def test_of_unlike_classes_fitting_is_more_than_always_the_largest(tmp_path: Path) -> None:
    """Else heads that only ever predict a class of 95 % "fit" their images."""
    ledger = made(tmp_path, {"fc": 0.50, "gap": 0.50}, seeds=1)
    for head, accuracy in (("fc", 0.96), ("gap", 0.999)):
        change_epochs(ledger, head, accuracy=accuracy, train_accuracy=accuracy)
    summary = summarize(StudyData(ledger))
    assert list(summary.fitted) == ["fc", "gap"]
    unlike = replace(summary, baseline=replace(summary.baseline, train=0.95))
    assert unlike.fitted == {"gap": pytest.approx(0.999)}


def test_heads_in_closed_form_are_not_sent_to_train_at_all(tmp_path: Path) -> None:
    """Else whoever compares two class means is told to raise their epochs."""
    ledger = made(tmp_path, {"class_mean": 0.50, "gap": 0.50}, seeds=1)
    for path in ledger.out.glob("runs/*/*/run.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"epochs": 1, "best_epoch": 1}))
        history = path.with_name("history.jsonl")
        history.write_text(history.read_text().splitlines()[0] + "\n")
    more = answer(summarize(StudyData(ledger))).more
    assert [way for way in WAYS if way in more] == ["more training images", "pretrained"]


@pytest.mark.parametrize(("reached", "advised"), [(0.99, "more training images"), (0.6, "longer")])
def test_a_stuck_head_that_ends_by_fitting_is_not_sent_to_train_longer(
    reached: float, advised: str, tmp_path: Path
) -> None:
    """Else the page's next step is more epochs for a head that knows its images by heart."""
    ledger = made(tmp_path, {"fc": 0.50, "gap": 0.85}, seeds=7)
    change_epochs(ledger, "fc", accuracy=0.5, train_accuracy=0.5, val_accuracy=0.5)
    for path in ledger.out.glob("runs/fc/*/run.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"best_epoch": 1}))
        history = path.with_name("history.jsonl")
        *first, last = (json.loads(line) for line in history.read_text().splitlines())
        last |= {"accuracy": reached, "train_accuracy": reached, "val_accuracy": 0.48}
        history.write_text("".join(json.dumps(line) + "\n" for line in (*first, last)))
    summary = summarize(StudyData(ledger))
    assert summary.stuck == ["fc"]
    assert ("fc" in summary.fitted) == (reached > 0.9)
    undecided = replace(answer(summary), certainty="open", chosen="")
    assert advised in brief(summary, undecided).next_step
