"""The answer in words: what a manager reads must be what the numbers say, and no more."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from headtohead.core.text import counted, minus, names, points
from headtohead.report.page.answer import answer, fewer_parameters
from headtohead.report.summary import Summary, summarize
from headtohead.study_data import StudyData
from ledgers import add_run, change_epochs, full_ledger, study_ledger


def judged(out: Path, skills: Mapping[str, float], seeds: int = 7) -> Summary:
    """A study in which every run of a head scores its skill, a point more on odd seeds."""
    ledger = study_ledger(out, heads=list(skills), seeds=seeds, epochs=2, reference="gap")
    for seed in range(seeds):
        for head, skill in skills.items():
            add_run(ledger, head, seed, skill=skill + 0.01 * (seed % 2))
    return summarize(StudyData(ledger))


def test_as_good_with_fewer_parameters_is_chosen(tmp_path: Path) -> None:
    """The sentence of the issue this product answers: equally good, so take the small one."""
    found = answer(judged(tmp_path, {"fc": 0.85, "gap": 0.85}))
    assert found.certainty == "decided"
    assert found.sentence == (
        "gap is at least as good as fc within one point. "
        "Choose gap: 24 times fewer parameters than fc."
    )
    assert found.reasons == (
        "gap and fc are level in test accuracy on average; no interval: all 7 "
        "differences are equal.",
    )


def test_better_and_as_good_are_told_apart(tmp_path: Path) -> None:
    """ "Beats" is said of what was beaten alone."""
    found = answer(judged(tmp_path, {"fc": 0.80, "fc_dropout": 0.85, "gap": 0.85}))
    assert found.sentence == (
        "gap is at least as good as fc_dropout within one point, and it beats fc. "
        "Choose gap: 24 times fewer parameters than fc."
    )


def test_the_page_does_not_contradict_its_table(tmp_path: Path) -> None:
    """The table marks the best on validation: where that is another head, the answer says so."""
    summary = judged(tmp_path, {"fc_dropout": 0.8549, "gap": 0.85})
    assert summary.winner is not None
    assert summary.winner.head == "fc_dropout"
    found = answer(summary)
    assert found.sentence.endswith("Choose gap: 24 times fewer parameters than fc_dropout.")
    assert found.more.startswith("By mean validation accuracy alone fc_dropout would be taken (")


def test_a_beaten_reference_is_not_chosen(tmp_path: Path) -> None:
    """A page that praises its reference whatever the numbers is worth nothing."""
    found = answer(judged(tmp_path, {"fc": 0.92, "gap": 0.85}))
    assert found.certainty == "decided"
    assert found.sentence == (
        "fc beats gap by 7.0 points of test accuracy, with 24 times more parameters. Choose fc."
    )
    assert found.reasons[0].startswith("fc is 7.0 points of test accuracy ahead of gap")


def test_of_several_better_heads_validation_chooses(tmp_path: Path) -> None:
    """The head that is best on the test split, taken for it, would be a test of nothing."""
    ledger = study_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=7, epochs=2)
    for seed in range(7):
        for head, skill in (("fc", 0.92), ("fc_dropout", 0.95), ("gap", 0.85)):
            add_run(ledger, head, seed, skill=skill + 0.01 * (seed % 2))
    found = answer(summarize(StudyData(ledger)))
    assert found.sentence == (
        "fc (by 7.0 points) and fc_dropout (by 10.0 points) beat gap on test accuracy. Choose "
        "fc_dropout: of these it does best on validation, with 24 times more parameters than gap."
    )
    change_epochs(ledger, "fc", val_accuracy=0.99)
    assert "Choose fc: of these it does best" in answer(summarize(StudyData(ledger))).sentence


def test_too_few_seeds_decide_nothing(tmp_path: Path) -> None:
    """Seven points apart on two seeds: chance does that, too."""
    found = answer(judged(tmp_path, {"fc": 0.78, "gap": 0.85}, seeds=2))
    assert found.certainty == "open"
    assert found.sentence == (
        "Not decided: 2 seeds cannot tell a difference from chance; it takes at least 6."
    )
    assert found.more.startswith("So far gap does best on the validation images")
    assert found.more.endswith("with 24 times fewer parameters than fc.")


def test_what_is_settled_and_what_is_open_are_both_said(tmp_path: Path) -> None:
    """One comparison came to its end, the other did not: not decided is not nothing known."""
    ledger = study_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=7, epochs=2)
    noise = (0.03, -0.04, 0.02, 0.04, -0.03, 0.05, -0.02)
    for seed in range(7):
        add_run(ledger, "gap", seed, skill=0.85)
        add_run(ledger, "fc", seed, skill=0.75 + 0.01 * (seed % 2))
        add_run(ledger, "fc_dropout", seed, skill=0.85 + noise[seed])
    found = answer(summarize(StudyData(ledger)))
    assert found.certainty == "open"
    assert found.sentence == (
        "gap beats fc. Against fc_dropout no head is shown to be better. gap needs 24 times fewer "
        "parameters than fc."
    )
    assert "fc_dropout was 0.7 points of test accuracy ahead of gap on average" in found.more
    assert "which may be chance. It would take more than 200 seeds to settle" in found.more
    assert found.reasons[1].endswith("points: either may be ahead.")


def test_an_interval_without_zero_that_decides_nothing_says_why(tmp_path: Path) -> None:
    """ "Between +0.5 and +1.5 points" under "not decided" reads like a mistake."""
    ledger = study_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=7, epochs=2)
    for seed, lead in enumerate((0.05, 0.07, 0.06, 0.05, 0.0, 0.01, -0.01)):
        add_run(ledger, "gap", seed, skill=0.80 + lead)
        for other in ("fc", "fc_dropout"):
            add_run(ledger, other, seed, skill=0.80)
    found = answer(summarize(StudyData(ledger)))
    assert re.search(r"About \d\d seeds would settle a lead of that size", found.more)
    reason = found.reasons[0]
    assert "gap's true lead on this split lies between +0." in reason
    assert "Not decided all the same: the largest p of the three tests, adjusted for 2 " in reason
    assert reason.endswith(
        "above 0.05: decided by the sign-flip test, whose 97.5 % interval (Holm's level 0.025) is "
        "−1.00 to +7.00 points."
    )
    shown = re.search(r"is (\S+), above 0\.05:", reason)
    assert shown is not None
    assert float(shown[1]) > 0.05


def test_what_rounds_to_nothing_is_level(tmp_path: Path) -> None:
    """ "0.0 points ahead" names a winner of nothing, and one seed has no average."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=7, epochs=2, per_class=5000)
    for seed in range(7):
        add_run(ledger, "gap", seed, skill=0.85)
        add_run(ledger, "fc", seed, skill=0.85 + 0.02 * (-1) ** seed)
    said = answer(summarize(StudyData(ledger)))
    one = full_ledger(tmp_path / "one", heads=("fc", "gap"), seeds=1, epochs=1)
    (reason,) = answer(summarize(StudyData(one))).reasons
    assert "0.0 points" not in " ".join((said.sentence, said.more, *said.reasons))
    assert "on average" not in reason
    assert reason.endswith("from one seed: no interval can be given.")


def test_a_head_without_runs_leaves_the_choice_open(tmp_path: Path) -> None:
    """Nobody may read "choose gap" while a candidate has not started."""
    ledger = study_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=7, epochs=2)
    for seed in range(7):
        add_run(ledger, "gap", seed, skill=0.85)
        add_run(ledger, "fc", seed, skill=0.75 + 0.01 * (seed % 2))
    found = answer(summarize(StudyData(ledger)))
    assert found.certainty == "open"
    assert "Choose" not in found.sentence


def test_without_the_reference_nothing_is_compared(tmp_path: Path) -> None:
    """The study was stopped before the reference's first run ended."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2)
    add_run(ledger, "fc", 0)
    found = answer(summarize(StudyData(ledger)))
    assert (found.certainty, found.sentence) == ("nothing", "Nothing can be compared yet.")
    assert "gap, the reference, and another head must have finished the same seed" in found.more


@pytest.mark.parametrize(
    ("heads", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), ([*"abc"], "a, b and c")]
)
def test_names(heads: list[str], text: str) -> None:
    """Lists read like a sentence."""
    assert names(heads) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mean -0.05, -3.3 to (-1)", "mean −0.05, −3.3 to (−1)"),
        ("p = 1e-05 of quick-7, 0-2, --seeds 7", "p = 1e-05 of quick-7, 0-2, --seeds 7"),
    ],
)
def test_one_kind_of_minus(text: str, shown: str) -> None:
    """Two signs for one thing in a column of numbers; a command's hyphens must stay."""
    assert minus(text) == shown


def test_margins_and_ratios_read_like_a_sentence(tmp_path: Path) -> None:
    """ "Within 0.5 points", "24 times fewer", and no ratio where there is nothing to boast of."""
    assert [points(0.01), points(0.005)] == ["one point", "0.5 points"]
    told = [counted(number, "point") for number in (1, 2498, 1.0, 0.5)]
    assert told == ["1 point", "2,498 points", "1 point", "0.5 points"]
    summary = summarize(
        StudyData(full_ledger(tmp_path, heads=("fc", "gap", "avgpool2x2"), seeds=1, epochs=1))
    )
    assert fewer_parameters(summary, "gap", ["fc", "avgpool2x2"]) == (
        "24 times fewer parameters than fc"
    )
    assert fewer_parameters(summary, "gap", ["avgpool2x2"]) == (
        "1.2 times fewer parameters than avgpool2x2"
    )
    assert fewer_parameters(summary, "fc", ["gap"]) == ""
