"""A study without a verdict says what would give one."""

from dataclasses import replace
from pathlib import Path

import pytest

from headtohead.report.formats.terminal import render_text
from headtohead.report.page.answer import answer
from headtohead.report.page.brief import brief
from headtohead.report.remedy import remedy
from headtohead.report.summary import Summary, summarize
from headtohead.study_data import StudyData
from ledgers import add_run, change_epochs, full_ledger, study_ledger
from stated import stated


def _changed(summary: Summary, **difference: object) -> Summary:
    items = tuple(
        replace(
            item,
            comparison=replace(
                item.comparison,
                difference=replace(item.comparison.difference, **difference),  # type: ignore[arg-type]
                better=replace(item.comparison.better, outcome="inconclusive"),
                not_worse=replace(item.comparison.not_worse, outcome="inconclusive"),
            ),
        )
        for item in summary.comparisons
    )
    return replace(summary, comparisons=items)


def test_too_few_seeds_are_counted(tmp_path: Path) -> None:
    """Two of the seven that three heads need: five more."""
    told = remedy(summarize(StudyData(full_ledger(tmp_path, seeds=2))))
    assert told is not None
    assert "--seeds 7 (5 more seeds" in told


def test_open_comparisons_say_how_many_seeds(tmp_path: Path) -> None:
    """One standard deviation takes some 15 seeds; a hundredth takes more than anybody trains."""
    summary = summarize(StudyData(full_ledger(tmp_path, heads=("fc", "gap"), seeds=8)))
    told = remedy(_changed(summary, mean=0.01, sd=0.01))
    assert told is not None
    seeds = int(told.partition("about ")[2].split()[0])
    assert 9 <= seeds <= 20
    hopeless = remedy(_changed(summary, mean=0.0001, sd=0.01))
    assert hopeless is not None
    assert "--seeds" not in hopeless
    assert remedy(_changed(summary, mean=0.0, sd=0.01)) == hopeless


def test_seeds_are_not_advised_where_they_cannot_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heads that learned nothing learn nothing with more seeds; looks were declared beforehand."""
    summary = summarize(StudyData(full_ledger(tmp_path, seeds=2)))
    assert remedy(summary) is not None
    monkeypatch.setattr(Summary, "nothing_learned", True)
    assert remedy(summary) is None


@pytest.mark.parametrize("seeds", [2, 8])
def test_no_seeds_are_advised_between_two_heads_that_learned_nothing(
    seeds: int, tmp_path: Path
) -> None:
    """Else hours of seeds go into a pair in which neither head looks at the image."""
    heads = ("fc", "fc_dropout", "gap")
    ledger = study_ledger(tmp_path, heads=heads, seeds=seeds, pairs=["fc"], epochs=2)
    for seed in range(seeds):
        for head, skill in zip(heads, (0.49, 0.85, 0.50), strict=True):
            add_run(ledger, head, seed, skill=skill + 0.01 * (seed % 3 - 1))
        if seed < 2:
            add_run(ledger, "fc", seed, skill=0.51)
    for head in ("fc", "gap"):
        change_epochs(ledger, head, accuracy=0.5, train_accuracy=0.5, val_accuracy=0.5)
    summary = summarize(StudyData(ledger))
    assert summary.at_majority == ["fc", "gap"]
    (item,) = summary.comparisons
    assert item.comparison.better.outcome == item.comparison.not_worse.outcome == "inconclusive"
    assert remedy(summary) is None
    found = brief(summary, answer(summary))
    assert stated(found.next_step, *heads, "longer", "labels", "seeds") == [
        *("fc", "gap", "longer", "labels"),
    ]
    assert "needed" not in render_text(summary)


def test_what_is_decided_needs_nothing(tmp_path: Path) -> None:
    """Advice after a verdict would take it back."""
    summary = summarize(StudyData(full_ledger(tmp_path, heads=("fc", "gap"), seeds=8)))
    (item,) = summary.comparisons
    found = replace(item.comparison, better=replace(item.comparison.better, outcome="supported"))
    assert remedy(replace(summary, comparisons=(replace(item, comparison=found),))) is None
