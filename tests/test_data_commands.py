"""Looking at images, in Python."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import headtohead
from headtohead.cli import main
from headtohead.core.errors import DataError
from photographs import write_pictures


def test_pictures_are_counted_and_shown(tmp_path: Path) -> None:
    """A notebook begins with a look at the images, as the article does."""
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(3):
            pixels = random.integers(0, 255, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{number}.png")
    found = headtohead.data_check(tmp_path / "data", cache=tmp_path / "cache", image_size=16)
    assert [(item.label, item.usable) for item in found.classes] == [("cat", 3), ("dog", 3)]


def test_every_image_of_a_small_set_is_on_the_sheet(tmp_path: Path) -> None:
    """Else a wrong or empty class folder is not seen before training on it."""
    colours = {"cat": [(200, 0, 0), (0, 200, 0)], "dog": [(0, 0, 200), (200, 0, 200)]}
    for name, some in colours.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for number, colour in enumerate(some):
            Image.new("RGB", (40, 30), colour).save(tmp_path / "data" / name / f"{number}.png")
    sheet = np.asarray(
        headtohead.data_show(tmp_path / "data", cache=tmp_path / "cache", image_size=16)
    )
    for some in colours.values():
        for colour in some:
            shown = (np.abs(sheet.astype(int) - colour).max(2) <= 2).sum()
            assert shown >= 16 * 16
            assert shown < sheet.shape[0] * sheet.shape[1] / 4


def test_no_pictures_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        headtohead.data_check(tmp_path / "empty", cache=tmp_path / "cache")


def test_a_limit_is_told_from_a_class_that_is_too_small(tmp_path: Path) -> None:
    """Else a user looks for more images, of which there are enough."""
    source = write_pictures(tmp_path / "data", {"cat": 9, "dog": 9})
    found = headtohead.data_check(source, cache=tmp_path / "cache", image_size=16, limit=4)
    assert (found.left_out, found.split) == (14, {})
    assert "at least 6, or no limit" in found.no_split


def test_the_check_prints_what_the_command_prints(tmp_path: Path) -> None:
    """Else `print(headtohead.data_check(…))` shows a class with hundreds of names in one line."""
    data = write_pictures(tmp_path / "data", {"cat": 12, "dog": 12}, size=16)
    options = ["--cache", str(tmp_path / "cache"), "--image-size", "16"]
    typed = CliRunner().invoke(main, ["data", "check", str(data), *options])
    found = headtohead.data_check(data, cache=tmp_path / "cache", image_size=16)
    assert str(found) == typed.stdout.strip()
    assert str(found).startswith("24 usable images of 24 files")
