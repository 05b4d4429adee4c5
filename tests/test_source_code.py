"""The digest of a user's code moves with that code, and with nothing else."""

import sys
from pathlib import Path

import pytest

from headtohead.core.source_code import loaded_digest, source_digest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine_h2h.py").write_text("import torch\nfrom part_h2h import f\nclass Mine: ...\n")
    (tmp_path / "part_h2h.py").write_text("def f():\n    import deep_h2h\n")
    (tmp_path / "deep_h2h.py").write_text("x = 1\n")
    (tmp_path / "other_h2h.py").write_text("x = 1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "moves"),
    [("mine_h2h.py", True), ("part_h2h.py", True), ("deep_h2h.py", True), ("other_h2h.py", False)],
)
def test_it_moves_with_the_module_and_what_it_imports(folder: Path, file: str, moves: bool) -> None:
    """Else an edited helper's results are taken for the old ones, or any edit refuses them."""
    before = source_digest("mine_h2h:Mine")
    assert before is not None
    with (folder / file).open("a") as handle:
        handle.write("y = 2\n")
    assert (source_digest("mine_h2h:Mine") != before) is moves
    assert "mine_h2h" not in sys.modules  # found, not run


def test_line_ends_are_no_change(folder: Path) -> None:
    """Else a checkout on Windows is another head."""
    before = source_digest("mine_h2h:Mine")
    path = folder / "mine_h2h.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert source_digest("mine_h2h:Mine") == before


def test_of_a_package_its_own_modules_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `from . import layers` hides a change."""
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "pack_h2h" / "heads"
    package.mkdir(parents=True)
    (tmp_path / "pack_h2h" / "__init__.py").write_text("raise RuntimeError('was run')\n")
    (package / "__init__.py").write_text("from .wide import Wide\n")
    (package / "wide.py").write_text("from .. import layers\nclass Wide: ...\n")
    (tmp_path / "pack_h2h" / "layers.py").write_text("a = 1\n")
    before = source_digest("pack_h2h.heads:Wide")
    (tmp_path / "pack_h2h" / "layers.py").write_text("a = 2\n")
    assert source_digest("pack_h2h.heads:Wide") not in (before, None)


def test_a_package_beside_the_own_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else features of before an edit are used after it, where blocks are in another package."""
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in (
        ("nets_h2h", "from blocks_h2h.conv import Block\n"),
        ("blocks_h2h", ""),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    block = tmp_path / "blocks_h2h" / "conv.py"
    block.write_text("class Block: ...\n")
    before = source_digest("nets_h2h:Block")
    block.write_text("class Block: size = 3\n")
    assert source_digest("nets_h2h:Block") != before


@pytest.mark.parametrize(
    "name", ["gap", "no_such_h2h:A", "a..b:C", ":C", "x:", "headtohead.heads.base:GlobalAverage"]
)
def test_other_names_have_none(name: str) -> None:
    """Else a new version of headtohead makes every study's heads strangers."""
    assert source_digest(name) is None


def test_loaded_code_keeps_its_digest(folder: Path) -> None:
    """Else a worker that loaded the old code records the new code's digest."""
    before = loaded_digest("mine_h2h:Mine")
    (folder / "mine_h2h.py").write_text("class Mine: pass\n")
    assert loaded_digest("mine_h2h:Mine") == before != source_digest("mine_h2h:Mine")
