"""What runs on a machine of a cluster, and what one says that fetches, without a cluster."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

ray = pytest.importorskip("ray")

from filelock import FileLock  # noqa: E402

from headtohead.core.errors import StorageError  # noqa: E402
from headtohead.runtime.cluster import file_sets, node  # noqa: E402
from headtohead.runtime.ray import VARIABLES  # noqa: E402


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
    for shared, seen in ((True, ["out"]), (False, [])):
        (found,) = node.look({**asked, "secret": "secret", "shared": shared})
        assert found["sees"] == seen


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


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every machine's files are this one's."""

    class Ask:
        def options(self, **_: Any) -> "Ask":
            return self

        def remote(self, path: str, start: int) -> Callable[[], bytes]:
            return lambda: file_sets.read_piece(path, start)

    def get(asked: Callable[[], bytes], timeout: float) -> bytes:
        try:
            return asked()
        except OSError as error:  # as Ray raises it: one of its own errors that is an OSError, too
            raise ray.exceptions.RayTaskError("read", "", error).as_instanceof_cause() from None

    there = SimpleNamespace(remote=lambda _: Ask(), get=get, exceptions=ray.exceptions)
    monkeypatch.setattr(file_sets, "ray", there)
    monkeypatch.setattr(file_sets, "on", str)
    monkeypatch.setattr(file_sets, "PIECE", 10)


def kept(folder: Path, content: bytes) -> tuple[str, str]:
    """A machine that has a file of this content."""
    folder.mkdir()
    (folder / "begin.safetensors").write_bytes(content)
    return "00", str(folder)


@pytest.mark.usefixtures("near")
def test_files_are_fetched_from_who_has_them_and_no_disk_is_to_blame_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a machine is left out for ever because another one's files are gone, or altered."""
    content = bytes(range(35))
    good, bad = kept(tmp_path / "good", content), kept(tmp_path / "bad", content[::-1])
    none, cache = ("00", str(tmp_path / "none")), str(tmp_path / "cache")
    place = "weights/digest/begin.safetensors"
    *_, found = file_sets.hashed(place, good[1], "begin.safetensors")
    assert found is not None
    assert found.files[0][1:] == (35, sha256(content).hexdigest())
    for sources in ([bad], [none], []):
        with pytest.raises(file_sets.FetchError):
            list(file_sets.fetch(found, cache, sources))
    monkeypatch.setattr(file_sets, "BEAT", 0.0)
    *signs, folder = file_sets.fetch(found, cache, [none, good, bad])
    assert set(signs) == {None}
    assert len(signs) >= 4
    assert (Path(str(folder)) / "begin.safetensors").read_bytes() == content
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StorageError):
        list(file_sets.fetch(found, str(tmp_path / "file"), [good]))


@pytest.mark.usefixtures("near")
def test_what_was_fetched_in_part_long_ago_is_removed(tmp_path: Path) -> None:
    """Else images of studies that nobody trains any more fill a machine's disk for ever."""
    source, cache = kept(tmp_path / "source", b"x" * 25), tmp_path / "cache"
    parts = {
        name: cache / f"{name}.fetched" for name in ("prepared/old", "prepared/new", "w/d/f.pt")
    }
    for part in parts.values():
        part.mkdir(parents=True)
        (part / "file").write_text("some")
    for name in ("prepared/old", "w/d/f.pt"):
        for path in (parts[name] / "file", parts[name]):
            os.utime(path, (1, 1))
    *_, found = file_sets.hashed("prepared/mine", source[1])
    assert found is not None
    list(file_sets.fetch(found, str(cache), [source]))
    assert [part.exists() for part in parts.values()] == [False, True, False]
    assert (cache / "prepared" / "mine").is_dir()


PRIORITY = """
import os, ray
ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
print(ray.get(ray.remote(lambda: os.nice(0)).remote()) - os.nice(0))
"""


def test_workers_have_the_priority_of_the_command() -> None:
    """Else whatever else the machine does goes first: a study took up to 1.6 times as long."""
    environment = {**os.environ, **VARIABLES}
    command = [sys.executable, "-c", PRIORITY]
    for _ in range(5):  # on a busy machine Ray may give up to start
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
    assert done.stdout.strip() == "0", done.stderr
