"""`plan` counts what is to do and never invents a number."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headtohead.claims.judge import judge
from headtohead.cli import main
from headtohead.config.from_options import study_from
from headtohead.config.study import BackboneSpec, StudySpec
from headtohead.config.study_files import load_study
from headtohead.core.errors import UsageError
from headtohead.runtime.forecast import forecast
from headtohead.runtime.forecast_text import render_forecast
from headtohead.stats.power import expected_power, seeds_to_find
from headtohead.store.ledger import Ledger
from headtohead.study_data import StudyData
from ledgers import add_run, full_ledger, study_ledger
from photographs import write_pictures
from stated import stated
from test_interim import design, followed
from test_own_code import KeepsItsAnswer


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`plan` looks for the study's runs below the current folder."""
    monkeypatch.chdir(tmp_path)


pytestmark = pytest.mark.usefixtures("quick_workers")


def plan(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["plan", *map(str, arguments)])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A given train/ of 60 images and a validation/ of 10, and no test/."""
    root = tmp_path_factory.mktemp("source")
    write_pictures(root / "train", {"cat": 30, "dog": 30})
    write_pictures(root / "validation", {"cat": 5, "dog": 5})
    return root


def test_a_study_without_runs_has_no_time(source: Path) -> None:
    """A guessed duration is worse than none: machines differ by a hundred times."""
    told = plan("--data", source, "--no-timing", "--cache", "cache")
    assert told.exit_code == 0, told.output
    words = ("gap against", "fc", "fc_dropout", "gap", "tests", "unknown")
    runs = [stated(line) for line in told.output.splitlines() if "to do" in line]
    assert ["3", "7", "21", "21"] in runs
    found = [stated(line, *words) for line in told.output.splitlines()]
    assert any(line[:5] == ["gap against", "fc", "fc_dropout", "2", "tests"] for line in found)
    assert any(line[:3] == ["3", "tests", "7"] for line in found)
    assert ["unknown", "fc", "fc_dropout", "gap"] in found
    assert "per run (" not in told.output


def test_the_time_of_a_study_without_runs_is_measured(source: Path) -> None:
    """Hours are told before they are spent: by steps of the real models, nothing trained."""
    options = ("--image-size", "36", "--heads", "fc,gap", "--seeds", "2", "--cache", "cache")
    told = json.loads(plan("--data", source, *options, "--json").stdout)
    assert [(head["head"], head["measured"], head["missing"]) for head in told["heads"]] == [
        ("fc", True, 2),
        ("gap", True, 2),
    ]
    seconds = [head["seconds"] for head in told["heads"]]
    assert min(seconds) > 0
    assert told["remaining"] == pytest.approx(2 * sum(seconds))
    # 6 of the 60 in train/ are to judge; the 10 in validation/ stay what they are.
    assert told["images"] == {
        "train": 54,
        "validation": 10,
        "test": 6,
        "given": ["train", "validation"],
    }
    assert sorted(path.name for path in Path().iterdir()) == []


def test_a_small_folders_epochs_are_those_that_compare_runs(source: Path) -> None:
    """Else `standard` on a few hundred images takes ten times as long as was told."""
    options = ("--no-timing", "--cache", "cache", "--json")
    told = json.loads(plan("--data", source, *options).stdout)
    recipe = told["study"]["recipe"]
    assert (recipe["epochs"], recipe["min_steps"]) == (600, None)  # 54 images: a batch an epoch
    named = json.loads(plan("--data", source, "--epochs", "3", *options).stdout)
    assert named["study"]["recipe"]["epochs"] == 3


def test_runs_of_a_small_folder_are_found(source: Path) -> None:
    """Else `plan` takes what `compare` has made of `min_steps` for another study."""
    spec = study_from(None, data=source, heads="fc,gap", seeds=2).for_images(54)
    file = study_ledger(Path("pattern")).file.model_copy(update={"study": spec})
    add_run(Ledger.create(Path("kept"), file), "gap", 0)
    told = plan(
        *("--data", source, "--heads", "fc,gap", "--seeds", "2", "--out", "kept"),
        *("--no-timing", "--cache", "cache"),
    )
    assert told.exit_code == 0, told.output
    runs = [stated(line, "kept") for line in told.output.splitlines() if "to do" in line]
    assert ["2", "2", "4", "3", "1", "kept"] in runs


def test_python_prints_what_the_command_prints(tmp_path: Path) -> None:
    """Else `print(headtohead.plan(…))` is a page of fields."""
    found = forecast(study_ledger(tmp_path, heads=("fc", "gap"), seeds=3).file.study)
    assert str(found) == render_forecast(found)
    first = str(found).splitlines()[0]
    assert stated(first, "quick") == ["quick", "2", "3", "6", "6"]


REFUSED = (
    (("--heads", "fc,gpa"), 2),
    (("--heads", "no.such:Head"), 2),
    (("--data", "nowhere"), 3),
    (("--data", "one_class"), 3),
    (("--data", "small"), 3),
    (("--data", "letter.txt"), 3),
    (("--image-size", "9"), 2),
    (("--device", "tpu"), 2),
    (("--precision", "tf32", "--device", "cpu"), 2),
    (("--workers", "0"), 2),
    (("--out", "small"), 2),
    (("--until-decided", "nobody"), 2),
    (("backbone.yaml",), 2),
    (("missing.yaml",), 2),
)


NAMED: dict[tuple[str, ...], str] = {
    ("no.such:Head",): "no.such:Head",
    ("9",): "too small",
    ("tpu",): "tpu",
    ("tf32",): "tf32",
}


@pytest.mark.parametrize(("arguments", "code"), REFUSED, ids=str)
def test_plan_refuses_what_compare_refuses(
    arguments: tuple[str, ...], code: int, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a plan is made of a study that cannot be run; same exit code, same message."""
    monkeypatch.setenv("HEADTOHEAD_CACHE", str(source.parent / "cache"))
    write_pictures(Path("one_class"), {"cat": 5})
    write_pictures(Path("small"), {"cat": 5, "dog": 1})
    Path("letter.txt").write_text("dear")
    Path("backbone.yaml").write_text("backbone: {name: nothing}\n")
    data = () if "--data" in arguments else ("--data", str(source))
    results = [
        CliRunner().invoke(main, [command, *arguments, *data]) for command in ("plan", "compare")
    ]
    assert [result.exit_code for result in results] == [code, code], results[0].output
    complaints = [
        [line for line in result.stderr.splitlines() if line.startswith("headtohead: ")]
        for result in results
    ]
    assert len(complaints[0]) == 1
    assert NAMED.get(arguments[1:2], "") in complaints[0][0]
    assert complaints[0] == complaints[1]


def test_four_heads_need_seven_seeds_as_documented() -> None:
    """Three tests: 7 seeds."""
    found = forecast(load_study("article"))
    assert (found.primary_tests, found.primary_seeds, found.claim_seeds) == (3, 7, 7)
    assert found.remaining is None


class Counted(KeepsItsAnswer):
    """A claim with a rule of its own."""

    name = "counted"
    tested = False


def test_claims_of_ones_own_are_counted_as_the_judge_counts_them(tmp_path: Path) -> None:
    """Else a plan tells a user too few seeds, and no claim of theirs is ever decided."""
    own = ("test_own_code:KeepsItsAnswer", "test_forecast:Counted")
    told = forecast(StudySpec.model_validate({"claims": own}))
    assert told.tested_claims == ("overfitting", "class_maps", "translation", "darkness")
    assert told.claim_seeds == 8
    assert "4 tests: at least 8 seeds" in str(told)
    judged = judge(StudyData(full_ledger(tmp_path, seeds=2, epochs=2)))
    family = tuple(claim.name for claim in judged if claim.difference is not None)
    assert forecast(load_study("article")).tested_claims == family


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


def test_a_folder_from_when_studies_were_called_standard_is_found() -> None:
    """Else the times of its runs are measured again, and what is done is counted as to do."""
    ledger = study_ledger(Path("runs") / "standard-1234", heads=("fc", "gap"), seeds=2)
    add_run(ledger, "fc", 0)
    study = ledger.file.study.model_copy(update={"name": "flowers"})
    assert forecast(study).missing == 3


def test_a_folder_that_cannot_be_read_is_in_nobodys_way() -> None:
    """Else a damaged folder of another study, which nobody named, leaves no plan of this one."""
    ledger = study_ledger(Path("runs") / "quick-ffff", heads=("fc", "gap"), seeds=2)
    add_run(ledger, "fc", 0)
    other = Path("runs/quick-0000/study.yaml")
    other.parent.mkdir()
    other.write_text("format: 9\n")
    assert forecast(ledger.file.study).missing == 3


def test_one_head_without_a_run_leaves_the_sum_unknown(tmp_path: Path) -> None:
    """The time of the other heads alone would read like the whole study's."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    add_run(ledger, "fc", 0)
    assert forecast(ledger.file.study, tmp_path).remaining is None


def test_another_studys_times_are_not_taken(tmp_path: Path) -> None:
    """Runs of other images or epochs take other times."""
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
    told = str(forecast(study_from("study.yaml", until_decided="fc")))
    ((looks, able),) = re.findall("looks at (.*?) pairs.*?decide: (.*)", told, re.S)
    assert stated(looks) == ["7", "10", "14", "20"]
    assert stated(able)[:3] == ["10", "14", "20"]


def test_the_runs_of_a_sequential_study_are_those_of_its_looks(tmp_path: Path) -> None:
    """Else six runs are planned where fourteen are trained before the first look, at most forty."""
    ledger = study_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=2)
    spec = design(ledger)
    first = forecast(spec, tmp_path)
    assert [(head.missing, head.further) for head in first.heads] == [(7, 3), (2, 0), (7, 3)]
    told = stated(str(first).splitlines()[0].replace(str(tmp_path), "here"))
    assert told == ["3", "16", "7", "16", "0", "6"]
    assert {item.seeds for item in first.power} == {7, 8, 10}
    followed(ledger, design(ledger, looks=[7]), {})
    done = forecast(design(ledger, looks=[7]), tmp_path)
    assert (done.runs, done.missing, done.further, done.remaining) == (16, 0, 0, 0)


def test_the_time_of_every_look_is_told(tmp_path: Path) -> None:
    """Else a machine is taken for the first look alone."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    add_run(ledger, "fc", 0)
    add_run(ledger, "gap", 1)
    found = forecast(design(ledger), tmp_path)
    assert found.remaining == pytest.approx(12 * 50)
    assert found.longest == pytest.approx(18 * 50)
    assert stated(str(found).splitlines()[-1]) == ["15"]  # minutes, one worker


def test_a_plan_of_a_design_that_cannot_be_declared_is_refused(tmp_path: Path) -> None:
    """Else a plan is made of what `compare` refuses after the images are prepared."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    for head in ("fc", "gap"):
        add_run(ledger, head, 0)
    with pytest.raises(UsageError, match=r"1 .* gap and fc"):
        forecast(design(ledger), tmp_path)
    # Where `compare` goes without --out.
    usual = Path("runs") / f"{ledger.file.study.name}-{ledger.file.digest[:8]}"
    ledger = study_ledger(usual, heads=("fc", "gap"), seeds=2)
    for head in ("fc", "gap"):
        add_run(ledger, head, 0)
    with pytest.raises(UsageError, match=r"1 .* gap and fc"):
        forecast(design(ledger))


def test_the_features_are_said_to_be_left_out_of_the_time(tmp_path: Path) -> None:
    """Else a frozen backbone's hour over all images is planned as the seconds of its heads."""
    frozen = BackboneSpec(name="tutorial_cnn", train="none")
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    add_run(ledger, "fc", 0)
    add_run(ledger, "gap", 0)
    told = forecast(ledger.file.study, tmp_path)
    assert "frozen backbone excluded" not in str(told)
    study = told.study.model_copy(update={"backbone": frozen})
    assert "frozen backbone excluded" in str(dataclasses.replace(told, study=study))


def test_one_head_has_nothing_to_compare() -> None:
    """No division by no tests, and no promise of a verdict."""
    assert "nothing to compare" in str(forecast(study_from("quick", heads="gap")))


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


def test_a_plan_shows_how_a_pretrained_backbones_inputs_are_made() -> None:
    """Wrong preprocessing costs points in silence; before training is the time to see it."""
    spec = StudySpec.model_validate({"pictures": {"image_size": 64, "resize": "bilinear"}})
    about = {"its mean": "0.5, 0.5, 0.5", "its crop": "87.5% of the side, from the centre"}
    text = str(dataclasses.replace(forecast(spec), backbone=about))
    for name, value in about.items():
        assert f"{name} {value}" in text
    assert "64 × 64 pixels, bilinear" in text
    assert "its mean" not in str(forecast(spec))
