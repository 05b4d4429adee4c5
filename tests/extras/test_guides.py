"""The commands of README and of each guide, typed as they stand there, on one small study.

docs/deploy.md has a test of its own. What needs the network, a GPU or another environment is not
typed: `NOT_HERE` says why.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from guides import ROOT, commands_of, python_blocks, typed, with_headtohead
from photographs import write_pictures

GUIDES = (
    *("data", "backbones", "planning", "study_file", "heads"),
    *("own_head", "tuning", "devices", "claims"),
)
PAGES = ("README.md", *(f"docs/{name}.md" for name in GUIDES))
NOT_HERE = {
    "hf:": "needs the network: test_hubs.py reads such sets",
    "tfds:": "needs the network: test_hubs.py reads such sets",
    "timm:": "needs timm: vision/test_backbones_guide.py",
    "--device cuda": "needs a GPU",
    "demo": "never ends by itself: tests/test_deploy_guide.py starts it",
    "../shared": "needs photographs that are not part of the repository",
    "flowers.yaml": "needs photographs and weights that are not part of the repository",
    "cats.yaml": "needs photographs and weights that are not part of the repository",
    "tuned.yaml": "needs photographs and weights that are not part of the repository",
    "--out cats": "needs hours, and photographs that are not part of the repository",
    "--weights cats": "needs photographs and weights that are not part of the repository",
    "--trials 8": "is the command above it with more options, of a study that is quoted",
}
LINES = [(page, line) for page in PAGES for line in commands_of(page)]
SMALLER = """
import headtohead
compare = headtohead.compare

def smaller(**options):
    sizes = dict(seeds=2, epochs=1, image_size=32, batch_size=16, workers=1, device="cpu")
    return compare(**options | sizes)

headtohead.compare = smaller
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as README and the guides have it."""
    folder = tmp_path_factory.mktemp("guides")
    write_pictures(folder / "path/to/photographs", {"cat": 40, "dog": 40}, size=48)
    for name in ("FOLDER", "path/to/cats_and_dogs", "path/to/labelled/photographs"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(folder / "path/to/photographs")
    new = folder / "path/to/new/photographs"
    new.parent.mkdir()
    new.symlink_to(folder / "path/to/photographs/cat")
    (folder / "one.jpg").symlink_to(next(new.iterdir()))
    for photograph in (folder / "path/to/photographs").glob("*/*"):
        mask = folder / "path/to/masks" / photograph.parent.name / f"{photograph.stem}.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.tri(48, dtype=np.uint8)).save(mask)
    (folder / "docs").symlink_to(ROOT / "docs")
    (folder / "mine.py").write_text(python_blocks("docs/own_head.md")[0])
    study = (ROOT / "docs/study_file.md").read_text(encoding="utf-8")
    (folder / "my_study.yaml").write_text(study.partition("```yaml\n")[2].partition("```")[0])
    first = "headtohead compare --data path/to/photographs --heads fc,gap --out runs/study"
    done = typed(first, folder, with_headtohead(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(("page", "line"), [*LINES, ("docs", "headtohead compare my_study.yaml")])
def test_a_command_of_the_documents_works(place: Path, page: str, line: str) -> None:
    """Else a reader of the page types it and it fails."""
    for part, reason in NOT_HERE.items():
        if part in line:
            pytest.skip(reason)
    if "onnx" in line:
        pytest.importorskip("onnxscript")
    if "--until-decided" in line:  # declared before any run, so in a folder of its own
        line += " --out runs/sequential"
    done = typed(line, place, with_headtohead(place))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_python_of_the_readme_works(place: Path) -> None:
    """Else a reader copies it into a notebook and it fails."""
    (code,) = python_blocks("README.md")
    done = subprocess.run(
        [sys.executable, "-c", SMALLER + code],
        cwd=place, env=with_headtohead(place), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "gap" in done.stdout
