"""Exports that need no extra: proved before they are called done, and refused where not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headtohead
from deployed import SIDE, Trained, trained_study
from headtohead.core.errors import RunError, UsageError
from headtohead.deploy import export as exporting
from headtohead.deploy.card import Use, card, metadata_of
from headtohead.deploy.export import TOLERANCE, export
from headtohead.study_data import StudyData

os.environ.setdefault("KERAS_BACKEND", "torch")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_study(tmp_path_factory.mktemp("export"))


def part(text: str, title: str) -> str:
    """What a card says under a title."""
    return text.partition(f"## {title}\n")[2].partition("## ")[0]


ALONE = """
import json, runpy, sys
sys.modules["headtohead"] = None
sys.path.insert(0, "")
for sys.argv in json.loads(sys.argv[1]):
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def alone(script: Path, *calls: tuple[Path | str, ...]) -> str:
    """What a shipped script says, called once and again, where headtohead cannot be imported."""
    words = json.dumps([[str(script), *map(str, call)] for call in calls])
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, words],
        capture_output=True, text=True, check=False, env={"KERAS_BACKEND": "torch"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def write(trained: Trained, form: str, out: Path, head: str) -> list[Path]:
    study = headtohead.load(trained.out)
    return export(StudyData(study.ledger), study.summary, form, out, head=head)


@pytest.mark.parametrize(
    ("form", "name", "head"), [("torch", "m.pt2", "gap"), ("keras", "m.keras", "fc")]
)
def test_a_model_runs_without_headtohead(
    trained: Trained, tmp_path: Path, form: str, name: str, head: str
) -> None:
    """Else what is handed over needs the whole of headtohead, or answers otherwise."""
    if form == "keras":
        pytest.importorskip("keras")
    files = write(trained, form, tmp_path / "there" / name, head)
    assert {path.suffix for path in files} >= {Path(name).suffix, ".md", ".py"}
    script = next(path for path in files if path.suffix == ".py")
    rows = np.array([0, 5, 79])
    images = trained.prepared.images[rows]
    np.save(tmp_path / "images.npy", images)
    photograph = trained.source / trained.prepared.names[0]
    shares, answer = alone(
        script, (files[0], "--array", tmp_path / "images.npy"), (files[0], photograph)
    ).splitlines()
    found = np.array(json.loads(shares))
    predictor = headtohead.load(trained.out).predictor(head, device="cpu")
    expected = predictor.of_pixels(images)
    assert np.array_equal(found.argmax(axis=1), expected.argmax(axis=1))
    if form == "torch":  # calibrated
        np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    label, share, path = answer.split("\t")
    assert (label, path) == (predictor.predict([photograph])[0], str(photograph))
    assert 0.5 <= float(share) <= 1
    text = (tmp_path / "there" / f"{name}.md").read_text()
    assert "`cat`, `dog`" in text
    assert "labels equal" in text
    assert f"{script.name} {name}" in part(text, "Use")


def test_weights_are_shipped_with_a_card(trained: Trained, tmp_path: Path) -> None:
    """Else a file of weights lies somewhere and nobody knows what it is worth."""
    safetensors = pytest.importorskip("safetensors")
    model, told = write(trained, "safetensors", tmp_path / "m.safetensors", "gap")
    with safetensors.safe_open(model, framework="pt") as handle:
        metadata = handle.metadata()
    assert json.loads(metadata["classes"]) == ["cat", "dog"]
    assert metadata["digest"] == trained.ledger.file.digest
    assert "Clopper-Pearson" in told.read_text()


def test_an_export_that_is_not_the_original_is_not_written(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a broken exporter ships silently."""
    real = exporting._original
    monkeypatch.setattr(exporting, "_original", lambda *a, **k: 1 - real(*a, **k))
    with pytest.raises(RunError, match="labels"):
        write(trained, "safetensors", tmp_path / "m.safetensors", "gap")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["m.zip", "m", "m.keras"])
def test_a_misleading_name_is_refused_before_anything_is_loaded(
    trained: Trained, tmp_path: Path, name: str
) -> None:
    """Else weights lie in a file that says it is a zip archive, or Keras's."""
    with pytest.raises(UsageError, match=r"m\.safetensors"):
        write(trained, "safetensors", tmp_path / name, "gap")
    assert list(tmp_path.iterdir()) == []


def test_resizing_is_proved_on_detail_of_another_size(trained: Trained) -> None:
    """Else a graph that resizes otherwise than training passes its proof."""
    images = np.ascontiguousarray(trained.prepared.images[:13])
    found = exporting.mosaics(images)
    assert found.shape == (2, 2 * SIDE, 3 * SIDE, 3)
    assert np.array_equal(found[1, :SIDE, SIDE : 2 * SIDE], images[7])
    assert np.array_equal(found[1, SIDE:, :SIDE], images[9])
    assert exporting.mosaics(images[:2]).shape[0] == 1


def test_labels_may_differ_only_between_classes_that_are_level() -> None:
    """Else an export is refused for a tie, or one that answers otherwise is accepted."""
    wanted = np.array([[0.501, 0.499], [0.2, 0.8]])
    tie = np.array([[0.499, 0.501], [0.2, 0.8]])
    assert exporting._compare(tie, wanted, "x", 0.01, 0.02) == pytest.approx(0.002)
    with pytest.raises(RunError, match="1 of 2 labels"):
        exporting._compare(tie, wanted, "x", 0.01, 0.0)
    with pytest.raises(RunError, match="1 of 2 labels"):
        exporting._compare(np.array([[0.501, 0.499], [0.6, 0.4]]), wanted, "x", 1.0, 0.02)
    with pytest.raises(RunError, match="numbers"):
        exporting._compare(wanted[:1], wanted, "x", 0.01, 0.0)


def test_keras_is_for_the_tutorials_own(
    tmp_path: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "load_model", lambda *a, **k: _other())
    with pytest.raises(UsageError, match="tutorial_cnn"):
        write(trained, "keras", tmp_path / "model.keras", "gap")


def _other() -> object:
    from headtohead.backbones.tutorial_cnn import TutorialCNN
    from headtohead.heads.classifier import Classifier
    from headtohead.heads.table import build_head

    return Classifier(TutorialCNN(), build_head("gem", 64, (2, 2), 1)).eval()


def test_each_format_keeps_its_own_card(trained: Trained, tmp_path: Path) -> None:
    """Else the second format's card, which proves another file, lies where the first's was."""
    (tmp_path / "m.md").write_text("mine")
    (tmp_path / "m.json").write_text("mine")
    files = write(trained, "safetensors", tmp_path / "m.safetensors", "gap")
    told = files[-1].read_text()
    files += write(trained, "torch", tmp_path / "m.pt2", "gap")
    assert len(set(files)) == 5
    assert files[1].read_text() == told
    assert {path.read_text() for path in (tmp_path / "m.md", tmp_path / "m.json")} == {"mine"}


@pytest.mark.parametrize("form", exporting.FORMATS)
def test_a_card_says_whether_its_file_is_calibrated(trained: Trained, form: str) -> None:
    """Else a file that gives bare confidence is said to hold the temperature."""
    study, known = headtohead.load(trained.out), exporting.FORMATS[form]
    run = study.summary.runs[0]
    metadata = metadata_of(study.summary, run, 1.37)
    for fitted_on in (0, 1234):
        use = Use("m", known.takes, known.gives, known.script, known.calibrated, fitted_on)
        told = part(card(study.summary, run, metadata, use, "proved"), "Confidence")
        within = bool(fitted_on) and form in ("onnx", "torch")
        assert ("are calibrated" in told, "Not calibrated" in told) == (within, not within)
        assert ("1.37" in told, "1,234" in told) == (bool(fitted_on), bool(fitted_on))


def test_a_card_says_what_chose_its_run(trained: Trained, tmp_path: Path) -> None:
    """Else a seed that was picked by hand is said to be validation's choice, or a loser to win."""
    study = headtohead.load(trained.out)
    winner = study.summary.winner
    assert winner is not None
    loser = next(name for name in ("fc", "gap") if name != winner.head)
    data = StudyData(study.ledger)

    def told(head: str, seed: int) -> str:
        out = tmp_path / f"{head}-{seed}.safetensors"
        return export(data, study.summary, "safetensors", out, head=head, seed=seed)[1].read_text()

    best, other = told(winner.head, winner.seed), told(winner.head, 1 - winner.seed)
    assert "epoch and seed" in part(best, "Figures")
    assert "another seed" in part(other, "Figures")
    assert "winner" not in best
    assert f"another head, {winner.head}" in told(loser, 0)
    run = next(r for r in study.summary.runs if (r.head, r.seed) == (winner.head, winner.seed))
    assert run.test_best is not None
    assert run.best is not None
    assert f"{run.test_best.accuracy:.2%}" in part(best, "Figures")
    assert f"{run.best.val_accuracy:.2%}" in part(best, "Figures")
    (found,) = study.summary.comparisons
    for verdict in (found.comparison.better, found.comparison.not_worse):
        assert f"{verdict.claim}: {verdict.outcome}" in part(best, "Verdicts of the study")


def test_weights_of_a_frozen_backbone_are_in_the_file(tmp_path: Path) -> None:
    """Else a file of a head alone is handed over as the model."""
    from safetensors.torch import load_file

    trained = trained_study(tmp_path, frozen=True)
    model, told = write(trained, "safetensors", tmp_path / "m.safetensors", "gap")
    backbone = headtohead.load(trained.out).model("gap", device="cpu").backbone
    trunk = backbone.get_submodule("trunk").state_dict()
    found = load_file(model)
    assert trunk
    assert all(np.array_equal(found[f"backbone.{name}"], v) for name, v in trunk.items())
    assert any(name.startswith("head.") for name in found)
    sha256 = (trained.ledger.file.backbone or {})["SHA-256"]
    assert sha256 in part(told.read_text(), "Data")


def test_weights_that_were_altered_are_not_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the proof of a frozen backbone's file looks at the original's own weights."""
    import torch
    from safetensors import torch as files

    trained, real = trained_study(tmp_path, frozen=True), files.save_file

    def altered(state: dict[str, torch.Tensor], path: Path, **more: Any) -> None:
        changed = {n: v * 1.5 if "backbone" in n and v.ndim > 3 else v for n, v in state.items()}
        real(changed, path, **more)

    monkeypatch.setattr(files, "save_file", altered)
    with pytest.raises(RunError, match="is not the original"):
        write(trained, "safetensors", tmp_path / "m.safetensors", "gap")
    assert not (tmp_path / "m.safetensors").exists()


def test_a_proof_that_takes_for_ever_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an export on a busy machine ends in a traceback after ten minutes."""
    monkeypatch.setattr(exporting, "PATIENCE", 0.2)
    script = tmp_path / "run_slowly.py"
    script.write_text("import time; time.sleep(60)")
    with pytest.raises(RunError, match=r"run_slowly\.py.* 0\.2 s"):
        exporting._elsewhere(tmp_path / "model", script, np.zeros((2, 4, 4, 3), np.uint8))
