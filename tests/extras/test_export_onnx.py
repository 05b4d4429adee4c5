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
from headtohead.deploy.export import _ALONE, TOLERANCE, export

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module", params=[("cat", "dog"), ("bird", "cat", "dog")], ids=len)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("onnx")
    return trained_study(folder, classes=dict.fromkeys(request.param, 30), seeds=1)


@pytest.mark.parametrize("head", ["fc", "gap"])
def test_any_batch_gives_the_originals_probabilities(
    trained: Trained, tmp_path: Path, head: str
) -> None:
    """Else what serves is not what was compared."""
    study = headtohead.load(trained.out)
    files = export(study.ledger, study.summary, "onnx", tmp_path / "m.onnx", head=head)
    session = onnxruntime.InferenceSession(str(files[0]), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == list(trained.prepared.classes)
    assert metadata["digest"] == study.ledger.file.digest
    predictor = study.predictor(head, device="cpu")
    for count in (1, 7, 64):
        images = np.ascontiguousarray(trained.prepared.images[:count])
        (found,) = session.run(None, {"images": images})
        np.testing.assert_allclose(found, predictor.of_pixels(images), atol=TOLERANCE)
    script = next(path for path in files if path.suffix == ".py")
    photograph = trained.source / trained.prepared.names[0]
    done = subprocess.run(
        [sys.executable, "-I", "-c", _ALONE, str(script), str(files[0]), str(photograph)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split("\t")[0] == predictor.predict([photograph])[0], done.stderr
