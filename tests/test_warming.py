"""Kernels are there before the first run, and compiled once however many workers start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

WARM = """
import torch
from headtohead.accel import accelerate, kernels, tiles
from headtohead.accel.warming import warm_up
from headtohead.backbones.tutorial_cnn import TutorialCNN

def known():
    parts = [part for module in (kernels, tiles) for part in vars(module).values()]
    return [part for part in parts if hasattr(part, "stats")]

warm_up(TutorialCNN())
loaded = [len(part.signatures) for part in known()]
compiled = sum(sum(part.stats.cache_misses.values()) for part in known())
trunk = accelerate(TutorialCNN())
pictures = torch.rand(6, 3, 40, 40)
trunk.train()(pictures).sum().backward()
with torch.inference_mode():
    trunk.eval()(pictures)
assert [len(part.signatures) for part in known()] == loaded, "a run had to wait"
print(compiled)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A machine that never trained."""
    fresh = {"NUMBA_CACHE_DIR": str(tmp_path / "numba"), "HEADTOHEAD_CACHE": str(tmp_path / "own")}
    return {**os.environ, **fresh}


def test_of_workers_that_start_at_once_one_compiles(environment: dict[str, str]) -> None:
    """Else a first start compiles everything on every core, while images wait to be prepared.

    The second finds everything in the cache, and neither has anything left to compile.
    """
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WARM], stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(2)
    ]
    counts = sorted(int(process.communicate(timeout=300)[0]) for process in started)
    assert counts[0] == 0
    assert counts[1] > 0
    assert [process.returncode for process in started] == [0, 0]


def test_without_a_place_for_the_lock_kernels_are_loaded_all_the_same(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Else a cache that may not be written, or is a file, keeps a study from starting."""
    (tmp_path / "own").write_text("no folder")
    shared = {name: value for name, value in environment.items() if name != "NUMBA_CACHE_DIR"}
    subprocess.run([sys.executable, "-c", WARM], env=shared, check=True, capture_output=True)
