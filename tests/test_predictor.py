"""A finished study predicts: as it was trained, whatever the files are and are called."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import headtohead
from commands import run
from deployed import SIDE, Trained, trained_study
from headtohead.cli import main
from headtohead.core.errors import HeadToHeadError, RunError, UsageError
from headtohead.data.decode_pool import CHUNK
from headtohead.deploy.image_files import FEW, read_all
from headtohead.deploy.runs import temperature_of
from headtohead.probes.base import read_run
from headtohead.probes.predictions import PREDICTIONS
from headtohead.stats.metrics import probabilities
from headtohead.study_data import StudyData
from headtohead.training.inputs import Pictures
from ledgers import add_run, full_ledger, study_ledger
from photographs import write_pictures


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_study(tmp_path_factory.mktemp("predictor"))


def command(*arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return run(*arguments, given=given)


def test_a_file_is_seen_as_the_prepared_set_has_it(trained: Trained) -> None:
    """Else a shipped model sees other pixels than it was trained on, and is silently worse."""
    paths = [trained.source / name for name in trained.prepared.names]
    assert len(paths) > max(FEW, CHUNK)  # by processes, more than one chunk
    many = [read for part in read_all(paths, side=SIDE, method="antialias") for read in part]
    assert [read.path for read in many] == paths
    images = trained.prepared.images
    for read, row in zip(many, images, strict=True):
        assert read.pixels is not None
        assert np.array_equal(read.pixels, row)
    few = [read for part in read_all(paths[:3], side=SIDE, method="antialias") for read in part]
    assert len(few) == 3
    for read, row in zip(few, images, strict=False):
        assert read.pixels is not None
        assert np.array_equal(read.pixels, row)


def test_predictions_on_files_are_the_models_on_the_prepared_set(trained: Trained) -> None:
    """Else figures of the report say nothing of the model that was handed over."""
    study = headtohead.load(trained.out)
    predictor = study.predictor("gap", 1, device="cpu")
    paths = [trained.source / name for name in trained.prepared.names]
    (member,) = predictor.members
    pictures = Pictures(trained.prepared.images, trained.prepared.labels, torch.device("cpu"))
    with torch.inference_mode():
        inputs, _ = pictures.batch(torch.arange(64))
        logits = study.model("gap", 1, device="cpu")(inputs).numpy()
    expected = probabilities(logits / member.temperature)
    assert np.array_equal(predictor.predict_proba(paths[:64]), expected)
    found = read_run(study.ledger, PREDICTIONS, "gap", 1)
    assert found is not None
    chosen = [paths[row] for row in found.test.rows]
    kept = probabilities(found.test.best / member.temperature)
    np.testing.assert_allclose(predictor.predict_proba(chosen), kept, rtol=1e-4, atol=1e-6)


def test_paths_images_and_arrays_are_one(trained: Trained) -> None:
    """Else what a notebook shows is not what the command says."""
    path = trained.source / trained.prepared.names[0]
    study = headtohead.load(trained.out)
    with Image.open(path) as image:
        image.load()
    found = study.predict_proba([path, str(path), image, np.asarray(image)])
    assert np.array_equal(found, found[:1].repeat(4, axis=0))
    assert found.shape == (4, 2)
    assert np.allclose(found.sum(axis=1), 1)
    assert study.classes_ == ("cat", "dog")
    assert study.predict([path])[0] == study.classes_[int(found[0].argmax())]


def test_the_default_is_the_winner_and_its_best_seed(trained: Trained) -> None:
    """Else another model ships than the one that the report names."""
    study = headtohead.load(trained.out)
    winner = study.summary.winner
    assert winner is not None
    (member,) = study.predictor(device="cpu").members
    assert (member.head, member.seed) == (winner.head, winner.seed)
    path = [trained.source / trained.prepared.names[0]]
    own, other = (study.predict_proba(path), study.predictor(winner.head, 1 - winner.seed))
    both = study.predictor(winner.head, ensemble=True)
    assert [m.seed for m in both.members] == [0, 1]
    mean = (own + other.predict_proba(path)) / 2
    np.testing.assert_allclose(both.predict_proba(path), mean, rtol=1e-9)
    wrongs: dict[str, dict[str, Any]]
    wrongs = {"gem": {"head": "gem"}, "7": {"seed": 7}, "ensemble": {"seed": 0, "ensemble": True}}
    for words, wrong in wrongs.items():
        with pytest.raises(UsageError, match=words):
            study.predictor(**wrong)


def test_the_temperature_is_validations_own(tmp_path: Path) -> None:
    """Else confidence is scaled by what the model was trained on, and promises too much."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=1)
    found = read_run(ledger, PREDICTIONS, "fc", 0)
    assert found is not None
    value, count = temperature_of(StudyData(ledger), "fc", 0)
    assert count == len(found.validation.labels) == 200
    logits = found.validation.best[:, 0].astype(np.float64)
    signs = 2 * found.validation.labels - 1

    def loss(t: float) -> float:
        return float(np.log1p(np.exp(-signs * logits / t)).mean())

    assert loss(value) < min(loss(value * 1.02), loss(value / 1.02), loss(1.0))


def test_answers_that_are_all_right_calibrate_nothing(tmp_path: Path) -> None:
    """Else eight validation images without an error make every answer 100 % certain."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=1)
    add_run(ledger, "gap", 0, skill=1.0)
    assert temperature_of(StudyData(ledger), "gap", 0) == (1.0, 0)
    assert temperature_of(StudyData(ledger), "fc", 0) == (1.0, 0)  # no run, no predictions


def test_files_of_the_study_are_counted(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else answers that were learned by heart are taken for the model's skill."""
    monkeypatch.setenv("HEADTOHEAD_CACHE", str(trained.prepared.folder.parents[1]))
    for number, name in enumerate(trained.prepared.names[:3]):
        shutil.copy(trained.source / name, tmp_path / f"{number}.jpg")
    write_pictures(tmp_path / "new", {"cat": 2}, size=48, seed=9)
    told = CliRunner().invoke(main, ["predict", str(trained.out), str(tmp_path)])
    assert told.exit_code == 0
    assert len(told.stdout.splitlines()) == 5
    assert [line for line in told.stderr.splitlines() if line.startswith("3 files")]
    told = CliRunner().invoke(main, ["predict", str(trained.out), str(tmp_path / "new")])
    assert "byte for byte" not in told.stderr


def test_the_command_answers_in_three_forms(trained: Trained, tmp_path: Path) -> None:
    """Unreadable files are told and skipped, the exit code says so, and all others are answered."""
    (tmp_path / "in").mkdir()
    names = ["=cmd|'calc'!A1.jpg", "two\nlines.jpg", "<b>&.jpg", "ünï.jpg"]
    for name, source in zip(names, trained.prepared.names, strict=False):
        os.link(trained.source / source, tmp_path / "in" / name)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    told = command("predict", trained.out, tmp_path / "in", "--format", "csv", "--top", "2")
    assert told.returncode == 3, told.stderr
    assert "broken.jpg" in told.stderr
    assert "Traceback" not in told.stderr
    rows = list(csv.DictReader(io.StringIO(told.stdout)))
    assert len(rows) == 4
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    for row in rows:
        assert float(row["probability"]) + float(row["probability_2"]) == pytest.approx(1, abs=1e-5)
    listed = "\0".join(str(tmp_path / "in" / name) for name in names)
    lines = command("predict", trained.out, "-", "--format", "jsonl", given=listed)
    assert lines.returncode == 0, lines.stderr
    found = [json.loads(line) for line in lines.stdout.splitlines()]
    assert [Path(line["file"]).name for line in found] == names
    assert {line["class"] for line in found} <= {"cat", "dog"}
    assert "calibrated" in lines.stderr  # what the probabilities are is stated


@pytest.mark.parametrize("harm", ["cut", "changed", "foreign", "pickle", "gone"])
def test_weights_that_are_not_the_runs_are_refused(
    trained: Trained, tmp_path: Path, harm: str
) -> None:
    """Else somebody else's file answers in the study's name, or runs code."""
    import pickle

    out = tmp_path / "out"
    shutil.copytree(trained.out, out)
    path = out / "runs/gap/seed-0/best.safetensors"
    content = bytearray(path.read_bytes())
    if harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif harm == "changed":
        content[-3] ^= 255
        path.write_bytes(content)
    elif harm == "foreign":
        shutil.copy(out / "runs/gap/seed-1/best.safetensors", path)
    elif harm == "pickle":
        marker = tmp_path / "ran"
        path.write_bytes(pickle.dumps(_Opens(marker)))
    else:
        path.unlink()
    with pytest.raises(RunError) as refusal:
        headtohead.load(out).model("gap", 0)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "ran").exists()


class _Opens:
    """As a pickle, code that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_ledgers_own_code_is_not_imported_unasked(trained: Trained, tmp_path: Path) -> None:
    """Else opening a study that somebody sent runs what they wrote."""
    out = tmp_path / "out"
    shutil.copytree(trained.out, out)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    study = (out / "study.yaml").read_text()
    (out / "study.yaml").write_text(study.replace("name: tutorial_cnn", "name: evil:Net"))
    told = subprocess.run(
        [sys.executable, "-m", "headtohead", "predict", str(out), "x.jpg", "--head", "gap"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert told.returncode == 2
    assert len(told.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "ran").exists()


def test_the_estimator_is_scikit_learns(trained: Trained) -> None:
    """Else it cannot stand in a pipeline or be scored beside other classifiers."""
    pytest.importorskip("sklearn")
    from sklearn.base import clone, is_classifier
    from sklearn.metrics import accuracy_score

    made = headtohead.StudyClassifier(trained.out, head="gap", seed=0, device="cpu")
    again = clone(made)
    assert again.get_params() == made.get_params()
    assert is_classifier(made)
    images = [trained.source / name for name in trained.prepared.names[:6]]
    labels = [trained.prepared.classes[k] for k in trained.prepared.labels[:6]]
    assert made.fit(images, labels).score(images, labels) == accuracy_score(
        labels, made.predict(images)
    )
    assert made.predict_proba(images).shape == (6, 2)
    with pytest.raises(UsageError, match="bird"):
        made.fit(images, ["bird"] * 6)


def test_an_estimator_answers_by_its_arguments_as_they_are(trained: Trained) -> None:
    """Else a search that sets `head` scores every head by the first one's model."""
    images = [trained.source / name for name in trained.prepared.names[:3]]
    made = headtohead.StudyClassifier(trained.out, head="gap", seed=0, device="cpu")
    before = made.predict_proba(images)
    made.head = "fc"
    study = headtohead.load(trained.out)
    expected = study.predictor("fc", 0, device="cpu").predict_proba(images)
    assert np.array_equal(made.predict_proba(images), expected)
    assert not np.array_equal(before, expected)
    assert np.array_equal(made.set_params(head="gap").predict_proba(images), before)


def test_an_estimator_takes_code_of_ones_own(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a study of one's own backbone cannot stand in a pipeline."""
    out = Path(shutil.copytree(trained.out, tmp_path / "out"))
    study = (out / "study.yaml").read_text()
    (out / "study.yaml").write_text(study.replace("name: tutorial_cnn", "name: mine_here:Net"))
    ran = tmp_path / "ran"
    (tmp_path / "mine_here.py").write_text(f"from pathlib import Path\nPath({str(ran)!r}).touch()")
    monkeypatch.syspath_prepend(tmp_path)
    image = [trained.source / trained.prepared.names[0]]
    for trust in ((), ("mine_here:Net",)):
        made = headtohead.StudyClassifier(out, head="gap", seed=0, trust=trust)
        with pytest.raises(HeadToHeadError):
            made.predict(image)
        assert ran.exists() == bool(trust)


def test_an_ensemble_shows_an_image_to_its_frozen_backbone_once(tmp_path: Path) -> None:
    """Else seven seeds take seven times as long, though the backbone is one and the same."""
    trained = trained_study(tmp_path, frozen=True)
    study = headtohead.load(trained.out)
    ensemble = study.predictor("gap", ensemble=True)
    calls = [0] * len(ensemble.members)
    for number, member in enumerate(ensemble.members):

        def count(*_: object, number: int = number) -> None:
            calls[number] += 1

        member.model.backbone.register_forward_hook(count)
    pixels = np.asarray(trained.prepared.images[:70])
    found = ensemble.of_pixels(pixels)
    assert sum(calls) == 2  # batches of 64 and of 6
    each = [study.predictor("gap", seed=seed).of_pixels(pixels) for seed in (0, 1)]
    assert np.array_equal(found, np.mean(each, axis=0))


def test_weights_of_a_frozen_backbone_that_lie_elsewhere_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a study that was copied without them asks to name a file, which no option does."""
    trained = trained_study(tmp_path, frozen=True)
    study = (trained.out / "study.yaml").read_text()
    name = trained.ledger.file.study.backbone.weights
    (trained.out / "study.yaml").write_text(study.replace(str(name), "mine.safetensors"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as told:
        headtohead.load(trained.out).model("gap", 0)
    assert all(part in str(told.value) for part in ("mine.safetensors", str(tmp_path)))
