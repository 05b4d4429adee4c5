"""What runs on a machine of a cluster, and what one says that fetches, without a cluster."""

import socket
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

ray = pytest.importorskip("ray")

from filelock import FileLock  # noqa: E402

from headtohead.runtime.cluster import node  # noqa: E402


def test_processes_of_a_host_whose_name_has_dots_do_not_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the second run of such a machine never begins."""
    monkeypatch.setattr(socket, "gethostname", lambda: "node-1.cluster.example.org")
    monkeypatch.setattr(node, "_scratch_lock", None)
    home = tmp_path / "ray"
    home.mkdir()
    gone = home / "node-1.cluster.example.org-1"
    gone.mkdir()
    gone.with_name(f"{gone.name}.lock").touch()
    out = node._scratch(tmp_path)
    assert out.is_dir()
    assert not gone.exists()
    with FileLock(home / "node-1.cluster.example.lock", timeout=0):
        pass
    assert node._scratch(tmp_path) == out
    assert out.is_dir()
    assert node._scratch_lock is not None
    node._scratch_lock.release()


def test_a_machine_sees_a_folder_only_by_its_secret(tmp_path: Path) -> None:
    """Else another disk at the same path is taken for the command's own."""
    (tmp_path / "out").write_text("secret")
    (tmp_path / "cache").write_text("another command's")
    tokens = {name: str(tmp_path / name) for name in ("out", "cache", "none")}
    asked = {"device": "cpu", "cache": str(tmp_path), "places": {}, "tokens": tokens}
    assert node.look({**asked, "secret": "secret", "shared": True})["sees"] == ["out"]
    assert node.look({**asked, "secret": "secret", "shared": False})["sees"] == []


def test_a_machine_tells_the_version_of_pytorch_that_its_runs_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else no machine is of the kind that a seed's first runs recorded, and its pairs are lost."""
    assert node.torch_version() == torch.__version__
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").touch()
    (tmp_path / "torch" / "version.py").write_text("x = 1\n__version__ = '2.11.0+cu130'\n")
    spec = SimpleNamespace(origin=str(tmp_path / "torch" / "__init__.py"))
    monkeypatch.setattr(node, "find_spec", lambda name: spec)
    assert node.torch_version() == "2.11.0+cu130"
    (tmp_path / "torch" / "version.py").unlink()
    assert node.torch_version() == metadata.version("torch")
    assert node.environment("cpu")["torch"] == node.torch_version()
