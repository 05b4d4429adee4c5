"""ONNX, in ONNX Runtime, in a process without headtohead."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import headtohead
from deployed import Trained, trained_study
from headtohead.deploy.export import _ALONE, RESIZED_TOLERANCE, TOLERANCE, export
from headtohead.study_data import StudyData

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(
    scope="module",
    params=[("antialias", "cat", "dog"), ("bilinear", "bird", "cat", "dog")],
    ids=["antialias", "bilinear"],
)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    resize, *classes = request.param
    folder = tmp_path_factory.mktemp("onnx")
    return trained_study(folder, classes=dict.fromkeys(classes, 30), seeds=1, resize=resize)


def textured(height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8 with detail down to single pixels."""
    random = np.random.default_rng(height)
    smooth = np.add.outer(np.sin(np.arange(height) / 9), np.cos(np.arange(width) / 14))
    noisy = 128 + 50 * smooth[..., None] + random.normal(0, 40, (height, width, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("head", ["fc", "gap"])
def test_any_batch_gives_the_originals_probabilities(
    trained: Trained, tmp_path: Path, head: str
) -> None:
    """Else what serves is not what was compared."""
    study = headtohead.load(trained.out)
    files = export(StudyData(study.ledger), study.summary, "onnx", tmp_path / "m.onnx", head=head)
    session = onnxruntime.InferenceSession(str(files[0]), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == list(trained.prepared.classes)
    assert metadata["digest"] == study.ledger.file.digest
    predictor = study.predictor(head, device="cpu")
    for count in (1, 7, 64):
        images = np.ascontiguousarray(trained.prepared.images[:count])
        (found,) = session.run(None, {"images": images})
        np.testing.assert_allclose(found, predictor.of_pixels(images), atol=TOLERANCE)
    for height, width in ((97, 301), (450, 33), (1200, 900), (8, 8)):
        large = textured(height, width)
        (found,) = session.run(None, {"images": large[None]})
        np.testing.assert_allclose(found, predictor.predict_proba([large]), atol=RESIZED_TOLERANCE)
    script = next(path for path in files if path.suffix == ".py")
    photograph = trained.source / trained.prepared.names[0]
    done = subprocess.run(
        [sys.executable, "-I", "-c", _ALONE, str(script), str(files[0]), str(photograph)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split("\t")[0] == predictor.predict([photograph])[0], done.stderr
