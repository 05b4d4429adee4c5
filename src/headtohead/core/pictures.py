"""Writing a picture in the format that its file's name asks for."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from headtohead.core.files import expanded, see_suffix, write_atomic

if TYPE_CHECKING:
    from PIL.Image import Image

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
