"""docs/own_head.md: its head is 15 lines, and one file is all that it takes."""

import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from headtohead.cli import main
from headtohead.config.candidates import candidate_from
from headtohead.heads.base import PooledHead
from headtohead.heads.table import build_head
from headtohead.testing import check_head
from photographs import write_pictures

PAGE = Path(__file__).parent.parent / "docs" / "own_head.md"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page's head as the only file of the current folder."""
    (code,) = re.findall(r"```python\n# mine\.py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return str(code)


def printed(*words: str) -> str:
    found = CliRunner().invoke(main, list(words), catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_it_is_fifteen_lines_and_passes_the_harness(own: str) -> None:
    """Else the page teaches a head that does not work."""
    assert len([line for line in own.splitlines() if line.strip()]) <= 15
    check_head("mine:GlobalMax")


def test_its_pooled_head_passes_the_harness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the page teaches a pool whose values may not be kept."""
    (code,) = re.findall(r"```python\n# moments\.py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "moments.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    check_head("moments:Moments")
    head = build_head("moments:Moments", 8, (7, 7), 1)
    assert isinstance(head, PooledHead)
    assert head.pool(torch.ones(2, 8, 7, 7)).shape == (2, 16)


def test_one_file_is_enough_to_list_it_and_to_plan_with_it(own: str) -> None:
    """Else adding a head means editing headtohead."""
    described = printed("heads", "mine:GlobalMax", "--maps", "64x12x12")
    assert "65 on 64 × 12 × 12" in described
    write_pictures(Path("photos"), {"cat": 40, "dog": 40})
    told = printed(
        *("plan", "--data", "photos", "--heads", "gap,mine:GlobalMax", "--image-size", "36"),
        *("--cache", "cache", "--no-timing", "--seeds", "6"),
    )
    assert "gap against mine.GlobalMax, 1 test" in told


def test_the_option_on_the_page_is_one_that_its_head_can_have(own: str) -> None:
    """Else a reader types the page's option and is told that the head takes none."""
    page = " ".join(PAGE.read_text().split())
    (signature,) = re.findall(r"`(def __init__\(.*?\))`", page)
    (typed,) = re.findall(r'`--heads "gap,(mine:GlobalMax\(.*?\))"`', page)
    code, count = re.subn(r"def __init__\(.*?\)", signature, own)
    Path("mine_with_scale.py").write_text(code)
    name, head = candidate_from(typed)
    assert (count, name, head["head"]) == (1, "mine.GlobalMax-scale2", "mine:GlobalMax")
    built = build_head("mine_with_scale:GlobalMax", 8, (7, 7), 1, **head["options"])
    assert built(torch.ones(2, 8, 7, 7)).shape == (2, 1)
