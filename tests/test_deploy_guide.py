"""The guide's commands, as they stand there: a reader types them and they work."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import run
from deployed import trained_study
from ledgers import full_ledger
from photographs import write_pictures

GUIDE = Path(__file__).parents[1] / "docs/deploy.md"
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", GUIDE.read_text("utf-8"), re.M | re.S)
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line]
EXPORTS = ("--format onnx", "run_onnx.py")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the guide has it."""
    folder = tmp_path_factory.mktemp("guide")
    trained = trained_study(folder)
    shutil.move(trained.out, folder / "runs/pets")
    shutil.copytree(trained.prepared.folder.parents[1], folder / "cache")
    full_ledger(folder / "runs/birds", heads=("fc", "gap"), seeds=2, epochs=1)
    labelled = write_pictures(
        folder / "photographs/labelled", {"cat": 4, "dog": 4}, size=48, seed=5
    )
    shutil.copytree(trained.source / "cat", labelled / "cat/known")
    (folder / "photographs/new").mkdir()
    for number, name in enumerate(("one", "two", "three")):
        source = trained.source / trained.prepared.names[number]
        shutil.copy(source, folder / f"photographs/new/{name}.jpg")
    (folder / "masks").mkdir()
    mask = np.zeros((48, 48), np.uint8)
    mask[4:16, 4:16] = 255
    Image.fromarray(mask).save(folder / "masks/one.png")
    (folder / "bin").mkdir()
    for name, code in {"headtohead": '-m headtohead "$@"', "python": '"$@"'}.items():
        (folder / "bin" / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {code}\n')
        (folder / "bin" / name).chmod(0o755)
    return folder


def shell(place: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HEADTOHEAD_CACHE": str(place / "cache")}  # fmt: skip


@pytest.mark.parametrize("line", [line for line in COMMANDS if "demo" not in line])
def test_a_command_of_the_guide_works(
    place: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if any(part in line for part in EXPORTS) and importlib.util.find_spec("onnxscript") is None:
        pytest.skip("onnx is an extra: tests/extras/test_export_onnx.py exports it")
    if "keras" in line and importlib.util.find_spec("keras") is None:
        pytest.skip("Keras is not installed here")
    if line.startswith("headtohead ") and "|" not in line:
        monkeypatch.chdir(place)
        monkeypatch.setenv("HEADTOHEAD_CACHE", str(place / "cache"))
        done = run(*shlex.split(line)[1:])
    else:
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=place, env=shell(place), capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    named = re.search(r"--out (\S+)", line)
    if named:
        assert (place / named[1]).stat().st_size > 0


def test_the_demo_says_where_it_is(place: Path) -> None:
    (line,) = (line for line in COMMANDS if "demo" in line)
    with subprocess.Popen(
        ["sh", "-c", f"exec {line}"],
        cwd=place, env=shell(place), stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert re.search(r"http://127\.0\.0\.1:[1-9]\d+/", process.stdout.readline())
        finally:
            process.terminate()


def test_the_python_of_the_guide_works(place: Path) -> None:
    (code,) = (text for kind, text in BLOCKS if kind == "python")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
