"""Benchmarks that need timm, on the smallest of inputs: what they ask of the package is there."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def test_a_step_of_fine_tuning_is_measured_beside_the_same_by_hand() -> None:
    """Else docs/backbones.md quotes a command that no longer runs."""
    pytest.importorskip("timm")
    given = ("--backbone", "test_resnet", "--image-size", "32", "--batch", "2", "--rounds", "1")
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/fine_tuning.py"), *given],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("|")][2:]
    assert [row[1].strip() for row in rows] == [
        "headtohead",
        "by hand, NCHW",
        "by hand, channels last",
    ]
    assert rows[0][-2].strip() == "1.00"
