"""A study without a verdict says what would give one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headtohead.config.strict_yaml import write_yaml
from headtohead.config.study_files import resolve_study
from headtohead.report.formats.terminal import render_text
from headtohead.report.page.answer import answer
from headtohead.report.page.brief import brief
from headtohead.report.remedy import remedy, seeds_for_verdict
from headtohead.report.summary import Summary, summarize
from headtohead.stats.over_images import PictureInterval
from headtohead.study_data import StudyData
from ledgers import add_run, change_epochs, full_ledger, study_ledger
from stated import stated


def _changed(summary: Summary, **difference: Any) -> Summary:
    items = tuple(
        replace(
            item,
            comparison=replace(
                item.comparison,
                difference=replace(item.comparison.difference, **difference),
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
    told = remedy(_changed(summary, mean=-0.01, sd=0.01))
    assert told is not None
    seeds = int(told.partition("about ")[2].split()[0])
    assert 9 <= seeds <= 20
    hopeless = remedy(_changed(summary, mean=-0.0099, sd=0.01))
    assert hopeless is not None
    assert "--seeds" not in hopeless
    assert remedy(_changed(summary, mean=-0.02, sd=0.5)) == hopeless


@pytest.mark.parametrize(
    ("mean", "sd", "verdict", "least", "most", "until_decided"),
    [
        # 47 seeds would show a difference that the study calls none; 9 show that it is none.
        (-0.002, 0.004, "gap is at least as good as fc", 9, 12, ""),
        (0.002, 0.004, "gap is at least as good as fc", 9, 9, ""),
        (0.02, 0.02, "gap is at least as good as fc", 9, 14, "fc"),
        (0.02, 0.05, "gap is at least as good as fc", 20, 40, ""),
        (-0.02, 0.02, "fc beats gap", 9, 20, "fc"),
        (-0.02, 0.04, "fc beats gap", 30, 45, ""),
    ],
)
def test_the_verdict_that_takes_the_fewest_seeds_is_advised(
    mean: float, sd: float, verdict: str, least: int, most: int, until_decided: str, tmp_path: Path
) -> None:
    """Else forty seeds prove what eight would settle, and twenty looks end without a verdict."""
    summary = summarize(StudyData(full_ledger(tmp_path, heads=("fc", "gap"), seeds=8)))
    changed = _changed(summary, mean=mean, sd=sd)
    found = seeds_for_verdict(changed, changed.comparisons[0])
    assert found is not None
    assert found.verdict.startswith(verdict)
    assert least <= found.number <= most
    assert found.until_decided == until_decided
    told = remedy(changed)
    assert told is not None
    assert stated(told, verdict, "--seeds", "new --out", "--until-decided")[:1] == [verdict]
    assert f"--seeds {found.number}" in told.partition("new --out")[2]
    assert ("--until-decided fc" in told.partition("new --out")[2]) == bool(until_decided)
    certain = answer(changed)
    assert found.verdict in certain.more
    assert f" {found.number} seeds" in certain.more


@pytest.mark.parametrize(("low", "told"), [(-0.05, True), (0.01, False), (None, False)])
def test_seeds_are_not_said_to_stand_for_other_images(
    low: float | None, told: bool, tmp_path: Path
) -> None:
    """Else a photographer trains sixty seeds, and the verdict is about 25 photographs."""
    summary = summarize(StudyData(full_ledger(tmp_path, heads=("fc", "gap"), seeds=8)))
    changed = _changed(summary, mean=0.02, sd=0.02)
    over = PictureInterval(0.02, low, None if low is None else 0.09, 0.05, 25, 25, 9, 8)
    items = tuple(replace(item, pictures=over) for item in changed.comparisons)
    advice = remedy(replace(changed, comparisons=items)) or ""
    assert ("25 test images" in advice) == told


def test_a_study_that_loses_its_reference_offers_no_looks(tmp_path: Path) -> None:
    """`--until-decided` compares with the reference; a pair of two others has no such way."""
    ledger = full_ledger(tmp_path, heads=("fc", "avgpool2x2", "gap"), pairs=[["fc", "avgpool2x2"]])
    changed = _changed(summarize(StudyData(ledger)), mean=-0.02, sd=0.02)
    found = seeds_for_verdict(changed, changed.comparisons[0])
    assert found is not None
    assert (found.verdict, found.until_decided) == ("avgpool2x2 beats fc", "")


FUNCTIONS = {"gap": "one linear layer on the means", "nin": "one linear layer on the means"}


@pytest.mark.parametrize("seeds", [2, 8])
def test_no_seeds_are_advised_between_heads_of_one_function(seeds: int, tmp_path: Path) -> None:
    """Else days of training look for a difference that cannot be there."""
    summary = summarize(StudyData(full_ledger(tmp_path, heads=("nin", "gap"), seeds=seeds)))
    summary = _changed(summary, mean=0.03, sd=0.04)
    assert remedy(summary) is not None
    file = summary.file.model_copy(update={"functions": FUNCTIONS})
    alike = replace(summary, file=file)
    assert remedy(alike) is None
    found = answer(alike)
    assert stated(found.more, "gap", "nin", "same function")[:3] == ["gap", "nin", "same function"]
    assert "would settle" not in found.more
    assert "seeds give" not in found.more
    step = brief(alike, found).next_step
    assert stated(step, "gap", "nin", "same function") == ["gap", "nin", "same function"]
    other = file.model_copy(update={"functions": {**FUNCTIONS, "nin": "one linear layer"}})
    assert remedy(replace(summary, file=other)) == remedy(summary)


def test_the_pair_that_is_no_single_function_is_still_advised(tmp_path: Path) -> None:
    """Else one pair of equals hides what can be decided."""
    ledger = full_ledger(tmp_path, heads=("nin", "linear", "gap"), seeds=8)
    summary = _changed(summarize(StudyData(ledger)), mean=-0.02, sd=0.03)
    summary = replace(summary, file=summary.file.model_copy(update={"functions": FUNCTIONS}))
    told = remedy(summary)
    assert told is not None
    assert stated(told, "gap", "nin", "linear")[:2] == ["linear", "gap"]


def test_the_seeds_of_few_declared_pairs_are_asked_of_their_heads_alone(tmp_path: Path) -> None:
    """Else 38 heads are trained again for a verdict on two of them."""
    heads = ("fc", "linear", "gmp", "gem", "attention", "cosine", "gap")
    ledger = full_ledger(tmp_path / "many", heads=heads, seeds=3, pairs=["linear", "gem"])
    summary = summarize(StudyData(ledger))
    told = remedy(summary)
    assert told is not None
    assert stated(told, *heads, "new --out", "same folder", "all") == [
        *("7", "linear", "gem", "gap", "new --out", "linear", "gem", "gap", "7"),
        *("same folder", "7", "4", "all", "7"),
    ]
    command = told.partition("--heads ")[2].split()[0]
    study = tmp_path / "study.yaml"
    study.write_text(write_yaml(ledger.file.study.model_dump(mode="json")))
    asked = resolve_study(study, heads=command, seeds=7)
    assert (asked.family, list(asked.heads)) == (ledger.file.study.family, ["linear", "gem", "gap"])
    nearly = full_ledger(tmp_path / "few", heads=(*heads[:3], "gap"), seeds=6, pairs=["fc", "gmp"])
    cheaper = remedy(summarize(StudyData(nearly)))
    assert cheaper is not None
    assert stated(cheaper, *heads, "same folder") == ["7", "1", "same folder"]


def test_heads_that_start_after_others_are_asked_for_with_them(tmp_path: Path) -> None:
    """Else the command that is advised is refused."""
    heads = ("fc", "linear", "gmp", "gem", "cosine", "mlp", "gap")
    ledger = full_ledger(
        tmp_path, heads=heads, seeds=2, pairs=["linear"], heads_after={"linear": "gmp"}
    )
    told = remedy(summarize(StudyData(ledger)))
    assert told is not None
    assert "--heads linear,gmp,gap --seeds 6" in told


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
