"""Writing a picture in the format that its file's name asks for."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from headtohead.core.errors import UsageError, brief
from headtohead.core.files import expanded, write_atomic

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def format_of(out: Path) -> str:
    """The format of a picture named `out`. Raises UsageError for one that is not written."""
    known = FORMATS.get(out.suffix.lower())
    if known is None:
        raise UsageError(
            f"--out {brief(str(out))}: a picture's name ends in {', '.join(FORMATS)}; "
            f"name it {brief(out.stem)}.png."
        )
    return known


def write_picture(image: "Image", out: Path) -> None:
    """Write an RGB picture, whole or not at all. Raises UsageError and StorageError."""
    buffer = io.BytesIO()
    image.save(buffer, format=format_of(out), quality=95)  # of JPEG; PNG has none
    write_atomic(expanded(out), buffer.getvalue())
