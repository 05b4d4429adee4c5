"""An image is written in the format that its file's name says."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from headtohead.cli import main
from headtohead.core.errors import UsageError
from headtohead.core.pictures import caption_font, drawable, write_picture
from photographs import write_pictures


@pytest.mark.parametrize(
    ("name", "form"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.jpeg", "JPEG")]
)
def test_the_suffix_is_honoured(tmp_path: Path, name: str, form: str) -> None:
    """Else a program that goes by the name cannot open it."""
    write_picture(Image.new("RGB", (4, 3), "red"), tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert (image.format, image.size) == (form, (4, 3))


@pytest.mark.parametrize("name", ["sheet", "sheet.gif", "sheet.png.txt"])
def test_another_suffix_is_refused_before_the_work(tmp_path: Path, name: str) -> None:
    """Else a file is written whose name says something else, or minutes are spent first."""
    with pytest.raises(UsageError, match=r"\.png, \.jpg, .* sheet\.png\."):
        write_picture(Image.new("RGB", (4, 3)), tmp_path / name)
    source = write_pictures(tmp_path / "photos", {"cat": 3, "dog": 3})
    cache = tmp_path / "cache"
    told = CliRunner().invoke(
        main, ["data", "show", str(source), "--out", str(tmp_path / name), "--cache", str(cache)]
    )
    assert told.exit_code == 2, told.output
    assert not (tmp_path / name).exists()
    assert not cache.exists()


def test_class_names_of_other_languages_are_told_apart_on_a_sheet() -> None:
    """Else `Blüten` has a box in it, and two Chinese classes are the same boxes."""
    font = caption_font(16)
    assert drawable("Blüten Ж α ł", font) == "Blüten Ж α ł"
    assert drawable("日 cat", font) == r"\u65e5 cat"
    assert drawable("日", font) != drawable("本", font)
