"""Hostile and broken inputs, each tried: no traceback, no code that runs, nothing obeyed."""

import csv
import io
import json
import os
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from deployed import Trained, trained_study
from headtohead.cli import main
from headtohead.store.evidence import evidence_path
from hostile import CONTENTS

# Names of files that a terminal, a shell, a spreadsheet, a page or a format string would obey.
NAMES = (
    *("-rf.jpg", "--help.jpg", "=1+1.jpg", "+1.jpg", "@SUM(A1).jpg", "\tx.jpg", "a\nb.jpg"),
    *("\x1b]0;title\x07.jpg", "\x1b[2J.jpg", "\u202egpj.exe.jpg", "<script>alert(1)<.jpg"),
    *("`id`.jpg", "$(id).jpg", "; id #.jpg", "| id.jpg", "%s%n.jpg", "{0}.jpg", "[bold]x[red].jpg"),
    *("a\udcffb.jpg", '"quoted",.jpg', "'single'.jpg", "spaces  .jpg", "ünï✓.jpg"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_study(tmp_path_factory.mktemp("security"))


def broken(folder: Path) -> int:
    """Files that are no images, of every kind; how many."""
    folder.mkdir()
    for number, content in enumerate(CONTENTS.values()):
        (folder / f"broken-{number}.jpg").write_bytes(content())
    (folder / "dangling.jpg").symlink_to("nowhere")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(folder / "pipe.jpg")
    return len(CONTENTS) + 3


def run(*arguments: str | Path, given: str | None = None) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=given)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert "\x1b" not in result.stdout
    return result


@pytest.mark.parametrize("form", ["table", "csv", "jsonl"])
def test_hostile_names_are_answered_and_not_obeyed(
    trained: Trained, tmp_path: Path, form: str
) -> None:
    """Else a photograph's name runs in a spreadsheet, or rewrites a terminal."""
    for name in NAMES:
        shutil.copy(trained.source / trained.prepared.names[0], tmp_path / name)
    told = run("predict", trained.out, tmp_path, "--head", "gap", "--format", form)
    assert told.exit_code == 0
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(told.stdout)))
        assert len(rows) == len(NAMES)
        named = [Path(row["file"].removeprefix("'")).name for row in rows]
        assert not any(name.startswith(("\t", "\n")) for name in named)
    elif form == "jsonl":
        found = [json.loads(line)["file"] for line in told.stdout.splitlines()]
        assert {Path(name).name for name in found} == set(NAMES)
    else:
        assert len(told.stdout.splitlines()) == len(NAMES)


def test_broken_files_are_told_one_by_one(trained: Trained, tmp_path: Path) -> None:
    """Else one bad file in a hundred thousand ends a night's work."""
    count = broken(tmp_path / "in")
    names = sorted(map(str, (tmp_path / "in").iterdir()))
    names += ["/no/such/file.jpg", "x" * 5000, str(tmp_path / "in/broken-1.jpg/below.jpg")]
    good = str(trained.source / trained.prepared.names[0])
    told = run("predict", trained.out, "-", "--head", "gap", given="\n".join([*names, good]))
    assert told.exit_code == 3
    assert told.stderr.count("skipped ") == count + 3
    assert len(told.stdout.splitlines()) == 1
    shown = run("explain", trained.out, tmp_path / "in", "--out", tmp_path / "sheet.png")
    assert shown.exit_code == 3
    assert not (tmp_path / "sheet.png").exists()


def test_evidence_with_objects_is_no_evidence(trained: Trained, tmp_path: Path) -> None:
    """Else a pickle among the evidence runs, with a manifest that fits."""
    out = tmp_path / "out"
    shutil.copytree(trained.out, out)
    buffer = io.BytesIO()
    np.savez(buffer, validation_rows=np.array([_Opens(tmp_path / "ran")], object))
    for seed in (0, 1):  # the better one answers
        path = evidence_path(out, "predictions", "gap", seed)
        path.write_bytes(buffer.getvalue())
        manifest = json.loads(path.with_suffix(".json").read_text())
        manifest["sha256"] = sha256(buffer.getvalue()).hexdigest()
        path.with_suffix(".json").write_text(json.dumps(manifest))
    photograph = trained.source / trained.prepared.names[0]
    told = run("predict", out, photograph, "--head", "gap")
    assert told.exit_code == 0
    assert "calibrate" in told.stderr  # it cannot, and says so
    assert not (tmp_path / "ran").exists()


class _Opens:
    """As a pickle, code that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")
