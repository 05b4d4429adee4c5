"""Writing a picture in the format that its file's name asks for, and writing on one."""

import io
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from headtohead.core.files import expanded, see_suffix, write_atomic

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

_DEJAVU = "mpl-data/fonts/ttf/DejaVuSans.ttf"
_NO_LETTER = "\uffff"

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def format_of(out: Path) -> str:
    """The format of a picture named `out`. Raises UsageError for one that is not written."""
    see_suffix(out, "a picture", *FORMATS)
    return FORMATS[out.suffix.lower()]


def write_picture(image: "Image", out: Path) -> None:
    """Write an RGB picture, whole or not at all. Raises UsageError and StorageError."""
    buffer = io.BytesIO()
    image.save(buffer, format=format_of(out), quality=95)  # of JPEG; PNG has none
    write_atomic(expanded(out), buffer.getvalue())


@cache
def caption_font(size: int) -> "FreeTypeFont | ImageFont":
    """DejaVu Sans, which matplotlib brings: it has Latin, Greek and Cyrillic letters.

    Pillow's own font, where it is not found, has English ones alone.
    """
    from PIL import ImageFont

    found = find_spec("matplotlib")  # to import it would take longer than to draw
    for folder in (found and found.submodule_search_locations) or ():
        if (path := Path(folder) / _DEJAVU).is_file():
            return ImageFont.truetype(path, size)
    return ImageFont.load_default(size)


def drawable(text: str, font: "FreeTypeFont | ImageFont") -> str:
    """`text`, printable, with an escape for each letter that `font` has not, in place of a box."""
    box = bytes(font.getmask(_NO_LETTER))
    return "".join(
        letter.encode("unicode_escape").decode() if bytes(font.getmask(letter)) == box else letter
        for letter in text
    )
