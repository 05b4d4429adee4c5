"""`verdict.pairs`: which comparisons get verdicts, and what follows from it everywhere."""

from pathlib import Path
from typing import Any

import pytest

from headtohead.config.study import StudySpec
from headtohead.config.study_files import load_study, resolve_study
from headtohead.core.errors import UsageError
from headtohead.report.page.answer import answer
from headtohead.report.summary import summarize
from headtohead.runtime.forecast import forecast
from headtohead.study_data import StudyData
from ledgers import add_run, study_ledger
from stated import stated

HEADS = ("gap", "fc", "fc_dropout", "avgpool2x2")


def study(pairs: Any, **verdict: Any) -> StudySpec:
    return StudySpec.model_validate({"heads": list(HEADS), "verdict": {"pairs": pairs, **verdict}})


@pytest.mark.parametrize(
    ("pairs", "family"),
    [
        (None, [("gap", "fc"), ("gap", "fc_dropout"), ("gap", "avgpool2x2")]),
        (["fc"], [("gap", "fc")]),
        ([["fc", "gap"], ["fc", "fc_dropout"]], [("gap", "fc"), ("fc", "fc_dropout")]),
        (["fc", ["avgpool2x2", "fc"]], [("gap", "fc"), ("avgpool2x2", "fc")]),
    ],
)
def test_the_family_is_what_was_declared(pairs: Any, family: list[tuple[str, str]]) -> None:
    """Else verdicts are on other comparisons than those that were named beforehand."""
    assert list(study(pairs).family) == family


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["fcc"], "'fcc' is an unknown head"),
        (["gap"], "compares 'gap' with itself"),
        (["fc", ["gap", "fc"]], "more than once"),
        ([], "pairs"),
    ],
)
def test_a_family_that_cannot_be_is_refused(pairs: Any, words: str) -> None:
    """Else a slip of the pen changes how strict every verdict is."""
    with pytest.raises(ValueError, match=words):
        study(pairs)
    with pytest.raises(ValueError, match="until_decided"):
        study(["fc"], until_decided="fc")


def test_it_changes_no_run() -> None:
    """Else whoever declares a family trains everything again."""
    assert study(["fc"]).digest("p") == study(None).digest("p")


def test_chosen_heads_keep_what_is_left_of_the_family() -> None:
    """Else `--heads` refuses a shipped study, or asks for more seeds than the study has."""
    assert resolve_study("pooling-zoo", heads="gap,gem,fc").family == (("gap", "gem"),)
    assert resolve_study("pooling-zoo", heads="gap,spp").family == (("gap", "spp"),)
    looked_at = resolve_study("pooling-zoo", verdict={"until_decided": "gem"})
    assert looked_at.verdict.pairs is None


def test_the_zoo_is_decided_by_its_seven_seeds() -> None:
    """Else thirty heads ask for eleven seeds."""
    zoo = load_study("pooling-zoo")
    found = forecast(zoo)
    assert (len(zoo.heads) >= 30, found.primary_tests, found.primary_seeds) == (True, 3, 7)
    told = str(found)
    (compared,) = (line for line in told.splitlines() if "gap against" in line)
    assert stated(compared, *zoo.heads)[:5] == ["gap", "linear", "gem", "attention", "3"]
    assert "Estimates without a verdict: fc, " in told


def test_verdicts_and_holm_are_of_the_family_alone(tmp_path: Path) -> None:
    """Else a declared family does not save seeds, or an undeclared pair gets a verdict."""
    pairs = ["fc", ["fc", "fc_dropout"]]
    ledger = study_ledger(tmp_path, heads=HEADS, seeds=7, pairs=pairs)
    for seed in range(7):
        for head, skill in zip(HEADS, (0.9, 0.8, 0.85, 0.7), strict=True):
            add_run(ledger, head, seed, skill=skill)
    summary = summarize(StudyData(ledger))
    found = {(i.first, i.other): i.comparison for i in summary.comparisons}
    assert {pair: item.better.outcome for pair, item in found.items()} == {
        ("gap", "fc"): "supported",
        ("fc", "fc_dropout"): "refuted",
    }
    assert {item.tests for item in found.values()} == {2}
    assert summary.seeds_needed == 7
    estimated = {
        frozenset((e.first, e.second)) for e in summary.estimates if e.metric == "test_accuracy"
    }
    assert frozenset(("gap", "avgpool2x2")) in estimated
    assert estimated.isdisjoint(map(frozenset, found))
    said = answer(summary)
    assert said.certainty == "decided"
    assert "fc_dropout beats fc." in said.more
    without = said.more.partition("fc_dropout beats fc.")[2]
    assert stated(without, *summary.file.study.heads, "no verdict") == ["avgpool2x2", "no verdict"]


def test_a_family_without_the_reference_names_no_choice(tmp_path: Path) -> None:
    """Else the page recommends a head that no declared comparison is about."""
    ledger = study_ledger(tmp_path, heads=HEADS, seeds=7, pairs=[["fc", "fc_dropout"]])
    for seed in range(7):
        for head, skill in zip(HEADS, (0.9, 0.8, 0.85, 0.7), strict=True):
            add_run(ledger, head, seed, skill=skill)
    said = answer(summarize(StudyData(ledger)))
    assert said.sentence == "fc_dropout beats fc."
    with pytest.raises(UsageError, match="an unknown head"):
        resolve_study("quick", verdict={"pairs": ["nothing"]})
