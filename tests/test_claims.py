"""The five claims: numbers in, verdicts out."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtohead.claims.base import JudgedClaim, Question, measure, pairs
from headtohead.claims.judge import decide
from headtohead.claims.parameters import ModelSize, fewer_parameters
from headtohead.claims.speed import Goal, Speeds, faster
from stated import stated

GOAL = Goal(target=0.8, horizon=10, majority=0.5, declared=True)
SEEDS = range(7)


def question(differences: list[float]) -> Question:
    return Question("it is better", "what is tested", dict(enumerate(differences)))


def decided(*questions: Question, level: float = 0.05) -> tuple[JudgedClaim, ...]:
    return decide({str(place): asked for place, asked in enumerate(questions)}, level)


def test_a_family_is_decided_together() -> None:
    """Else three chances to be lucky are sold as one."""
    clear = [0.05, 0.06, 0.055, 0.065, 0.05, 0.058, 0.062]
    found = decided(
        question(clear),
        question([-value for value in clear]),
        question([0.01, -0.01, 0.02, -0.02, 0.0, 0.01, -0.01]),
    )
    assert [claim.outcome for claim in found] == ["supported", "refuted", "inconclusive"]
    assert "Holm over 3" in found[0].rule
    assert found[0].rule.startswith("what is tested: ")


def test_a_question_without_evidence_makes_the_others_no_easier() -> None:
    """Else deleting evidence turns an open claim into a proven one."""
    six = [0.05, 0.06, 0.055, 0.065, 0.05, 0.058]  # sign-flip p = 2/64: enough for one test alone
    alone = decided(question(six))
    assert alone[0].outcome == "supported"
    found = decided(question(six), question([]), question([]))
    assert [claim.outcome for claim in found] == ["inconclusive"] * 3
    assert stated(found[0].rule, "needed") == ["6", "7", "needed"]
    assert stated(found[1].rule, "needed") == ["0", "7", "needed"]


@given(st.lists(st.floats(-1, 1), max_size=6), st.lists(st.floats(-1, 1), max_size=6))
def test_too_few_seeds_decide_nothing(first: list[float], second: list[float]) -> None:
    """Else a study of two seeds hands out verdicts."""
    found = decided(question(first), question(second), question([]))
    assert {claim.outcome for claim in found} == {"inconclusive"}


def test_pairs_take_only_seeds_that_both_have() -> None:
    """Else seeds of one head are compared with other seeds of the other."""
    values = {"a": {0: 1.0, 1: 2.0, 3: 4.0}, "b": {1: 0.5, 3: 1.0, 4: 9.0}}
    assert pairs(values, "a", "b", range(5)) == {1: 1.5, 3: 3.0}
    assert pairs(values, "a", "b", [3]) == {3: 3.0}
    assert pairs(values, "a", "nobody", range(5)) == {}


def test_a_measure_is_the_mean_over_seeds() -> None:
    """Else tables show one seed, or a head without values as nought."""
    found = measure("x", "share", {"a": {0: 0.1, 1: 0.3}, "b": {}, "c": {0: 0.1, 1: -0.1}})
    assert found.heads == {"a": 0.2, "b": None, "c": 0.0}
    assert str(found.heads["c"]) == "0.0"


@pytest.mark.parametrize(
    ("mine", "outcome", "words"),
    [
        (90, "supported", "fewer than"),
        (100, "refuted", "as many as"),
        (110, "refuted", "more than"),
    ],
)
def test_parameters_are_counted(mine: int, outcome: str, words: str) -> None:
    """Else the one claim that needs no test is wrong."""
    sizes = {"gap": ModelSize(1, mine), "fc": ModelSize(50, 100, multiply_adds=7)}
    asked = fewer_parameters("gap", "fc", sizes)
    assert asked.ruling is not None
    assert asked.ruling.outcome == outcome
    assert words in asked.ruling.rule
    rows = {row.name: row.heads for row in asked.measures}
    adds = [heads for name, heads in rows.items() if name.startswith("multiply-adds of the model")]
    assert adds == [{"gap": None, "fc": 7}]
    assert rows["parameters of the head"] == {"gap": 1, "fc": 50}


def test_what_a_model_stores_besides_parameters_is_named() -> None:
    """Else a head without parameters has a model with more, and no row says of what."""
    sizes = {"gap": ModelSize(1281, 10_000), "class_mean": ModelSize(0, 11_281)}
    rows = fewer_parameters("gap", "class_mean", sizes).measures
    (found,) = (row for row in rows if "other stored values" in row.name)
    assert found.heads == {"gap": 10_000, "class_mean": 11_281}


def test_parameters_wait_for_a_run_of_both() -> None:
    """Else a study that has just begun ends in a traceback."""
    asked = fewer_parameters("gap", "fc", {"gap": ModelSize(1, 2)})
    assert asked.ruling is not None
    assert asked.ruling.outcome == "inconclusive"
    assert "no run of fc yet" in asked.ruling.rule


def speeds_with(step: float, epochs: float, *, reached: int = 7, seeds: int = 7) -> Speeds:
    rounds = step * np.array([1.0, 1.02, 0.99, 1.01, 1.0])
    taken = {seed: epochs + 0.25 * (seed % 3) for seed in range(seeds)}
    return Speeds(rounds, 2 * rounds, taken, frozenset(range(reached, seeds)), 1000)


@pytest.mark.parametrize(
    ("step", "epochs", "outcome", "words"),
    [
        (0.8e-3, 4, "supported", "Per step: faster, × 0.800"),
        (1.2e-3, 6, "refuted", "Per step: slower"),
        (0.8e-3, 9, "inconclusive", "To the target: slower"),
        (1e-3, 4, "inconclusive", "Per step: undecided"),
    ],
)
def test_faster_means_per_step_and_to_the_target(
    step: float, epochs: float, outcome: str, words: str
) -> None:
    """Else quick steps that lead nowhere count as fast training."""
    speeds = {"gap": speeds_with(step, epochs), "fc": speeds_with(1e-3, 5)}
    asked = faster("gap", "fc", speeds, SEEDS, GOAL, 0.05)
    assert asked.ruling is not None
    assert asked.ruling.outcome == outcome
    assert words in asked.ruling.rule
    assert asked.notes == ()


def test_a_target_chosen_from_results_proves_no_speed() -> None:
    """Else whoever picks the target after the runs picks the winner."""
    speeds = {"gap": speeds_with(0.8e-3, 4), "fc": speeds_with(1e-3, 5)}
    goal = replace(GOAL, declared=False)
    asked = faster("gap", "fc", speeds, SEEDS, goal, 0.05)
    assert asked.ruling is not None
    assert asked.ruling.outcome == "inconclusive"
    (given,) = re.findall("target: (.*?)[.;] ", f"{asked.ruling.rule}; ")
    words = stated(given, "estimate", "faster", "slower")
    assert words[0] == "estimate"
    assert float(words[1]) > 0
    assert stated(asked.ruling.rule, "no target", "verdict.target")[-2:] == [
        *("no target", "verdict.target"),
    ]


def test_what_is_lost_is_the_reason_and_changes_no_other_verdict() -> None:
    """Else whoever deletes masks gets another rule, or other questions another correction."""
    clear = [0.05, 0.06, 0.055, 0.065, 0.05, 0.058, 0.062]
    lost = replace(question([]), lost="the masks are lost")
    found = decided(question(clear), lost, question(clear))
    assert [claim.outcome for claim in found] == ["supported", "inconclusive", "supported"]
    assert found[1].rule == f"{lost.tested}: {lost.lost}"


def test_two_seeds_prove_no_speed() -> None:
    """Else the same number of epochs, twice, is a proof."""
    speeds = {"gap": speeds_with(0.8e-3, 1, seeds=2), "fc": speeds_with(1e-3, 1, seeds=2)}
    asked = faster("gap", "fc", speeds, SEEDS, GOAL, 0.05)
    assert asked.ruling is not None
    assert asked.ruling.outcome == "inconclusive"
    assert stated(asked.ruling.rule, "needed")[-3:] == ["2", "6", "needed"]


def test_equal_times_have_no_interval_and_say_why() -> None:
    """Else "(95 % t interval), at least 6 needed" stands beside seven seeds and no interval."""
    times = dict.fromkeys(SEEDS, 1.0)
    speeds = {
        "gap": replace(speeds_with(0.8e-3, 1), epochs=times, pictures=100),
        "fc": replace(speeds_with(1e-3, 1), epochs=times, pictures=100),
    }
    asked = faster("gap", "fc", speeds, SEEDS, replace(GOAL, declared=False), 0.05)
    assert asked.ruling is not None
    told = asked.ruling.rule.partition("To the target")[2]
    said = stated(told, "no interval", "interval", "equal", "needed")
    assert said == ["+0.02", "no interval", "7", "equal", "7"]


def test_seeds_are_asked_for_only_where_they_are_missing() -> None:
    """Else a study of seven seeds reads that it needs six."""
    speeds = {"gap": speeds_with(0.8e-3, 4), "fc": speeds_with(1e-3, 5)}
    for count, needed in ((7, False), (5, True)):
        asked = faster("gap", "fc", speeds, range(count), GOAL, 0.05)
        assert asked.ruling is not None
        assert ("needed" in asked.ruling.rule) == needed


def test_seconds_saved_are_no_negative_zero() -> None:
    """Else "-0.0 to +0.2 s saved" tells of a loss that nobody sees."""
    epochs = {seed: 1.0 + 0.5 * (seed % 2) for seed in SEEDS}
    speeds = {
        "gap": replace(speeds_with(1e-3, 1), pictures=100),
        "fc": replace(speeds_with(1e-3, 1), epochs=epochs, pictures=100),
    }
    asked = faster("gap", "fc", speeds, SEEDS, GOAL, 0.05)
    assert asked.ruling is not None
    low, high = stated(asked.ruling.rule.partition("To the target")[2])[:2]
    assert (float(low), float(high)) == pytest.approx((-0.03, 0.03), abs=0.03)
    assert "-0.0" not in (low, high)
    assert float(low) < 0 < float(high)


def test_a_target_that_anybody_reaches_proves_no_speed() -> None:
    """Else heads race to what always predicting one class gives."""
    speeds = {"gap": speeds_with(0.8e-3, 1), "fc": speeds_with(1e-3, 1)}
    for target, outcome in ((0.5, "inconclusive"), (0.6, "supported")):
        goal = Goal(target, 10, majority=0.5, declared=True)
        asked = faster("gap", "fc", speeds, SEEDS, goal, 0.05)
        assert asked.ruling is not None
        assert asked.ruling.outcome == outcome
        last = asked.ruling.rule.rpartition("seeds")[2]
        assert stated(last, "target", "class") == (["target", "class"] if target == 0.5 else [])


def test_runs_that_never_reach_the_target_are_told() -> None:
    """Else censored runs pass for quick ones."""
    speeds = {"gap": speeds_with(0.8e-3, 4), "fc": speeds_with(1e-3, 9, reached=5)}
    asked = faster("gap", "fc", speeds, SEEDS, GOAL, 0.05)
    (note,) = asked.notes
    assert stated(note, "gap", "fc", "target") == ["fc", "2", "7", "target", "10"]


@pytest.mark.parametrize(("late", "outcome"), [(7, "inconclusive"), (3, "supported")])
def test_a_target_that_neither_head_reaches_proves_no_speed(late: int, outcome: str) -> None:
    """Else quick steps alone pass for the way to a target that nobody has seen reached."""
    taken = {seed: 10.0 if seed < late else 4.0 for seed in SEEDS}
    speeds = {
        head: replace(speeds_with(step, 1), epochs=taken, late=frozenset(range(late)))
        for head, step in (("gap", 0.8e-3), ("fc", 1e-3))
    }
    asked = faster("gap", "fc", speeds, SEEDS, GOAL, 0.05)
    assert asked.ruling is not None
    assert asked.ruling.outcome == outcome
    told = stated(asked.ruling.rule.partition("; ")[2], "neither", "target")
    assert told == (["7", "7", "neither", "target"] if late == 7 else [])


@pytest.mark.parametrize("goal", [GOAL, None])
def test_speed_waits_for_its_session(goal: Goal | None) -> None:
    """Else the seconds of runs that shared the machine stand in for it."""
    asked = faster("gap", "fc", {}, SEEDS, goal, 0.05)
    assert asked.ruling is not None
    assert asked.ruling.outcome == "inconclusive"
    assert "no speed session" in asked.ruling.rule
