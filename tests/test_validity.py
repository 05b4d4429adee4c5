"""What a reader must know first: heads that cannot be judged, heads that learned nothing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from headtohead.analysis.baseline import Standing
from headtohead.core.errors import UsageError
from headtohead.deploy.runs import chosen
from headtohead.report.formats.summary import summary_json
from headtohead.report.formats.terminal import render_text
from headtohead.report.page.answer import answer, opening
from headtohead.report.page.brief import brief
from headtohead.report.page.content import gather
from headtohead.report.page.html import arrange
from headtohead.report.page.validity import why_and_remedy
from headtohead.report.remedy import remedy
from headtohead.report.summary import Summary, summarize
from headtohead.stats.over_images import PictureInterval
from headtohead.store.ledger import Ledger
from headtohead.store.records import Failure
from headtohead.study_data import StudyData
from ledgers import add_run, change_epochs, made, study_ledger
from stated import stated

SEEDS = 7
HEADS = ("fc", "fc_dropout", "gap")


def outcomes(summary: Summary) -> dict[str, str]:
    """Other head → outcome of "the reference beats it"."""
    return {item.other: item.comparison.better.outcome for item in summary.comparisons}


def test_a_head_that_lags_is_not_judged_and_the_others_are(tmp_path: Path) -> None:
    """Else batch norm's lag decides which head is chosen."""
    ledger = made(tmp_path, {"fc": 0.70, "fc_dropout": 0.75, "gap": 0.85})
    assert outcomes(summarize(StudyData(ledger))) == {"fc": "supported", "fc_dropout": "supported"}
    change_epochs(ledger, "fc", accuracy=0.9, train_accuracy=0.86)
    summary = summarize(StudyData(ledger))
    assert outcomes(summary) == {"fc": "not judged", "fc_dropout": "supported"}
    assert {i.other: i.comparison.not_worse.outcome for i in summary.comparisons}["fc"] == (
        "not judged"
    )
    assert summary.lags["fc"].excess == pytest.approx(0.04)
    found = answer(summary)
    assert found.certainty == "unjudged"
    assert stated(found.sentence, *HEADS, "Not judged")[:3] == ["Not judged", "gap", "fc"]
    assert "gap beats fc_dropout" in found.sentence
    assert (found.chosen, "Choose" in found.sentence) == ("", False)


def test_a_reference_that_lags_leaves_nothing_to_judge(tmp_path: Path) -> None:
    """Every pair has the reference in it."""
    ledger = made(tmp_path, {"fc": 0.70, "fc_dropout": 0.75, "gap": 0.85})
    change_epochs(ledger, "gap", accuracy=0.99, train_accuracy=0.9)
    summary = summarize(StudyData(ledger))
    assert set(outcomes(summary).values()) == {"not judged"}
    for item in summary.comparisons:
        assert stated(item.comparison.better.rule, "gap")[:3] == ["gap", "99.0", "90.0"]


def test_the_remedy_comes_first_everywhere_and_is_not_more_seeds(tmp_path: Path) -> None:
    """Hours of further seeds would measure the same lag again."""
    ledger = made(tmp_path, {"fc": 0.70, "gap": 0.75}, seeds=2, batch_norm="moving")
    change_epochs(ledger, "gap", accuracy=0.99, train_accuracy=0.9)
    summary = summarize(StudyData(ledger))
    text = " ".join(render_text(summary).split())
    assert text.startswith("Not judged: ")
    assert "batch_norm: recomputed" in text.partition("best val.")[0]
    assert "needed" not in text
    assert "would settle" not in text
    found = json.loads(summary_json(summary))
    assert list(found)[:3] == ["format", "headline", "headline_more"]
    assert found["headline"].startswith("Not judged: ")
    assert found["certainty"] == "unjudged"
    page = arrange(gather(StudyData(ledger), summary))
    assert '<p class="answer">Not judged: ' in page
    assert '<span class="tag not-judged">not judged</span>' in page
    assert page.index("batch_norm: recomputed") < page.index('id="results"')


@pytest.mark.parametrize(
    ("batch_norm", "statistics", "schedule", "advised"),
    [
        ("moving", True, None, ["recomputed"]),
        ("moving", False, None, ["learning rate", "cosine"]),
        ("recomputed", True, None, ["learning rate", "cosine"]),
        ("frozen", True, None, ["learning rate", "cosine"]),
        ("recomputed", True, "cosine", ["learning rate"]),
    ],
)
def test_the_remedy_is_not_what_the_recipe_has_already(
    batch_norm: str, statistics: bool, schedule: str | None, advised: list[str], tmp_path: Path
) -> None:
    """Else whoever has recomputed statistics, or no batch norm, is sent to set them again."""
    ledger = made(tmp_path, {"fc": 0.70, "gap": 0.75}, seeds=1, batch_norm=batch_norm)
    change_epochs(ledger, "gap", accuracy=0.99, train_accuracy=0.9)
    summary = summarize(StudyData(ledger))
    recipe = summary.file.study.recipe.model_copy(update={"schedule": schedule})
    study = summary.file.study.model_copy(update={"recipe": recipe})
    heads = tuple(
        replace(
            head,
            parameters=head.parameters.model_copy(
                update={} if statistics else {"total": head.parameters.total - 224}
            ),
        )
        for head in summary.heads
    )
    summary = replace(summary, file=summary.file.model_copy(update={"study": study}), heads=heads)
    found = answer(summary)
    assert found.certainty == "unjudged"
    words = ("recomputed", "learning rate", "cosine")
    assert [word for word in words if word in found.more] == advised
    assert ("no batch norm" in found.more) == (not statistics)
    (item,) = summary.comparisons
    assert "batch-norm" not in item.comparison.better.rule


def test_a_lagging_head_outside_the_family_does_not_stop_the_answer(tmp_path: Path) -> None:
    """Else one exploratory head takes back a verdict that the study declared and reached."""
    skills = {"fc": 0.70, "fc_dropout": 0.75, "gap": 0.85}
    ledger = made(tmp_path, skills, pairs=["fc"])
    change_epochs(ledger, "fc_dropout", accuracy=0.99, train_accuracy=0.9)
    summary = summarize(StudyData(ledger))
    assert list(summary.lags) == ["fc_dropout"]
    found = answer(summary)
    assert (found.certainty, found.chosen) == ("decided", "gap")
    assert stated(found.sentence, *HEADS, "beats", "Not judged")[:3] == ["gap", "beats", "fc"]
    assert "learned: do not rely" in found.more.partition("fc_dropout")[2]
    assert why_and_remedy(summary) in found.more
    assert why_and_remedy(summary) in " ".join(opening(summary))


def test_heads_that_learned_nothing_are_not_chosen_beside_one_that_lags(tmp_path: Path) -> None:
    """Else "Choose gap" stands over two heads that only ever predict the largest class."""
    skills = {"fc": 0.5, "fc_dropout": 0.75, "gap": 0.5}
    ledger = made(tmp_path, skills, pairs=["fc"])
    change_epochs(ledger, "fc_dropout", accuracy=0.99, train_accuracy=0.9)
    summary = summarize(StudyData(ledger))
    assert (list(summary.lags), summary.at_majority) == (["fc_dropout"], ["fc", "gap"])
    found = answer(summary)
    assert (found.certainty in ("unlearned", "few"), found.chosen) == (True, "")


@pytest.mark.parametrize("seeds", [2, 7])
def test_judged_pairs_without_the_reference_stay_in_the_headline(
    seeds: int, tmp_path: Path
) -> None:
    """Else a declared verdict is silent because another pair of the family is not judged."""
    skills = {"fc": 0.70, "fc_dropout": 0.75, "gap": 0.85}
    pairs = [["fc_dropout", "fc"], "fc"]
    ledger = made(tmp_path, skills, seeds=seeds, pairs=pairs)
    for seed in range(seeds):
        add_run(ledger, "fc_dropout", seed, skill=0.80 + 0.01 * (seed % 3))
    change_epochs(ledger, "gap", accuracy=0.99, train_accuracy=0.9)
    summary = summarize(StudyData(ledger))
    found = answer(summary)
    assert found.certainty == "unjudged"
    first, rest = found.sentence.split(". ", 1) if seeds == 7 else found.sentence.split(". ")
    assert stated(first, *HEADS, "Not judged") == ["Not judged", "gap", "fc"]
    expected = ["fc_dropout", "beats", "fc"] if seeds == 7 else ["Not decided", "2", "7"]
    assert stated(rest, *HEADS, "beats", "Not decided") == expected


def test_one_lag_gives_one_note(tmp_path: Path) -> None:
    """A forecast of lag beside the lag that was measured is the same warning twice."""
    ledger = made(tmp_path, {"fc": 0.70, "gap": 0.75})
    notes = summarize(StudyData(ledger)).notes
    assert not any("Few steps" in note for note in notes), "measured: no lag"
    change_epochs(ledger, "gap", accuracy=0.99, train_accuracy=0.9)
    told = [n for n in summarize(StudyData(ledger)).notes if "Few steps" in n or "lag" in n]
    assert len(told) == 1


def test_a_head_at_the_largest_class_has_lost_fairly(tmp_path: Path) -> None:
    """It is judged like any other, and named in the headline."""
    ledger = made(tmp_path, {"fc": 0.50, "fc_dropout": 0.8, "gap": 0.85})
    change_epochs(ledger, "fc", accuracy=0.51, train_accuracy=0.51, val_accuracy=0.5)
    summary = summarize(StudyData(ledger))
    assert (summary.at_majority, summary.stuck) == (["fc"], ["fc"])
    assert not summary.nothing_learned
    assert outcomes(summary)["fc"] == "supported"
    found = answer(summary)
    assert found.certainty == "decided"
    last = found.sentence.rpartition(". ")[2]
    assert stated(last, *HEADS, "largest class") == ["fc", "largest class", "50.0"]
    assert found.sentence.count(". ") <= 2
    assert stated(found.more, *HEADS, "no better", "learned", "fairly")[:6] == [
        *("fc", "no better", "fc_dropout", "gap", "learned", "fairly"),
    ]
    assert " ".join(render_text(summary).split()).startswith(last)


def test_all_at_the_largest_class_have_learned_nothing(tmp_path: Path) -> None:
    """Two heads that are level at 50 % are no result, and further seeds none either."""
    ledger = made(tmp_path, {"fc": 0.50, "gap": 0.50}, seeds=2)
    summary = summarize(StudyData(ledger))
    assert summary.nothing_learned
    assert summary.at_majority == ["fc", "gap"]
    found = answer(summary)
    assert found.certainty == "unlearned"
    assert found.sentence.startswith("Nothing was learned")
    for word in ("more epochs", "smaller batches", "larger learning rate", "labels"):
        assert word in found.more
    assert "needed" not in render_text(summary)
    assert {i.comparison.better.outcome for i in summary.comparisons} == {"inconclusive"}
    assert not any("needed" in i.comparison.better.rule for i in summary.comparisons)
    assert '<span class="tag unlearned">' in arrange(gather(StudyData(ledger), summary))


@pytest.mark.parametrize(
    ("lead", "images", "certainty"),
    [(0.4, 12, "few"), (0.02, 12, "unlearned"), (-0.1, 12, "unlearned"), (0.4, 200, "unlearned")],
)
def test_a_test_split_too_small_to_show_a_lead_is_not_nothing_learned(
    lead: float, images: int, certainty: str, tmp_path: Path
) -> None:
    """Else whoever has 120 photographs trains longer, where test images are what is missing."""
    ledger = made(tmp_path, {"fc": 0.50, "gap": 0.50}, seeds=1)
    plain = summarize(StudyData(ledger))
    found = PictureInterval(lead, lead - 0.41, lead + 0.41, 0.05, images, images, 6, 1)
    summary = replace(
        plain,
        baseline=replace(plain.baseline, images=images),
        standings=(Standing("fc", found), Standing("gap", None)),
    )
    assert summary.nothing_learned
    assert answer(summary).certainty == certainty
    text = " ".join(render_text(summary).split("best val.")[0].split())
    assert (stated(text, "too few")[:2] == ["12", "too few"]) == (certainty == "few")
    assert ("139" in stated(text)) == (certainty == "few")
    assert ("more epochs" in text) == (certainty == "unlearned")


def test_lag_is_told_before_nothing_learned(tmp_path: Path) -> None:
    """Evaluated at 50 % and running at 90 %: much was learned, and evaluation hides it."""
    ledger = made(tmp_path, {"fc": 0.50, "gap": 0.50}, seeds=2)
    for head in ("fc", "gap"):
        change_epochs(ledger, head, accuracy=0.9, train_accuracy=0.5)
    summary = summarize(StudyData(ledger))
    assert not summary.nothing_learned
    assert summary.at_majority == []
    assert answer(summary).sentence.startswith("Not judged: ")


LOSS = Failure(reason="the training loss is not finite", epoch=1, step=3)


def diverged(out: Path, failing: dict[str, bool], seeds: int) -> Summary:
    """Every run of some heads failed; the others score 85 %."""
    ledger = study_ledger(out, heads=list(failing), seeds=seeds, epochs=2, reference="gap")
    for seed in range(seeds):
        for head, fails in failing.items():
            skill = 0.85 + 0.01 * (seed % 3)
            add_run(ledger, head, seed, skill=skill, failure=LOSS if fails else None)
    return summarize(StudyData(ledger))


@pytest.mark.parametrize("seeds", [1, 2, 7])
def test_where_every_run_failed_the_reason_and_the_remedy_are_told(
    seeds: int, tmp_path: Path
) -> None:
    """Else whoever has a learning rate of 10 trains more seeds, or "treats the heads as equal"."""
    summary = diverged(tmp_path, {"fc": True, "gap": True}, seeds)
    found = answer(summary)
    assert (found.certainty, found.chosen, found.reasons) == ("failed", "", ())
    assert stated(found.sentence)[0] == str(2 * seeds)
    assert LOSS.reason in found.sentence
    assert stated(found.more, "learning rate", "learning_rate") == [
        *("learning rate", "learning_rate", "0.001"),
    ]
    assert (summary.at_majority, summary.nothing_learned) == ([], False)
    outcomes = {
        verdict.outcome
        for item in summary.comparisons
        for verdict in (item.comparison.better, item.comparison.not_worse)
    }
    assert outcomes == {"inconclusive"}, "two heads that failed are not as good as one another"
    assert remedy(summary) is None
    text = render_text(summary)
    for wrong in ("needed", "equal", "at least", "+0.0", "--seeds", "finished yet"):
        assert wrong not in text
    page = gather(StudyData(Ledger.open(tmp_path)), summary)
    assert "learning rate" in page.brief.next_step
    assert '<span class="tag failed">' in arrange(page)
    assert json.loads(summary_json(summary))["certainty"] == "failed"


@pytest.mark.parametrize("seeds", [2, 7])
def test_a_head_all_of_whose_runs_failed_has_not_lost_fairly(seeds: int, tmp_path: Path) -> None:
    """Else a head that never trained is said to have learned nothing from the images."""
    summary = diverged(tmp_path, {"fc": True, "fc_dropout": False, "gap": False}, seeds)
    assert (summary.failed, summary.at_majority) == (["fc"], [])
    found = answer(summary)
    last = found.sentence.partition("Every run of ")[2]
    assert stated(last, *HEADS)[0] == "fc"
    assert LOSS.reason in last
    assert "fairly" not in found.more
    assert "largest class" not in found.sentence
    assert "learning rate of fc" in found.more
    assert "learning rate of fc" in " ".join(render_text(summary).split()).partition("best val.")[0]
    rule = summary.comparisons[0].comparison.better.rule
    assert ("needed" in rule, "fc" in rule) == (False, seeds < 7)


def test_no_seeds_are_advised_for_a_head_that_failed(tmp_path: Path) -> None:
    """Else hours go into more runs that diverge at the same learning rate."""
    summary = diverged(tmp_path, {"fc": True, "gap": False}, 2)
    assert remedy(summary) is None
    found = answer(summary)
    assert stated(found.sentence, "Not decided", *HEADS)[:2] == ["Not decided", "fc"]
    assert "needed" not in found.sentence
    assert "settle" not in found.more
    assert "needed" not in render_text(summary)
    assert "learning rate of fc" in brief(summary, found).next_step


def test_models_of_failed_runs_are_refused_with_the_reason(tmp_path: Path) -> None:
    """Else `predict` sends the user to run the same command, which fails again."""
    every = diverged(tmp_path / "every", {"fc": True, "gap": True}, 1)
    with pytest.raises(UsageError, match=f"{LOSS.reason}.*learning rate"):
        chosen(every, None, None)
    some = diverged(tmp_path / "some", {"fc": True, "gap": False}, 1)
    assert chosen(some, None, None) == [("gap", 0)]
    for ensemble in (False, True):
        with pytest.raises(UsageError, match=f"fc failed.*{LOSS.reason}.*learning rate of fc"):
            chosen(some, "fc", None, ensemble=ensemble)


def test_a_run_that_failed_among_others_is_no_failed_head(tmp_path: Path) -> None:
    """One divergence of seven is scored, not a reason to say that a head never trained."""
    ledger = made(tmp_path, {"fc": 0.70, "gap": 0.85})
    add_run(ledger, "fc", 3, failure=LOSS)
    summary = summarize(StudyData(ledger))
    assert summary.failed == []
    assert "failed" not in answer(summary).sentence
    assert outcomes(summary) == {"fc": "supported"}
