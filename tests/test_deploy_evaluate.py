"""A study on new images: classes matched, differences told, the same statistics."""

import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from scipy.stats import binomtest

import headtohead
from deployed import Trained, trained_study
from headtohead.cli import main
from headtohead.data.pipeline import split_study
from headtohead.data.prepared import PreparedSet
from headtohead.deploy.new_images import matched
from headtohead.probes.base import read_run
from headtohead.probes.predictions import PREDICTIONS
from headtohead.stats.metrics import accuracy
from headtohead.stats.metrics import evaluate as scores_of
from photographs import write_pictures
from stated import stated


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_study(tmp_path_factory.mktemp("evaluate"))


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def cache_of(trained: Trained, folder: Path) -> Path:
    """A copy of the study's cache: what else is prepared must not lie beside the study's images."""
    return Path(shutil.copytree(trained.prepared.folder.parents[1], folder / "cache"))


def test_the_test_split_scores_as_in_the_study(trained: Trained, tmp_path: Path) -> None:
    """Else a number on new images cannot be set beside the study's own."""
    found = read_run(trained.ledger, PREDICTIONS, "gap", 1)
    assert found is not None
    for row in found.test.rows.tolist():
        name = trained.prepared.names[row]
        target = tmp_path / "new" / name.replace("cat/", "Cat/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((trained.source / name).read_bytes())
    told = command(
        trained.out, "--data", tmp_path / "new", "--cache", cache_of(trained, tmp_path), "--json"
    )
    assert told.exit_code == 0, told.stderr
    content = json.loads(told.stdout)
    scores = {(run["head"], run["seed"]): run["accuracy"] for run in content["runs"]}
    assert scores.keys() == {(head, seed) for head in ("fc", "gap") for seed in (0, 1)}
    assert scores["gap", 1] == pytest.approx(accuracy(found.test.best, found.test.labels))
    assert content["images"] == len(found.test.rows)
    (comparison,) = content["comparisons"]
    expected = sum(scores["gap", seed] - scores["fc", seed] for seed in (0, 1)) / 2
    assert comparison["mean"] == pytest.approx(expected)
    assert comparison["better"]["outcome"] == "inconclusive"  # two seeds
    renamed, in_the_study = content["notes"]
    assert "Cat" in renamed
    assert "--new-only" in in_the_study
    tested = len(found.test.rows)
    expected = {"images": tested, "exactly": tested, "train": 0, "validation": 0, "test": tested}
    assert content["in_the_study"] == expected


def test_an_accent_that_macos_writes_otherwise_is_the_same_class(tmp_path: Path) -> None:
    """Else a set that was packed on a Mac has none of the study's classes, to the eye the same."""
    theirs = tuple(unicodedata.normalize("NFD", name) for name in ("Blüte", "Café"))
    new = PreparedSet(
        folder=tmp_path,
        digest="d" * 64,
        image_size=8,
        resize="antialias",
        classes=theirs,
        names=("a", "b", "c"),
        labels=np.array([1, 0, 1]),
        groups=np.arange(3),
        given=(None,) * 3,
        original_sizes=np.full((3, 2), 8),
        quarantined=(),
    )
    rows, labels, notes = matched(new, ("Blüte", "café", "dog"))
    assert rows.tolist() == [0, 1, 2]
    assert labels.tolist() == [1, 0, 1]
    assert [("café" in note, "dog" in note) for note in notes] == [(True, False), (False, True)]


def test_a_failed_run_is_scored_as_in_the_study(trained: Trained, tmp_path: Path) -> None:
    """Else a head that diverges in half of its runs is compared by the other half alone."""
    out = Path(shutil.copytree(trained.out, tmp_path / "study"))
    path = out / "runs" / "fc" / "seed-1" / "run.json"
    why = {"reason": "the training loss is not finite", "epoch": 1, "step": 2}
    content = json.loads(path.read_text()) | {"status": "failed", "failure": why}
    path.write_text(json.dumps(content))
    new = write_pictures(tmp_path / "new", {"cat": 9, "dog": 3}, size=48, seed=5)
    told = command(out, "--data", new, "--cache", tmp_path / "cache", "--json")
    assert told.exit_code == 0, told.stderr
    content = json.loads(told.stdout)
    scores = {(run["head"], run["seed"]): run["accuracy"] for run in content["runs"]}
    assert scores.keys() == {("fc", 0), ("gap", 0), ("gap", 1)}
    (comparison,) = content["comparisons"]
    leads = (scores["gap", 0] - scores["fc", 0], scores["gap", 1] - 0.75)
    assert comparison["mean"] == pytest.approx(sum(leads) / 2)
    assert comparison["pictures"]["mean"] == pytest.approx(sum(leads) / 2)
    assert comparison["pictures"]["seeds"] == 2
    (note,) = [note for note in content["notes"] if note.startswith("Failed runs")]
    assert stated(note, "fc", "cat") == ["fc", "1", "cat", "75.0"]


def test_a_frozen_backbone_sees_new_images_once(tmp_path: Path) -> None:
    """Else a study of forty runs takes forty times as long on new images."""
    trained = trained_study(tmp_path, frozen=True)
    predicted = {
        (head, seed): read_run(trained.ledger, PREDICTIONS, head, seed)
        for head in ("fc", "gap")
        for seed in (0, 1)
    }
    rows = {row for found in predicted.values() if found for row in found.test.rows.tolist()}
    for name in (trained.prepared.names[row] for row in rows):
        target = tmp_path / "new" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((trained.source / name).read_bytes())
    cache = cache_of(trained, tmp_path)
    before = set((cache / "features").iterdir())
    told = command(trained.out, "--data", tmp_path / "new", "--cache", cache, "--json")
    assert told.exit_code == 0, told.stderr
    (new,) = {path for path in set((cache / "features").iterdir()) - before if path.is_dir()}
    assert np.load(new / "features.npy", mmap_mode="r").shape[:2] == (1, len(rows))
    runs = json.loads(told.stdout)["runs"]
    assert len(runs) == 4
    for run in runs:
        found = predicted[run["head"], run["seed"]]
        assert found is not None
        expected = scores_of(found.test.best, found.test.labels, 2)
        assert run["cross_entropy"] == pytest.approx(expected.cross_entropy, rel=1e-5)
        assert run["accuracy"] == expected.accuracy


def test_other_classes_and_shares_are_told(trained: Trained, tmp_path: Path) -> None:
    """Else an accuracy on other classes or shares is read as the study's."""
    new = write_pictures(tmp_path / "new", {"bird": 3, "cat": 9, "dog": 3}, size=48, seed=5)
    told = command(trained.out, "--data", new, "--cache", tmp_path, "--json")
    content = json.loads(told.stdout)
    assert content["images"] == 12
    assert content["shares"] == {"cat": [0.5, 0.75], "dog": [0.5, 0.25]}
    left_out, untold, shifted = content["notes"]
    assert content["in_the_study"] is None
    assert "--cache" not in untold
    assert "bird" in left_out
    assert "25 points" in shifted


def test_images_that_were_trained_on_are_told_and_left_out(
    trained: Trained, tmp_path: Path
) -> None:
    """Else accuracy on the training set is published as accuracy on new images."""
    new = write_pictures(tmp_path / "new", {"cat": 4, "dog": 4}, size=48, seed=5)
    split = split_study(trained.ledger.file.study, trained.prepared, 0)
    for row in split.train[:3].tolist():
        name = trained.prepared.names[row]
        image = Image.open(trained.source / name)
        image.save(new / name.split("/")[0] / f"again-{row}.jpg", quality=92)
    options = ("--data", new, "--cache", cache_of(trained, tmp_path), "--json")
    content = json.loads(command(trained.out, *options).stdout)
    assert content["images"] == 11
    found = content["in_the_study"]
    assert (found["images"], found["train"], found["validation"], found["test"]) == (3, 3, 0, 0)
    content = json.loads(command(trained.out, *options, "--new-only").stdout)
    assert content["images"] == 8
    elsewhere = command(trained.out, "--data", new, "--cache", tmp_path / "none", "--new-only")
    assert elsewhere.exit_code == 3
    assert "--cache" in elsewhere.stderr
    nothing = command(trained.out, "--data", trained.source, *options[2:], "--new-only")
    assert nothing.exit_code == 3


def test_no_class_in_common_is_refused(trained: Trained, tmp_path: Path) -> None:
    new = write_pictures(tmp_path / "new", {"bird": 3, "fish": 3}, size=48)
    told = command(trained.out, "--data", new, "--cache", tmp_path)
    assert told.exit_code == 3
    assert "bird, fish" in told.stderr
    assert "Traceback" not in told.stderr


def test_one_class_alone_is_scored(trained: Trained, tmp_path: Path) -> None:
    """Else whoever has new photographs of cats alone cannot ask how many the model finds."""
    new = write_pictures(tmp_path / "new", {"cat": 5}, size=48, seed=5)
    told = command(trained.out, "--data", new, "--cache", tmp_path, "--json")
    assert told.exit_code == 0, told.stderr
    content = json.loads(told.stdout, parse_constant=lambda name: pytest.fail(name))
    assert content["images"] == 5
    assert "No image of class dog." in content["notes"]
    predicted = headtohead.load(trained.out).predictor("gap", 0, device="cpu")
    found = predicted.predict(sorted((new / "cat").iterdir()))
    (run,) = (run for run in content["runs"] if (run["head"], run["seed"]) == ("gap", 0))
    assert run["accuracy"] == pytest.approx(float((found == "cat").mean()))
    loose = command(trained.out, "--data", new / "cat", "--cache", tmp_path)
    assert loose.exit_code == 3
    assert stated(loose.stderr.splitlines()[-1], "cat, dog", "predict") == ["cat, dog", "predict"]


def test_many_other_classes_take_one_line(trained: Trained, tmp_path: Path) -> None:
    """Else a set of a thousand classes buries what else is to be known."""
    others = {f"bird{number}": 2 for number in range(6)}
    new = write_pictures(tmp_path / "new", {"cat": 3, **others}, size=150, seed=5)
    told = command(trained.out, "--data", new, "--cache", tmp_path, "--json")
    left_out, missing, *_ = json.loads(told.stdout)["notes"]
    assert stated(left_out) == ["12", "6"]
    assert stated(missing, "dog") == ["dog"]


def test_the_run_that_predicts_has_an_interval_over_images(
    trained: Trained, tmp_path: Path
) -> None:
    """Else nothing says what the model that was handed over does on the new images."""
    new = write_pictures(tmp_path / "new", {"cat": 7, "dog": 6}, size=48, seed=5)
    options = (trained.out, "--data", new, "--cache", tmp_path)
    winner = headtohead.load(trained.out).summary.winner
    assert winner is not None
    runs = json.loads(command(*options, "--json").stdout)["runs"]
    (accuracy,) = (
        r["accuracy"] for r in runs if (r["head"], r["seed"]) == (winner.head, winner.seed)
    )
    right = round(accuracy * 13)
    exact = binomtest(right, 13).proportion_ci(0.95, method="exact")
    told = command(*options).stdout
    (line,) = (x for x in told.splitlines() if x.startswith(f"{winner.head} seed {winner.seed},"))
    assert stated(line)[2:] == [
        *(str(right), "13", "95", f"{100 * exact.low:.2f}", f"{100 * exact.high:.2f}")
    ]
    assert "before the temperature" in told
    (comparison,) = json.loads(command(*options, "--json").stdout)["comparisons"]
    for name in ("better", "not_worse"):  # the second is what a report may choose a head by
        assert f"{comparison[name]['claim']}: {comparison[name]['outcome']}" in told


def test_splits_that_are_scored_together_are_told(trained: Trained, tmp_path: Path) -> None:
    """Else a figure over train, validation and test of a set is taken for its test split's."""
    for part in ("train", "val", "test"):
        write_pictures(tmp_path / "new" / part, {"cat": 2, "dog": 2}, size=48, seed=len(part))
    told = command(trained.out, "--data", tmp_path / "new", "--cache", tmp_path / "c", "--json")
    content = json.loads(told.stdout)
    assert content["images"] == 12
    assert stated(content["notes"][0], "train", "val", "test") == ["test", "train", "val"]
    alone = command(trained.out, "--data", tmp_path / "new/test", "--cache", tmp_path / "c")
    assert alone.stdout.startswith("4 images")
