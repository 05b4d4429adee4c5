"""A backbone that is shipped is one file and its place in the table, as CONTRIBUTING says."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import headtohead
from photographs import write_pictures

PACKAGE = Path(headtohead.__file__).parent
RECIPES = Path(__file__).parent.parent / "CONTRIBUTING.md"
IMPORT = "from headtohead.backbones.strided import Strided\n"
WEIGHTS = 32 * (3 * 8 * 8 + 1)
SMALL = ("--data", "photos", "--heads", "gap,linear", "--image-size", "40", "--cache", "cache")


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A folder with a copy of the package that has the recipe's backbone, and photographs."""
    copy = tmp_path / "headtohead"
    shutil.copytree(PACKAGE, copy)
    (code,) = re.findall(
        r"```python\n# backbones/strided\.py\n(.*?)```", RECIPES.read_text(encoding="utf-8"), re.S
    )
    (copy / "backbones/strided.py").write_text(code, encoding="utf-8")
    table = (copy / "backbones/table.py").read_text(encoding="utf-8")
    for beside, line in (
        ("from headtohead.backbones.tutorial_cnn import TutorialCNN\n", IMPORT),
        ('    "tutorial_cnn": TutorialCNN,\n', '    "strided": Strided,\n'),
    ):
        assert table.count(beside) == 1
        table = table.replace(beside, line + beside)
    (copy / "backbones/table.py").write_text(table, encoding="utf-8")
    write_pictures(tmp_path / "photos", {"cat": 40, "dog": 40})
    return tmp_path


def said(folder: Path, *words: str) -> str:
    """What Python says in `folder`, whose package it imports."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "MPLCONFIGDIR": str(folder / "fonts")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


CHECKED = """
from headtohead.backbones.table import BACKBONES, build_backbone
from headtohead.cli import main
from headtohead.testing import check_backbone

check_backbone(build_backbone("strided"), 40, other_sizes=(64,))
for words in ("", " strided --image-size 40"):
    main(("backbones" + words).split(), standalone_mode=False)
"""


def test_one_file_and_its_place_in_the_table_are_enough(changed: Path) -> None:
    """Else whoever adds a backbone must find out what else has to be edited."""
    told = said(changed, "-c", CHECKED)
    assert {"strided", "tutorial_cnn", "32 × 5 × 5 of 40 × 40 images", f"{WEIGHTS:,}"} <= set(
        re.split(r"\n|  +", told)
    )
    study = (*SMALL, "--backbone", "strided")
    planned = said(changed, "-m", "headtohead", "plan", *study, "--no-timing", "--seeds", "2")
    assert "gap against linear, 1 test" in planned
    few = ("--seeds", "1", "--epochs", "1", "--workers", "1", "--out", "out", "--json")
    summary = json.loads(said(changed, "-m", "headtohead", "compare", *study, *few))
    found = {head["head"]: head["parameters"]["backbone"] for head in summary["heads"]}
    assert found == {"gap": WEIGHTS, "linear": WEIGHTS}
    assert "name: strided" in (changed / "out/study.yaml").read_text(encoding="utf-8")
