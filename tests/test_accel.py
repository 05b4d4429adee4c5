"""`accel/` changes speed and nothing else: with it, without Numba, without the folder."""

import json
import os
import re
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch

import headtohead
from headtohead.accel import accelerate, is_accelerated
from headtohead.accel.blocks import FusedBlock
from headtohead.backbones.tutorial_cnn import ConvolutionBlock, TutorialCNN
from headtohead.training.acceleration import fastest, kernels_of

CPU = torch.device("cpu")


def trunk() -> TutorialCNN:
    torch.manual_seed(0)
    return TutorialCNN((4, 6))


def test_the_parts_are_the_same_objects_by_the_same_names() -> None:
    """Else a checkpoint of one kind of kernels cannot be read by the other."""
    plain = trunk()
    before = {name: id(value) for name, value in plain.state_dict(keep_vars=True).items()}
    norms = [block.norm for block in plain.blocks]
    random = torch.random.get_rng_state()
    fast = accelerate(plain)
    assert {name: id(v) for name, v in fast.state_dict(keep_vars=True).items()} == before
    assert all(block.norm is norm for block, norm in zip(fast.blocks, norms, strict=True))
    assert torch.equal(torch.random.get_rng_state(), random), "a head's initial values would move"
    assert is_accelerated(fast)


def test_it_can_be_called_twice_and_keeps_the_mode() -> None:
    """Else a model that is accelerated again, or in evaluation mode, computes something else."""
    fast = accelerate(accelerate(trunk().eval()))
    assert not any(part.training for part in fast.modules())
    assert [type(block) for block in fast.blocks] == [FusedBlock, FusedBlock]


@pytest.mark.parametrize("training", [True, False])
def test_outputs_gradients_and_statistics_are_those_of_plain_kernels(training: bool) -> None:
    """Else speed was bought with another network."""
    plain = trunk().double().train(training)
    fast = accelerate(deepcopy(plain))
    images = torch.rand(5, 3, 22, 24, dtype=torch.float64)
    mine, theirs = plain(images), fast(images)
    torch.testing.assert_close(mine, theirs)
    mine.square().sum().backward()
    theirs.square().sum().backward()
    for name, value in plain.named_parameters():
        if name.endswith("convolution.bias") and training:
            continue  # batch norm subtracts it: its gradient is rounding, or left out
        torch.testing.assert_close(value.grad, fast.get_parameter(name).grad)
    torch.testing.assert_close(plain.state_dict(), fast.state_dict())


def test_the_norms_mode_decides_which_form_is_taken() -> None:
    """Else recomputing statistics, with norms alone in training mode, leaves them as they were."""
    fast = accelerate(trunk().eval())
    before = fast.get_buffer("blocks.0.norm.moving_mean").clone()
    for block in fast.get_submodule("blocks").children():
        block.get_submodule("norm").train()
    with torch.no_grad():
        fast(torch.rand(4, 3, 22, 22))
    assert not torch.equal(fast.get_buffer("blocks.0.norm.moving_mean"), before)


def test_a_record_tells_which_kernels_computed_a_run() -> None:
    """Else pairs across kernels look like pairs."""
    assert kernels_of(trunk(), CPU, "float32") == "plain"
    assert kernels_of(fastest(trunk()), CPU, "float32") == "fused"
    assert kernels_of(fastest(trunk()), CPU, "bf16") == "plain"
    assert kernels_of(fastest(trunk()), torch.device("cuda"), "float32") == "plain"
    assert isinstance(trunk().blocks[0], ConvolutionBlock)


RUN = """
import json, sys
import numpy as np, torch

if sys.argv[2] == "hide":
    class Hidden:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == "numba":
                raise ModuleNotFoundError("numba is hidden", name="numba")
    import importlib.util
    found = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *rest: None if name == "numba" else found(name, *rest)
    sys.meta_path.insert(0, Hidden())

from pathlib import Path
from headtohead.config.recipe import RecipeSpec
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.data.split import Split
from headtohead.training.acceleration import get_ready, lend
from headtohead.training.inputs import Pictures
from headtohead.training.plans import RunPlan
from headtohead.training.run import train

class Watcher:
    def start(self, *_): ...
    step = epoch = note = start

backbone = BackboneSpec(options={"widths": [4, 16]})
get_ready(backbone)
lend([])
random = np.random.default_rng(0)
images = random.integers(0, 256, (48, 20, 20, 3), dtype=np.uint8)
labels = np.arange(48) % 2
images[labels == 1, 5:12, 5:12] //= 3
rows = np.arange(48)
plan = RunPlan(
    key="k", head="gap", seed=0, head_spec=HeadSpec(), backbone=backbone,
    recipe=RecipeSpec(epochs=2, batch_size=8), image_size=20, classes=2,
)
split = Split(rows[:32], rows[32:40], rows[40:])
folder = Path(sys.argv[1])
record = train(plan, Pictures(images, labels, torch.device("cpu")), split, folder, Watcher())
history = [json.loads(line) for line in open(folder / "history.jsonl")]
print(json.dumps({
    "kernels": record.environment["kernels"],
    "numba": "numba" in sys.modules,
    "losses": [[epoch["loss"], epoch["val_loss"]] for epoch in history],
}))
"""


def run(folder: Path, source: Path, numba: str) -> dict[str, object]:
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder), numba],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_run_without_numba_or_without_the_folder_is_the_same_run(tmp_path: Path) -> None:
    """Else headtohead cannot be installed, or be read, without the fast kernels."""
    source = Path(headtohead.__file__).parents[1]
    copy = tmp_path / "src"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("accel", "*.egg-info"))
    assert not (copy / "headtohead" / "accel").exists()
    fused = run(tmp_path / "fused", source, "show")
    hidden = run(tmp_path / "hidden", source, "hide")
    deleted = run(tmp_path / "deleted", copy, "show")
    assert [found["kernels"] for found in (fused, hidden, deleted)] == ["fused", "plain", "plain"]
    assert [found["numba"] for found in (fused, hidden, deleted)] == [True, False, False]
    assert hidden["losses"] == deleted["losses"]
    torch.testing.assert_close(
        torch.tensor(fused["losses"]), torch.tensor(hidden["losses"]), rtol=1e-3, atol=1e-4
    )


def test_numba_is_imported_in_one_folder() -> None:
    """Else the extra is no extra."""
    package = Path(headtohead.__file__).parent
    using = {
        path.parent.name
        for path in package.rglob("*.py")
        if imports_numba(path.read_text(encoding="utf-8"))
    }
    assert using == {"accel"}


def imports_numba(source: str) -> bool:
    """Whether a source loads Numba by a statement or by `import_module` or `__import__`."""
    named = r"^\s*(import|from) +numba\b|(import_module|__import__)\(\s*[\"']numba\b"
    return re.search(named, source, re.MULTILINE) is not None


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import numba", True),
        ("    from numba.core import config", True),
        ('importlib.import_module("numba")', True),
        ("import_module(\n    'numba.core'\n)", True),
        ('__import__("numba")', True),
        ('find_spec("numba")', False),
        ('metadata.version("numba")', False),
    ],
)
def test_every_way_of_importing_numba_is_found(source: str, found: bool) -> None:
    """Else the test above passes whatever is imported."""
    assert imports_numba(source) is found
