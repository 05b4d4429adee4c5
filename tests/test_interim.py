"""A sequential design is declared before its data, followed as declared, and told afterwards."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from headtohead.config.study import StudySpec
from headtohead.core.errors import StorageError, UsageError
from headtohead.core.text import signed
from headtohead.report.comparisons import look_differences
from headtohead.report.page.reasons import reason
from headtohead.report.summary import summarize
from headtohead.runtime.interim import (
    check_design,
    declare,
    follow,
    jobs_without_look,
    late_change,
    late_notes,
    look_jobs,
)
from headtohead.runtime.jobs import Job
from headtohead.store.changes import CHANGES_FILE, LateChange, add_change, read_changes
from headtohead.store.ledger import Ledger
from headtohead.store.looks import LOOKS_FILE, LooksRecord, read_looks
from headtohead.study_data import StudyData
from ledgers import ENVIRONMENT, add_run, full_ledger, study_ledger
from stated import stated


def differences(ledger: Ledger, record: LooksRecord) -> dict[int, float]:
    """As the ledger stands."""
    return look_differences(StudyData(ledger), record)


def design(ledger: Ledger, **verdict: Any) -> StudySpec:
    rule = {"until_decided": "fc", "looks": [7, 8, 10], **verdict}
    content = ledger.file.study.model_dump()
    return StudySpec.model_validate(content | {"verdict": content["verdict"] | rule})


def trainer(skills: Mapping[str, float], trained: list[Job]) -> Callable[..., list[str]]:
    """Adds runs to the ledger in a training's place: their records are those of real runs."""

    def run(ledger: Ledger, jobs: list[Job]) -> list[str]:
        for job in jobs:
            if ledger.run(job.head, job.seed) is None:
                add_run(ledger, job.head, job.seed, skill=skills.get(job.head, 0.8))
                trained.append(job)
        return []

    return run


def followed(ledger: Ledger, spec: StudySpec, skills: Mapping[str, float]) -> list[Job]:
    trained: list[Job] = []
    failures = follow(
        ledger,
        spec,
        run=trainer(skills, trained),
        differences=differences,
        note=lambda message: None,
    )
    assert failures == []
    return trained


def test_a_clear_difference_stops_at_the_first_look(tmp_path: Path) -> None:
    """Every further seed would be hours of training for what is already known."""
    ledger = study_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=2)
    trained = followed(ledger, design(ledger), {"gap": 0.9})
    seeds = {head: sum(job.head == head for job in trained) for head in ("fc", "fc_dropout", "gap")}
    assert seeds == {"fc": 7, "fc_dropout": 2, "gap": 7}
    found = read_looks(tmp_path)
    assert found is not None
    assert (found.decision, [look.n for look in found.taken]) == (1, [7])


def test_the_report_follows_the_design_and_says_so(tmp_path: Path) -> None:
    """A fixed-number verdict on pairs that were looked at several times would be too bold."""
    ledger = study_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=2)
    followed(ledger, design(ledger), {"gap": 0.9})
    summary = summarize(StudyData(Ledger.open(tmp_path)))
    by_head = {item.other: item.comparison for item in summary.comparisons}
    assert by_head["fc"].better.outcome == "supported"
    rule = by_head["fc"].better.rule
    assert stated(rule, "sequential", "looks")[:5] == ["sequential", "looks", "7", "8", "10"]
    assert stated(rule.partition(" look ")[2])[:3] == ["1", "3", "7"]
    others = (
        by_head["fc"].not_worse,
        by_head["fc_dropout"].better,
        by_head["fc_dropout"].not_worse,
    )
    assert {item.outcome for item in others} == {"inconclusive"}
    assert all("an estimate" in item.rule for item in others)
    assert summary.unfinished == (), "seeds that looks added are asked of two heads alone"


def test_no_difference_goes_on_to_the_last_look_and_no_further(tmp_path: Path) -> None:
    """The declared maximum is the end, decided or not; the same command again trains nothing."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    followed(ledger, design(ledger), {})
    before = (tmp_path / LOOKS_FILE).read_bytes()
    found = read_looks(tmp_path)
    assert found is not None
    assert ([look.n for look in found.taken], found.next_look) == ([7, 8, 10], None)
    assert followed(Ledger.open(tmp_path), design(ledger), {}) == []
    assert (tmp_path / LOOKS_FILE).read_bytes() == before, "no look is taken twice"


def test_an_interrupted_study_goes_on_where_it_was(tmp_path: Path) -> None:
    """Looks that were taken stay taken: resuming must not give the first look a second chance."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    trained: list[Job] = []

    def stop(message: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(
            ledger,
            design(ledger),
            run=trainer({}, trained),
            differences=differences,
            note=stop,
        )
    first = read_looks(tmp_path)
    assert first is not None
    assert [look.n for look in first.taken] == [7]
    followed(Ledger.open(tmp_path), design(ledger), {})
    found = read_looks(tmp_path)
    assert found is not None
    assert found.taken[0] == first.taken[0]
    assert len(found.taken) == 3


def test_a_design_that_is_declared_after_its_pairs_is_refused(tmp_path: Path) -> None:
    """Whoever has seen seven pairs and then declares looks has already looked once, unpaid."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    for head in ("fc", "gap"):
        add_run(ledger, head, 0)
    with pytest.raises(UsageError, match=r"1 .* gap and fc"):
        declare(ledger, design(ledger), 2)
    with pytest.raises(UsageError, match=r"1 .* gap and fc"):
        check_design(tmp_path, ledger.file.model_copy(update={"study": design(ledger)}))
    assert not (tmp_path / LOOKS_FILE).exists()


@pytest.mark.parametrize(
    "change", [{"looks": [7, 9]}, {"level": 0.1}, {"spending": "obrien-fleming"}]
)
def test_a_design_cannot_change_once_declared(tmp_path: Path, change: dict[str, Any]) -> None:
    """Adding looks until one decides is the deceit that spending alpha is to prevent."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    declare(ledger, design(ledger), 2)
    with pytest.raises(UsageError, match="another sequential design"):
        declare(ledger, design(ledger, **change), 2)


def test_the_folder_of_another_study_is_not_touched(tmp_path: Path) -> None:
    """Looks belong to one study: its folder is refused before a design is written into it."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    other = ledger.file.model_copy(update={"study": design(ledger), "digest": "e" * 64})
    check_design(tmp_path, other)
    check_design(tmp_path / "nowhere", other)
    assert not (tmp_path / LOOKS_FILE).exists()


def test_runs_that_changed_after_a_look_are_refused(tmp_path: Path) -> None:
    """Training a bad seed again until it is a good one is told, not counted."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    followed(ledger, design(ledger, looks=[7]), {})
    record = (tmp_path / LOOKS_FILE).read_text().replace("7\n ]", "7,\n  8\n ]")
    (tmp_path / LOOKS_FILE).write_text(record)
    add_run(Ledger.open(tmp_path), "gap", 3, skill=0.95)
    with pytest.raises(UsageError, match="look at 7"):
        followed(Ledger.open(tmp_path), design(ledger, looks=[7, 8]), {})


def test_pairs_that_are_no_pairs_give_no_look(tmp_path: Path) -> None:
    """A look at fewer pairs than declared is another look: it is not taken, and told."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)

    def run(ledger: Ledger, jobs: list[Job]) -> list[str]:
        for job in jobs:
            device = "cuda" if job == Job("gap", 3) else "cpu"
            add_run(ledger, job.head, job.seed, environment={**ENVIRONMENT, "device": device})
        return []

    (told,) = follow(
        ledger, design(ledger), run=run, differences=differences, note=lambda message: None
    )
    assert "no look at 7 pairs" in told
    assert "seeds 3 make no pair" in told
    found = read_looks(tmp_path)
    assert found is not None
    assert found.taken == ()


def test_jobs_go_seed_by_seed(tmp_path: Path) -> None:
    """Stopping early must leave whole pairs."""
    ledger = study_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=1)
    record = declare(ledger, design(ledger), 1)
    jobs = look_jobs(design(ledger), record, 2)
    assert list(map(str, jobs)) == [
        *("fc seed 0", "fc_dropout seed 0", "gap seed 0"),
        *("fc seed 1", "gap seed 1"),
    ]


def test_seeds_that_looks_added_are_not_asked_of_other_heads_later(tmp_path: Path) -> None:
    """Else the same command again trains every other head as often as the two that are looked at,
    hours that an undisturbed command does not take."""
    heads = ("fc", "fc_dropout", "gap")
    ledger = study_ledger(tmp_path, heads=heads, seeds=2)
    followed(ledger, design(ledger), {"gap": 0.9})
    again = Ledger.open(tmp_path)
    assert again.file.study.seeds == 7
    asked = again.file.study.model_copy(update={"verdict": design(ledger).verdict, "seeds": 2})
    assert followed(again, asked, {}) == []
    without = [job for job in jobs_without_look(again, 2) if again.run(job.head, job.seed) is None]
    assert without == []
    more = followed(again, asked.model_copy(update={"seeds": 3}), {})
    assert more == [Job("fc_dropout", 2)], "more seeds can be asked for"
    found = read_looks(tmp_path)
    assert found is not None
    assert found.seeds == 3
    assert summarize(StudyData(Ledger.open(tmp_path))).unfinished == ()


def test_nothing_beyond_the_last_look_is_unfinished(tmp_path: Path) -> None:
    """Else a report asks for ever to run a command again that has nothing left to run."""
    ledger = study_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=9)
    Ledger.create(tmp_path, ledger.file.model_copy(update={"study": design(ledger)}))
    followed(Ledger.open(tmp_path), design(ledger), {"gap": 0.9})
    summary = summarize(StudyData(Ledger.open(tmp_path)))
    assert (summary.unfinished, summary.planned) == ((), 7 + 9 + 7)
    (tmp_path / "runs/gap/seed-6/run.json").unlink()
    gone = summarize(StudyData(Ledger.open(tmp_path)))
    assert (gone.unfinished, gone.planned) == ((("gap", 6),), 7 + 9 + 7)


def test_the_pages_sentence_has_the_interval_that_holds_over_all_looks(tmp_path: Path) -> None:
    """Else the narrower interval of one look stands beside a verdict that took several."""
    ledger = study_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=2)

    def run(ledger: Ledger, jobs: list[Job]) -> list[str]:
        for job in jobs:
            more = 0.0 if job.head != "gap" else 0.03 if job.seed % 2 else -0.02
            add_run(ledger, job.head, job.seed, skill=0.8 + more)
        return []

    def note(message: str) -> None:
        pass

    follow(ledger, design(ledger), run=run, differences=differences, note=note)
    summary = summarize(StudyData(Ledger.open(tmp_path)))
    assert summary.looks is not None
    last = summary.looks.taken[-1]
    assert last.low is not None
    assert last.high is not None
    told = {item.other: reason(summary, item) for item in summary.comparisons}
    sign = -1 if last.mean < 0 else 1
    ends = sorted((100 * sign * last.low, 100 * sign * last.high))
    assert stated(told["fc"])[1:4] == ["95", *map(signed, ends)]
    assert "all looks" not in told["fc_dropout"]
    assert stated(told["fc"], "last")[-2:] == ["3", "last"], "no further look is waited for"


def test_seeds_that_are_added_to_a_decided_study_are_told_of(tmp_path: Path) -> None:
    """Else adding seeds until a verdict comes looks like any other way of having them."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=6)
    study = ledger.file.study
    more = ledger.file.model_copy(update={"study": study.model_copy(update={"seeds": 7})})
    for seed in range(6):
        add_run(ledger, "fc", seed)
        assert late_change(tmp_path, more) is None, "no verdict could be seen yet"
        add_run(ledger, "gap", seed)
    assert late_change(tmp_path, ledger.file) is None
    change = late_change(tmp_path, more)
    assert change == LateChange(seeds=(6, 7))
    (told,) = late_notes(tmp_path, change)
    assert stated(told.removeprefix(str(tmp_path))) == ["6"]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"metric": "macro_f1"}, ("test_accuracy", "macro_f1")),
        ({"reference": "fc"}, ("gap", "fc")),
        ({"margin": 0.05}, ("0.01", "0.05")),
        ({"pairs": ["gmp", ["fc", "gmp"]]}, ("none", "gmp, fc against gmp")),
        ({"target": 0.9}, ("none", "0.9")),
        ({"claims_against": "gmp"}, ("fc", "gmp")),
    ],
    ids=lambda value: next(iter(value)),
)
def test_a_rule_that_changes_after_its_runs_is_told_of(
    tmp_path: Path, rule: dict[str, Any], words: tuple[str, str]
) -> None:
    """Else whoever tries three metrics and reports one is not told that he tested three times."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap", "gmp"), seeds=7)
    content = ledger.file.study.model_dump()
    study = StudySpec.model_validate(content | {"verdict": content["verdict"] | rule})
    other = ledger.file.model_copy(update={"study": study})
    assert late_change(tmp_path, other) is None
    for head in ("fc", "gap", "gmp"):
        for seed in range(7):
            add_run(ledger, head, seed)
    change = late_change(tmp_path, other)
    assert change is not None
    name = next(iter(rule))
    assert change.rules[name] == words
    told = next(iter(late_notes(tmp_path, change)))
    assert name in told


def test_a_report_tells_what_was_changed_after_verdicts_could_be_seen(tmp_path: Path) -> None:
    """Else a reader of the report takes the last design for the one that was declared."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=7, epochs=1)
    assert not any("after the runs" in note for note in summarize(StudyData(ledger)).notes)
    margin = LateChange(rules={"margin": ("0.01", "0.05")})
    for change in (LateChange(seeds=(7, 9)), LateChange(seeds=(9, 12)), margin, margin):
        add_change(tmp_path, change)
    assert len(read_changes(tmp_path)) == 3, "a command that was stopped says it once"
    seeds, rule = (note for note in summarize(StudyData(ledger)).notes if "after the runs" in note)
    assert stated(seeds) == ["7", "9", "12"]
    assert stated(rule, "margin") == ["margin", "0.01", "0.05"]


def test_changes_that_cannot_be_read_are_no_traceback(tmp_path: Path) -> None:
    """Else a file of a later version ends in one, and nobody knows which file."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=1, epochs=1)
    (tmp_path / CHANGES_FILE).write_text('{"format": 99}')
    with pytest.raises(UsageError, match=CHANGES_FILE):
        summarize(StudyData(ledger))


def test_another_reference_or_metric_does_not_take_the_designs_verdict(tmp_path: Path) -> None:
    """Else a head that was never looked at is said to beat another, or by another metric."""
    ledger = study_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=2)
    followed(ledger, design(ledger), {"gap": 0.9})
    study = Ledger.open(tmp_path).file.study
    for change in ({"reference": "fc_dropout"}, {"metric": "macro_f1"}):
        other = study.model_copy(update={"verdict": study.verdict.model_copy(update=change)})
        file = ledger.file.model_copy(update={"study": other})
        with pytest.raises(UsageError, match="gap against fc"):
            check_design(tmp_path, file)
        Ledger.create(tmp_path, file)  # as earlier versions did
        found = summarize(StudyData(Ledger.open(tmp_path))).comparisons
        assert {item.comparison.better.outcome for item in found} == {"inconclusive"}


def test_a_head_is_not_looked_at_against_itself(tmp_path: Path) -> None:
    """Else the reference of the folder's heads is compared with itself, in many runs."""
    ledger = study_ledger(tmp_path, heads=("fc", "gmp"), seeds=2)
    asked = StudySpec.model_validate(
        ledger.file.study.model_dump()
        | {"heads": ["gmp", "fc"], "verdict": {"until_decided": "fc", "reference": None}}
    )
    assert asked.reference == "gmp"
    with pytest.raises(UsageError, match=r"verdict\.reference"):
        check_design(tmp_path, ledger.file.model_copy(update={"study": asked}))


def test_damaged_looks_are_told_plainly(tmp_path: Path) -> None:
    """Without its looks nothing says how often a comparison was looked at."""
    (tmp_path / LOOKS_FILE).write_text("{}")
    with pytest.raises(UsageError, match="Restore it") as refusal:
        read_looks(tmp_path)
    assert "\n" not in str(refusal.value)
    (tmp_path / LOOKS_FILE).unlink()
    (tmp_path / LOOKS_FILE).mkdir()
    with pytest.raises(StorageError):
        read_looks(tmp_path)
