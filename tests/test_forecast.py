"""`plan` counts what is to do and never invents a number."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headtohead.cli import main
from headtohead.core.errors import UsageError
from headtohead.runtime.forecast import forecast
from headtohead.stats.power import expected_power, seeds_to_find
from ledgers import add_run, study_ledger


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`plan` looks for the study's runs below the current folder."""
    monkeypatch.chdir(tmp_path)


def plan(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["plan", *map(str, arguments)])


def test_a_study_without_runs_has_no_time() -> None:
    """A guessed duration is worse than none: machines differ by a hundred times."""
    told = plan("standard", "--data", "photographs")
    assert told.exit_code == 0, told.output
    assert "3 heads × 7 seeds = 21 runs, 21 to do." in told.output
    assert "gap against fc, fc_dropout, 2 tests" in told.output
    assert "3 tests: at least 7 seeds" in told.output
    assert "unknown until a run is finished (fc, fc_dropout, gap)" in told.output


def test_four_heads_need_seven_seeds_as_documented() -> None:
    """Three tests: 7 seeds."""
    told = json.loads(plan("article", "--json").output)
    assert (told["primary_tests"], told["primary_seeds"], told["claim_seeds"]) == (3, 7, 7)
    assert told["remaining"] is None


def test_finished_runs_tell_the_time_of_missing_ones(tmp_path: Path) -> None:
    """Mean seconds of a head's own finished runs, times what is missing of it."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=3)
    for seed in range(2):
        add_run(ledger, "fc", seed)
    add_run(ledger, "gap", 0)
    found = forecast(ledger.file.study, tmp_path)
    assert [(head.head, head.finished, head.missing) for head in found.heads] == [
        ("fc", 2, 1),
        ("gap", 1, 2),
    ]
    assert found.remaining == pytest.approx(3 * 4 * 12.5)  # four epochs of 12.5 s each
    assert (found.runs, found.missing) == (6, 3)


def test_one_head_without_a_run_leaves_the_sum_unknown(tmp_path: Path) -> None:
    """The time of the other heads alone would read like the whole study's."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    add_run(ledger, "fc", 0)
    assert forecast(ledger.file.study, tmp_path).remaining is None


def test_another_studys_times_are_not_taken(tmp_path: Path) -> None:
    """Runs of other pictures or epochs take other times."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    add_run(ledger, "fc", 0)
    longer = ledger.file.study.model_copy(
        update={"recipe": ledger.file.study.recipe.model_copy(update={"epochs": 90})}
    )
    with pytest.raises(UsageError, match="another study"):
        forecast(longer, tmp_path)


def test_looks_that_cannot_decide_are_named() -> None:
    """A first look that can never decide costs its seeds' training and nothing comes of it."""
    Path("study.yaml").write_text("verdict: {spending: obrien-fleming}\n")
    told = plan("study.yaml", "--until-decided", "fc").output
    assert "looks at 7, 10, 14, 20 pairs" in told
    assert "able to decide: 10, 14, 20" in told


def test_one_head_has_nothing_to_compare() -> None:
    """No division by no tests, and no promise of a verdict."""
    told = plan("--heads", "gap")
    assert told.exit_code == 0
    assert "nothing to compare" in told.output


@pytest.mark.parametrize(
    "arguments", [("--until-decided", "nobody"), ("--until-decided", "gap"), ("--workers", "0")]
)
def test_mistakes_are_one_line(arguments: tuple[str, ...]) -> None:
    """A head that is not there, the reference against itself, no process at all."""
    told = plan(*arguments)
    assert told.exit_code == 2
    assert arguments[1] in told.stderr
    assert "Traceback" not in told.output


def test_power_grows_and_is_zero_where_no_verdict_can_come() -> None:
    """Six seeds cannot decide three tests, however large the difference."""
    found = expected_power((1.0, 2.0), (6, 7, 10), tests=3, level=0.05, studies=400)
    power = {(item.effect, item.seeds): item.power for item in found}
    assert power[2.0, 6] == 0
    assert 0 < power[1.0, 7] < power[2.0, 7] < power[2.0, 10]


def test_a_lead_of_a_size_takes_so_many_seeds() -> None:
    """Else a report's advice sends its reader to train too few seeds, or far too many."""
    found = [
        seeds_to_find(effect, tests=1, level=0.05, fewest=8) for effect in (3.0, 1.0, 0.5, 0.01)
    ]
    assert found[0] == 8
    assert found[1] is not None
    assert found[2] is not None
    # Student's t alone takes 10 and 34 (noncentral t, power 0.8).
    assert 10 <= found[1] <= 14
    assert 33 <= found[2] <= 42
    assert found[3] is None
