"""What runs on a machine of a cluster, and what one says that fetches, without a cluster."""

import socket
from pathlib import Path

import pytest

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
