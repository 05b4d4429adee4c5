"""The answer in words: what a manager reads must be what the numbers say, and no more."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from headtohead.core.text import counted, minus, names, points, seconds_text, signed, with_sign
from headtohead.report.page.answer import answer
from headtohead.report.page.parameter_words import fewer_parameters
from headtohead.report.summary import Summary, summarize
from headtohead.study_data import StudyData
from ledgers import add_run, change_epochs, full_ledger, study_ledger
from stated import stated

HEADS = ("fc", "fc_dropout", "gap", "avgpool2x2")


def judged(
    out: Path, skills: Mapping[str, float], seeds: int = 7, pairs: Sequence[str] | None = None
) -> Summary:
    """A study in which every run of a head scores its skill, a point more on odd seeds."""
    ledger = study_ledger(
        out, heads=list(skills), seeds=seeds, epochs=2, reference="gap", pairs=pairs
    )
    for seed in range(seeds):
        for head, skill in skills.items():
            add_run(ledger, head, seed, skill=skill + 0.01 * (seed % 2))
    return summarize(StudyData(ledger))


def test_as_good_with_fewer_parameters_is_chosen(tmp_path: Path) -> None:
    """The sentence of the issue this product answers: equally good, so take the small one."""
    found = answer(judged(tmp_path, {"fc": 0.85, "gap": 0.85}))
    assert (found.certainty, found.chosen) == ("decided", "gap")
    assert stated(found.sentence, *HEADS, "beats", "one point", "Choose", "fewer") == [
        *("gap", "fc", "one point"),
        *("Choose", "gap", "24", "fewer", "fc"),
    ]
    (reason,) = found.reasons
    assert stated(reason, *HEADS, "level", "ahead", "no interval") == [
        *("gap", "fc", "level", "no interval", "7"),
    ]


def test_better_and_as_good_are_told_apart(tmp_path: Path) -> None:
    """ "Beats" is said of what was beaten alone."""
    found = answer(judged(tmp_path, {"fc": 0.80, "fc_dropout": 0.85, "gap": 0.85}))
    assert found.chosen == "gap"
    assert stated(found.sentence, *HEADS, "beats", "one point", "Choose", "fewer") == [
        *("gap", "fc_dropout", "one point", "beats", "fc"),
        *("Choose", "gap", "24", "fewer", "fc"),
    ]


def test_the_page_does_not_contradict_its_table(tmp_path: Path) -> None:
    """The table marks the best on validation: where that is another head, the answer says so."""
    summary = judged(tmp_path, {"fc_dropout": 0.8549, "gap": 0.85})
    assert summary.winner is not None
    assert summary.winner.head == "fc_dropout"
    found = answer(summary)
    assert found.chosen == "gap"
    assert stated(found.sentence, *HEADS, "Choose", "fewer")[-5:] == [
        *("Choose", "gap", "24", "fewer", "fc_dropout"),
    ]
    assert stated(found.more, *HEADS, "validation")[:2] == ["validation", "fc_dropout"]


def test_a_verdict_that_does_not_exist_is_not_named(tmp_path: Path) -> None:
    """Else a reader looks for a verdict on the best head, and there is none."""
    skills = {"fc": 0.75, "mlp": 0.86, "gmp": 0.8, "gap": 0.85}
    summary = judged(tmp_path, skills, pairs=["fc"])
    assert summary.winner is not None
    assert summary.winner.head == "mlp"
    found = answer(summary)
    assert found.chosen == "gap"
    share = f"{100 * summary.winner.validation:.1f}"
    words = (*skills, "no verdict", "verdicts say", "estimate")
    assert stated(found.more, *words) == [
        *("mlp", share, "no verdict", "mlp", "gap", "estimate", "gap", "mlp", "−1.0"),
        *("gmp", "no verdict"),
    ]
    wanted = ("test_accuracy", "gap", "mlp")
    (item,) = (e for e in summary.estimates if (e.metric, e.first, e.second) == wanted)
    over = replace(item.over_seeds, mean=-0.01, low=-0.015, high=-0.005)
    other = replace(item, first="mlp", second="gap", over_seeds=over)
    told = answer(replace(summary, estimates=(other,))).more
    assert stated(told, "gap minus mlp")[1:5] == ["gap minus mlp", "+1.0", "+0.5", "+1.5"]


def test_an_open_study_does_not_hide_that_its_best_head_has_no_verdict(tmp_path: Path) -> None:
    """Else the head that does best seems to be one of those that were compared."""
    ledger = study_ledger(tmp_path, heads=("fc", "mlp", "gmp", "gap"), seeds=7, pairs=["fc"])
    noise = (0.03, -0.04, 0.02, 0.04, -0.03, 0.05, -0.02)
    for seed in range(7):
        for head, skill in (("fc", 0.84 + noise[seed]), ("mlp", 0.9), ("gmp", 0.8), ("gap", 0.85)):
            add_run(ledger, head, seed, skill=skill)
    found = answer(summarize(StudyData(ledger)))
    assert found.certainty == "open"
    told = stated(found.more.partition("On the validation")[2], "mlp", "gmp", "no verdict")
    assert [word for word in told if not word[0].isdigit()] == [
        *("mlp", "no verdict", "mlp"),
        *("gmp", "no verdict"),
    ]


def test_a_beaten_reference_is_not_chosen(tmp_path: Path) -> None:
    """A page that praises its reference whatever the numbers is worth nothing."""
    found = answer(judged(tmp_path, {"fc": 0.92, "gap": 0.85}))
    assert (found.certainty, found.chosen) == ("decided", "fc")
    assert stated(found.sentence, *HEADS, "beats", "more", "fewer", "Choose") == [
        *("fc", "beats", "gap", "7.0", "24", "more", "Choose", "fc"),
    ]
    assert stated(found.reasons[0], *HEADS, "ahead")[:4] == ["fc", "7.0", "ahead", "gap"]


def test_of_several_better_heads_validation_chooses(tmp_path: Path) -> None:
    """The head that is best on the test split, taken for it, would be a test of nothing."""
    ledger = study_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=7, epochs=2)
    for seed in range(7):
        for head, skill in (("fc", 0.92), ("fc_dropout", 0.95), ("gap", 0.85)):
            add_run(ledger, head, seed, skill=skill + 0.01 * (seed % 2))
    found = answer(summarize(StudyData(ledger)))
    assert found.chosen == "fc_dropout"
    words = (*HEADS, "beat", "Choose", "validation", "more", "fewer")
    assert stated(found.sentence, *words) == [
        *("fc", "7.0", "fc_dropout", "10.0", "beat", "gap"),
        *("Choose", "fc_dropout", "validation", "24", "more", "gap"),
    ]
    change_epochs(ledger, "fc", val_accuracy=0.99)
    other = answer(summarize(StudyData(ledger)))
    assert other.chosen == "fc"
    assert stated(other.sentence, *words)[6:] == [
        *("Choose", "fc", "validation", "24", "more", "gap"),
    ]


def test_too_few_seeds_decide_nothing(tmp_path: Path) -> None:
    """Seven points apart on two seeds: chance does that, too."""
    summary = judged(tmp_path, {"fc": 0.78, "gap": 0.85}, seeds=2)
    found = answer(summary)
    assert summary.winner is not None
    best = f"{100 * summary.winner.validation:.1f}"
    assert (found.certainty, found.chosen) == ("open", "")
    assert stated(found.sentence, *HEADS, "Not decided") == ["Not decided", "2", "6"]
    assert stated(found.more, *HEADS, "best", "validation", "fewer") == [
        *("gap", "best", "validation", best, "24", "fewer", "fc"),
    ]


def test_what_is_settled_and_what_is_open_are_both_said(tmp_path: Path) -> None:
    """One comparison came to its end, the other did not: not decided is not nothing known."""
    ledger = study_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=7, epochs=2)
    noise = (0.03, -0.04, 0.02, 0.04, -0.03, 0.05, -0.02)
    for seed in range(7):
        add_run(ledger, "gap", seed, skill=0.85)
        add_run(ledger, "fc", seed, skill=0.75 + 0.01 * (seed % 2))
        add_run(ledger, "fc_dropout", seed, skill=0.85 + noise[seed])
    found = answer(summarize(StudyData(ledger)))
    assert (found.certainty, found.chosen) == ("open", "")
    assert stated(found.sentence, *HEADS, "beats", "no head", "better", "fewer") == [
        *("gap", "beats", "fc", "fc_dropout", "no head", "better"),
        *("gap", "24", "fewer", "fc"),
    ]
    assert stated(found.more, *HEADS, "ahead", "chance", "more than", "seeds")[:7] == [
        *("fc_dropout", "0.7", "ahead", "gap", "chance", "more than", "200"),
    ]
    assert found.reasons[1].endswith("either may be ahead.")


def test_an_interval_without_zero_that_decides_nothing_says_why(tmp_path: Path) -> None:
    """ "Between +0.5 and +1.5 points" under "not decided" reads like a mistake."""
    ledger = study_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=7, epochs=2)
    for seed, lead in enumerate((0.05, 0.07, 0.06, 0.05, 0.0, 0.01, -0.01)):
        add_run(ledger, "gap", seed, skill=0.80 + lead)
        for other in ("fc", "fc_dropout"):
            add_run(ledger, other, seed, skill=0.80)
    found = answer(summarize(StudyData(ledger)))
    assert re.search(r" \d\d seeds ", found.more)
    confidence, low, high, *why = stated(found.reasons[0].partition("; ")[2], "Not decided")
    assert (confidence, why[0]) == ("95", "Not decided")
    assert 0 < float(low) < float(high)
    compared, p, *deciding = stated(found.reasons[0].partition("Not decided")[2], "sign-flip")
    assert compared == "2"
    assert float(p) > 0.05
    assert deciding == ["0.05", "sign-flip", "97.5", "0.025", "−1.00", "+7.00"]


def test_a_lower_bound_above_the_margin_that_decides_nothing_says_why(tmp_path: Path) -> None:
    """Else "either may be ahead" hides which test stood against "at least as good"."""
    ledger = study_ledger(tmp_path, heads=("cosine", "gap"), seeds=7, epochs=2, per_class=500)
    for seed, lead in enumerate((0.0, -0.01, -0.004, -0.002, 0.0, 0.002, 0.0)):
        add_run(ledger, "gap", seed, skill=0.80 + lead)
        add_run(ledger, "cosine", seed, skill=0.80)
    summary = summarize(StudyData(ledger))
    (item,) = summary.comparisons
    assert item.comparison.difference.low is not None
    assert item.comparison.difference.low > -0.01
    assert item.comparison.not_worse.outcome == "inconclusive"
    told = answer(summary).reasons[0].partition("either may be ahead")[2]
    said = stated(told, "gap", "cosine", "Hall")
    assert said[-6:-1] == ["cosine", "−1", "Hall", *said[-3:-1]]
    p, level, bound = said[-3:]
    assert float(p) > float(level) == 0.025
    assert float(bound.replace("−", "-")) < -1


def test_an_end_of_an_interval_that_is_not_zero_is_not_shown_as_zero(tmp_path: Path) -> None:
    """ "Between 0.0 and +0.8" of −0.03 to +0.81 hides that either may be ahead."""
    assert [signed(value) for value in (-0.031, 0.04, 0.0, -0.0, 0.81, -12.34, 0.0004)] == [
        *("−0.03", "+0.04", "0.0", "0.0", "+0.8", "−12.3", "+0.0004"),
    ]


def test_zero_has_no_minus_and_what_is_not_zero_is_not_shown_as_zero() -> None:
    """Else "-0.00 points" is a loss that there is not, and 0.035 s took "0 s"."""
    assert [with_sign(value) for value in (-1e-17, 0.0, -0.0, -0.004, 0.371)] == [
        *("+0.00", "+0.00", "+0.00", "-0.004", "+0.37"),
    ]
    assert [with_sign(value, 1) for value in (-1e-9, -0.012, 9.96)] == ["+0.0", "-0.01", "+10.0"]
    shown = [seconds_text(value) for value in (0.0351, 1.24, 12.4, 1234.0, 0.0)]
    assert shown == ["0.035 s", "1.2 s", "12 s", "1,234 s", "0 s"]


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
    assert stated(reason, "one seed", "no interval")[-2:] == ["one seed", "no interval"]


def test_a_head_without_runs_leaves_the_choice_open(tmp_path: Path) -> None:
    """Nobody may read "choose gap" while a candidate has not started."""
    ledger = study_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=7, epochs=2)
    for seed in range(7):
        add_run(ledger, "gap", seed, skill=0.85)
        add_run(ledger, "fc", seed, skill=0.75 + 0.01 * (seed % 2))
    found = answer(summarize(StudyData(ledger)))
    assert (found.certainty, found.chosen) == ("open", "")
    assert "Choose" not in found.sentence


def test_without_the_reference_nothing_is_compared(tmp_path: Path) -> None:
    """The study was stopped before the reference's first run ended."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2)
    add_run(ledger, "fc", 0)
    found = answer(summarize(StudyData(ledger)))
    assert (found.certainty, found.chosen) == ("nothing", "")
    assert stated(found.more, *HEADS, "reference", "same seed")[:4] == [
        *("gap", "reference", "same seed", "fc"),
    ]


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


def frozen(summary: Summary) -> Summary:
    """The same numbers of a study whose backbone is not trained."""
    study = summary.file.study
    backbone = study.backbone.model_copy(update={"train": "none"})
    study = study.model_copy(update={"backbone": backbone})
    return replace(summary, file=summary.file.model_copy(update={"study": study}))


def test_the_best_so_far_is_not_compared_with_an_outlier(tmp_path: Path) -> None:
    """Else any head looks small beside the one that is largest of forty."""
    summary = judged(tmp_path, {"fc": 0.7, "avgpool2x2": 0.9, "gap": 0.8}, seeds=2)
    words = (*HEADS, "fewer", "more", "parameters", "head parameters")
    told = stated(answer(summary).more, *words)
    assert told[-4:] == ["1.2", "more", "parameters", "gap"]
    told = stated(answer(frozen(summary)).more, *words)
    assert told[-4:] == ["31", "more", "head parameters", "gap"]


@pytest.mark.parametrize(
    ("reference", "pairs", "told", "told_if_frozen"),
    [
        ("gap", ["fc", "gmp"], [], ["gap", "4,099", "fewer", "fc"]),
        ("gap", ["fc"], ["gap", "24", "fewer", "fc"], ["gap", "4,099", "fewer", "fc"]),
        ("mlp", ["gmp"], [], []),
        ("mlp", ["fc"], ["mlp", "23", "fewer", "fc"], ["mlp", "676", "fewer", "fc"]),
    ],
)
def test_only_the_lightest_of_the_compared_heads_is_praised_for_it(
    reference: str, pairs: list[str], told: list[str], told_if_frozen: list[str], tmp_path: Path
) -> None:
    """Else one of thirteen heads of one size is taken for it, or one that was not compared."""
    heads = ("fc", "mlp", "gmp", "gap")
    ledger = study_ledger(tmp_path, heads=heads, seeds=7, pairs=pairs, reference=reference)
    noise = (0.03, -0.04, 0.02, 0.04, -0.03, 0.05, -0.02)
    for seed in range(7):
        for head in heads:
            add_run(ledger, head, seed, skill=0.85 + (head != reference) * noise[seed])
    summary = summarize(StudyData(ledger))
    words = (*heads, "fewer", "better.")
    for one, expected in ((summary, told), (frozen(summary), told_if_frozen)):
        found = answer(one)
        assert found.certainty == "open"
        assert stated(found.sentence.partition("better.")[2], *words) == expected


def test_a_head_without_parameters_divides_nothing(tmp_path: Path) -> None:
    """Else a report of `class_mean` on a frozen backbone stops with an error."""
    summary = frozen(judged(tmp_path, {"fc": 0.7, "gap": 0.8}, seeds=2))
    none = summary.heads[1].parameters.model_copy(update={"head": 0})
    summary = replace(summary, heads=(summary.heads[0], replace(summary.heads[1], parameters=none)))
    assert fewer_parameters(summary, "gap", ["fc"]) == ""


def test_margins_and_ratios_read_like_a_sentence(tmp_path: Path) -> None:
    """ "Within 0.5 points", "24 times fewer", and no ratio where there is nothing to boast of."""
    assert [points(0.01), points(0.005)] == ["one point", "0.5 points"]
    told = [counted(number, "point") for number in (1, 2498, 1.0, 0.5)]
    assert told == ["1 point", "2,498 points", "1 point", "0.5 points"]
    summary = summarize(
        StudyData(full_ledger(tmp_path, heads=("fc", "gap", "avgpool2x2"), seeds=1, epochs=1))
    )
    many = fewer_parameters(summary, "gap", ["fc", "avgpool2x2"])
    assert stated(many, *HEADS, "fewer") == ["24", "fewer", "fc"]
    some = fewer_parameters(summary, "gap", ["avgpool2x2"])
    assert stated(some, *HEADS, "fewer") == ["1.2", "fewer", "avgpool2x2"]
    assert fewer_parameters(summary, "fc", ["gap"]) == ""
