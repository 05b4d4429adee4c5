"""The article's script in today's TensorFlow and Keras, run as a reader runs it."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headtohead.report.beside import read_beside

for name in ("tensorflow", "keras", "matplotlib"):
    pytest.importorskip(name, reason=f"examples/keras_article.py needs {name}")

SCRIPT = Path(__file__).parents[2] / "examples" / "keras_article.py"
HEADS = ("fc", "avgpool2x2", "fc_dropout", "gap")
EACH = 20


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of JPEGs of several sizes: 32 are trained on, 4 validate."""
    folder = tmp_path_factory.mktemp("photographs")
    for label, shade in (("cat", 70), ("dog", 170)):
        (folder / label).mkdir()
        for number in range(EACH):
            noise = np.random.default_rng(number).integers(-60, 60, (50 + number, 60, 3))
            picture = Image.fromarray((shade + noise).astype(np.uint8))
            picture.save(folder / label / f"{number}.jpg")
    return folder


def script(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore"},
    )


def test_its_epochs_can_be_drawn_beside_ours(photographs: Path, tmp_path: Path) -> None:
    """Else the article's own stack cannot be reached any more, or its runs not compared."""
    out = tmp_path / "keras"
    told = script(
        *("--data", photographs, "--heads", ",".join(HEADS), "--epochs", 1),
        *("--image-size", 40, "--out", out),
    )
    assert told.returncode == 0, told.stderr
    beside = read_beside(f"keras={out}")
    assert set(beside.heads) == set(HEADS)
    for head, seeds in beside.heads.items():
        ((epoch,),) = seeds.values()
        assert list(seeds) == [0]
        assert epoch.epoch == 1
        assert epoch.val_accuracy in (0, 0.25, 0.5, 0.75, 1), head  # of all four images
        assert math.isfinite(epoch.loss)
        assert math.isfinite(epoch.val_loss)
        assert list((out / "tensorboard" / head / "seed-0").glob("*/events*"))
    for picture in ("pictures.png", "comparison.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")


def test_what_it_cannot_use_is_told(photographs: Path, tmp_path: Path) -> None:
    """Else a slip costs the reader a stack trace."""
    refused = script("--data", photographs / "cat", "--out", tmp_path)
    assert "must have two folders, one per class; it has 0" in refused.stderr
    assert "Traceback" not in refused.stderr
