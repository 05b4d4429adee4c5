"""Files and folders that the user may not read or write: one sentence, the right code, no loss."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import powerless
from headtohead.training import checkpoint
from photographs import write_pictures

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="permissions are another matter")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of what may not be read, which pytest may delete."""
    yield tmp_path
    for path in [tmp_path, *tmp_path.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755)


def test_what_may_not_be_read_or_written_is_told_with_a_way_out(folder: Path) -> None:
    """Else one looks for a fault in the images, or does not know the option for the cache."""
    source = write_pictures(folder / "source", {"cat": 12, "dog": 12})
    hidden = shutil.copytree(source, folder / "hidden")
    for path in (hidden / "cat").iterdir():
        path.chmod(0)
    study = folder / "mine.yaml"
    study.write_text("heads: [gap]\n")
    study.chmod(0)
    weights = folder / "net.safetensors"
    checkpoint.save(weights, {"w": torch.ones(2)})
    weights.chmod(0)
    locked, cache = folder / "locked", folder / "cache"
    locked.mkdir(mode=0)
    asks = {
        "cache": ["data", "check", source, "--cache", locked],
        "cache below": ["data", "check", source, "--cache", locked / "cache"],
        "images": ["data", "check", hidden, "--cache", cache],
        "study": ["compare", study],
        "weights": ["backbones", "tutorial_cnn", "--weights", weights],
        "out": ["compare", "--data", source, "--out", locked],
    }
    told = dict(zip(asks, powerless.run(*asks.values()), strict=True))
    assert {name: done.returncode for name, done in told.items()} == {
        "cache": 5,
        "cache below": 5,
        "images": 3,
        "study": 5,
        "weights": 5,
        "out": 5,
    }
    said = {name: done.stderr.splitlines()[-1] for name, done in told.items()}
    for name in ("cache", "cache below"):
        assert {"--cache", "HEADTOHEAD_CACHE"} <= {
            *said[name].replace("(", " ").replace(")", " ").split()
        }
    assert "permission to read 12" in said["images"]
    for name, path in (("study", study), ("weights", weights)):
        assert str(path) in said[name]
        assert "Permission denied" in said[name]
    assert "download" not in said["weights"], "the file is whole"
    assert not any("Traceback" in done.stderr for done in told.values())


READ = """
import sys
from pathlib import Path
from headtohead.core.errors import StorageError
from headtohead.training import checkpoint
try:
    checkpoint.read(Path(sys.argv[1]))
except StorageError as error:
    print(error)
"""


def test_weights_that_may_not_be_read_are_not_taken_for_gone(folder: Path) -> None:
    """Else one is told to delete a run that is whole, and a run that goes on begins anew."""
    path = folder / "resume.safetensors"
    checkpoint.save(path, {"w": torch.ones(2)})
    path.chmod(0)
    assert str(path) in powerless.python(READ, path)
