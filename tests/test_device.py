"""Devices and workers: what was asked for, or a clear refusal."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from headtohead.core.errors import UsageError
from headtohead.training.device import PACKAGES, choose_device, environment, worker_devices


def test_auto_is_a_gpu_exactly_when_there_is_one() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu").type == "cpu"


@pytest.mark.parametrize("name", ["tpu", "cuda:99", "cuda:-1", "meta", "mps", ""])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cpu"):
        choose_device(name)


@pytest.mark.parametrize(
    ("device", "workers", "expected"),
    [
        ("cpu", None, ["cpu"] * 4),
        ("cpu", 2, ["cpu"] * 2),
        ("cuda", None, ["cuda:0", "cuda:1"]),
        ("cuda", 5, ["cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0"]),
        ("cuda:1", None, ["cuda:1"]),
        ("cuda:1", 3, ["cuda:1"] * 3),
    ],
)
def test_workers_are_spread_over_cores_and_gpus(
    device: str, workers: int | None, expected: list[str]
) -> None:
    """Else a second GPU stands idle, or `cuda:1` takes one that was not asked for."""
    assert worker_devices(torch.device(device), workers, cores=4, gpus=2) == expected


def test_the_environment_names_what_numbers_depend_on() -> None:
    found = environment(torch.device("cpu"), "bf16")
    assert found["torch"] == torch.__version__
    assert (found["precision"], found["kernels"]) == ("bf16", "plain")
    assert all(found.values())
    assert {*PACKAGES, "release", "cores"} <= found.keys()


def test_a_worker_is_pinned_single_threaded_and_repeatable() -> None:
    code = (
        "import os, torch\n"
        "from headtohead.training.device import set_up_worker\n"
        "core = min(os.sched_getaffinity(0))\n"
        "set_up_worker(core, torch.device('cpu'), deterministic=False)\n"
        "assert os.sched_getaffinity(0) == {core}\n"
        "assert torch.get_num_threads() == 1\n"
        "assert torch.are_deterministic_algorithms_enabled()\n"
        "assert not torch.backends.cudnn.allow_tf32\n"
    )
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system cannot pin a process to a core")
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="counts page faults as Linux does")
def test_a_worker_keeps_freed_memory() -> None:
    """Fresh zeroed pages at every step took half of the training time; in a helper, too."""
    code = (
        "import resource, torch\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from headtohead.training.device import set_up_worker\n"
        "set_up_worker(None, torch.device('cpu'), deterministic=False)\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(20):\n"
        "        torch.ones(5_000_000)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "pool = ThreadPoolExecutor(1)\n"
        "for call in (lambda: pool.submit(faults).result(), faults):\n"
        "    call()\n"
        "    again = call()\n"
        "    assert again < 1000, again\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_records_only_what_headtohead_itself_installs() -> None:
    """A package that only developers have would fail every run of a user who has it not."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    declared = {line.split(">=")[0] for line in project["project"]["dependencies"]}
    assert set(PACKAGES) <= declared


def test_a_worker_starts_without_the_compiler() -> None:
    """Else every worker spends more than a second on importing what it never uses."""
    code = (
        "import sys, torch\n"
        "from headtohead.runtime import worker\n"
        "from headtohead.training.device import set_up_worker\n"
        "from headtohead.training.optimizer import KerasAdam\n"
        "set_up_worker(None, torch.device('cpu'), deterministic=False)\n"
        "weight = torch.nn.Parameter(torch.ones(3))\n"
        "adam = KerasAdam([weight], 1e-3)\n"
        "weight.sum().backward()\n"
        "adam.step()\n"
        "assert torch.are_deterministic_algorithms_enabled()\n"
        "assert worker\n"
        "print(*{'torch._dynamo', 'torch._inductor', 'captum'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
