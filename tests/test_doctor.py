"""`headtohead doctor`: the facts are those of this machine, and each problem has its remedy."""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import headtohead
from headtohead.cli import main
from headtohead.core import limits
from headtohead.core.errors import RunError, StorageError, UsageError
from headtohead.core.limits import Memory
from headtohead.core.system import usable_cores
from headtohead.runtime import doctor, machine
from headtohead.runtime.doctor import Machines
from headtohead.runtime.examination import Machine, problems
from headtohead.runtime.machine import Disk, Package, Torch, disk_at
from stated import stated

SOUND = Machine(
    {"python": "3.11.7", "system": "Linux"},
    {"usable": 2, "present": 2, "limit": None},
    Memory(8 << 30, 4 << 30, None),
    (Disk("cache", "cache", 100 << 30, None),),
    (Package("torch", "2.13.0", "2.7", None), Package("numba", "0.68", "0.61", "fast")),
    {"JPEG": "libjpeg-turbo 3", "WebP": "1", "AVIF": None, "HEIC": None},
    Torch("2.13.0", None, (), ("cpu", "cpu")),
    (),
)
"""A machine without a problem."""


def found_problems(**changes: Any) -> list[str]:
    return [problem.what for problem in problems(dataclasses.replace(SOUND, **changes))]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADTOHEAD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def torch_here() -> Torch:
    """Asked once: it is seconds of imports."""
    return machine.torch_of()


@pytest.fixture
def known_torch(torch_here: Torch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "torch_of", lambda: torch_here)


@pytest.mark.usefixtures("known_torch")
def test_the_facts_are_those_of_this_machine(cache: Path) -> None:
    """Else a user plans by numbers that are not theirs."""
    found = headtohead.doctor()
    assert isinstance(found, Machine)
    assert found.cores["usable"] == len(usable_cores())
    assert found.torch.error is None
    assert found.torch.version == torch.__version__
    assert len(found.torch.gpus) == torch.cuda.device_count()
    assert found.use["workers"] == (torch.cuda.device_count() or len(usable_cores()))
    assert found.memory.total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert found.disks[0].path == str(cache)
    assert found.disks[0].free == pytest.approx(shutil.disk_usage(cache.parent).free, rel=0.2)
    assert found.extras["fast"] is bool(machine._version("numba"))
    assert not cache.exists(), "looking must not make folders"
    lines = str(found)
    assert f"torch {torch.__version__}" in lines
    assert str(cache) in lines


@pytest.mark.usefixtures("known_torch")
def test_the_command_tells_scripts_what_python_returns(cache: Path) -> None:
    """Else a script cannot ask before it starts a study."""
    told = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)
    assert told["use"]["workers"] == len(told["torch"]["devices"])
    assert told["disks"][0] == {**told["disks"][0], "role": "cache", "error": None}


CHECKUP = """
import json, sys
asked = json.loads(sys.stdin.readline())
for line in open(asked["out"]):
    print(line)
"""
"""Stands for the process that asks a cluster: says what is in --out."""


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of what the cluster answers."""
    (tmp_path / "a_checkup.py").write_text(CHECKUP)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(doctor, "CHECKUP", "a_checkup")
    monkeypatch.setattr(doctor, "check_ray", lambda: None)
    return tmp_path / "answer"


def test_a_clusters_machines_are_told_one_by_one(answer: Path) -> None:
    """What is wrong with one is told of that one, what differs between them of all."""
    low = dataclasses.replace(SOUND, disks=(Disk("cache", "/small", 1 << 20, None),))
    kinds: tuple[dict[str, str], ...]
    kinds = ({"torch": "2", "kernels": "fused"}, {"torch": "2", "kernels": "plain"}, {})
    nodes = [
        {
            "name": name,
            "offered": {"CPU": 2.0},
            "environment": kind,
            "machine": found and dataclasses.replace(found, problems=(*problems(found),)).to_dict(),
            "error": None if found else "gone",
        }
        for name, found, kind in zip("abc", (SOUND, low, None), kinds, strict=True)
    ]
    answer.write_text(json.dumps({"event": "nodes", "nodes": nodes}))
    found = headtohead.doctor(executor="ray:head:1", out=answer)
    assert isinstance(found, Machines)
    assert [node.machine and len(node.machine.problems) for node in found.nodes] == [0, 1, None]
    silent, unlike = found.problems
    assert "c" in silent.what
    assert "kernels" in unlike.what
    assert "torch" not in unlike.what
    assert json.loads(json.dumps(found.to_dict()))["nodes"][1]["machine"]["use"]["workers"] == 2
    lines = str(found).splitlines()
    (offered,) = (number for number, line in enumerate(lines) if line.startswith("b: "))
    assert stated(lines[offered], "Ray", "cores", "GPUs", "GiB") == [
        *("Ray", "2", "cores", "0", "GPUs", "0.0", "GiB"),
    ]
    assert offered < next(number for number, line in enumerate(lines) if "/small" in line)


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ('{"event": "failed", "message": "cannot reach", "exit_code": 2}', UsageError),
        ("", RunError),
    ],
)
def test_a_cluster_that_cannot_be_asked_is_told(
    told: str, error: type[Exception], answer: Path
) -> None:
    answer.write_text(told)
    with pytest.raises(error, match=r"cannot reach|was lost"):
        headtohead.doctor(executor="ray:head:1", out=answer)


def test_a_torch_that_cannot_be_loaded_is_told(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that explains a broken installation must survive it."""
    (tmp_path / "torch.py").write_text("raise OSError('libgomp.so.1: cannot open')")
    monkeypatch.syspath_prepend(tmp_path)
    found = headtohead.doctor()
    assert isinstance(found, Machine)
    assert found.torch.error == "OSError: libgomp.so.1: cannot open"
    assert found.use["workers"] == 0
    assert found.problems[0].what.endswith("OSError: libgomp.so.1: cannot open")
    assert "--force-reinstall torch" in found.problems[0].remedy


def test_a_torch_that_only_loads_slowly_is_not_replaced() -> None:
    """Else a busy machine is told to download gigabytes again, which mends nothing."""
    slow = dataclasses.replace(SOUND, torch=Torch(error=machine.TOO_SLOW))
    assert "less busy" in next(problems(slow)).remedy


def test_a_numba_that_cannot_be_loaded_is_told(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numba and NumPy versions that do not fit each other are the usual case."""
    why = "Numba needs NumPy 2.2 or less"
    (tmp_path / "numba.py").write_text(f"raise ImportError({why!r})")
    monkeypatch.syspath_prepend(tmp_path)
    found = headtohead.doctor()
    assert isinstance(found, Machine)
    assert found.torch.numba_error == f"ImportError: {why}"
    assert found.use["kernels"] == "plain"
    assert [problem for problem in found.problems if why in problem.what]


@pytest.mark.usefixtures("known_torch")
def test_a_cache_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else preparing fails after minutes of decoding."""
    (tmp_path / "file").write_text("not a folder")
    found = disk_at("cache", tmp_path / "file" / "cache")
    assert found.error == "Not a directory"
    (problem,) = found_problems(disks=(found,))
    assert str(tmp_path / "file" / "cache") in problem
    assert problem.endswith(found.error)
    monkeypatch.setenv("HEADTOHEAD_CACHE", "~nobody-of-this-name/cache")
    assert "HEADTOHEAD_CACHE" in next(
        problem.remedy for problem in headtohead.doctor().problems if "cache" in problem.what
    )


def test_a_gpu_that_pytorch_does_not_see_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a study trains for days on the CPU of a machine with a GPU."""
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA X100 (UUID: GPU-1-2)'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert machine.drivers_gpus() == ("GPU 0: NVIDIA X100",)
    (what,) = found_problems(drivers_gpus=machine.drivers_gpus())
    assert "NVIDIA X100" in what
    seen = Torch("2.13.0", "13.0", ({"name": "NVIDIA X100", "memory": 1 << 34},), ("cuda:0",))
    assert found_problems(drivers_gpus=machine.drivers_gpus(), torch=seen) == []


def test_a_containers_limits_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker for each core of the host is killed for memory, or waits, in a small container."""
    (tmp_path / "memory.max").write_text(f"{1 << 30}\n")
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    monkeypatch.setattr(limits, "CGROUP", tmp_path)
    memory = limits.memory_of()
    assert (memory.limit, memory.usable, limits.core_limit()) == (1 << 30, 1 << 30, 1.5)
    told = list(
        problems(
            dataclasses.replace(
                SOUND, memory=memory, cores={"usable": 2, "present": 64, "limit": 1.5}
            )
        )
    )
    assert [problem.remedy for problem in told] == ["Use --workers 1.", "Use --workers 1."]
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert (limits.memory_of().limit, limits.core_limit()) == (None, None)


def test_little_room_and_old_or_missing_packages_are_told() -> None:
    """Each of them stops a study in its middle, or at its first import."""
    assert found_problems() == []
    assert len(found_problems(disks=(Disk("results", ".", 1 << 20, None),))) == 1
    for version, count in (("2.6.1", 1), ("2.7", 0), ("2.7.0+cpu", 0), ("2.10.0", 0), (None, 1)):
        package = Package("torch", version, "2.7", None)
        assert len(found_problems(packages=(package, *SOUND.packages[1:]))) == count, version
    without = found_problems(packages=(SOUND.packages[0], Package("numba", None, "0.61", "fast")))
    assert len(without) == 1


def test_all_packages_of_the_project_are_looked_at() -> None:
    """Else an extra of pyproject.toml is not known to be missing."""
    found = {(package.name, package.extra) for package in machine.packages()}
    assert {("torch", None), ("numba", "fast"), ("timm", "timm")} <= found
    assert "pytest" not in {name for name, _ in found}, "nobody needs what developers need"


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a folder that a process is in")
def test_a_current_folder_that_was_deleted_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else "No such file or directory" names none, and `doctor` does not say what to do."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(StorageError, match="current folder"):
        headtohead.doctor()
