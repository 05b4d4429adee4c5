"""A file's bytes → one upright sRGB image, whole or not at all.

An image that cannot be decoded whole is `Undecodable`: a half-grey photograph would be a wrong
example that nobody sees.

Every decoding process imports this module. What takes long to load and few photographs need
(numpy, ImageCms, most of Pillow's plugins) is therefore loaded when the first one needs it.
"""

import errno
import io
import os
import re
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError, features

from headtohead.core.errors import StorageError
from headtohead.data.formats import formats_of, unread

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_REVISION = 1  # raise it when a rule below changes pixels: prepared sets are keyed by DECODER
_LIBRARIES = ("jpg", "libjpeg_turbo", "webp", "avif", "jpg_2000", "libtiff", "littlecms2")
DECODER: str = f"headtohead-{_REVISION} pillow-{features.version('pil')} " + " ".join(
    f"{name}-{features.version(name)}" for name in _LIBRARIES
)
"""Decoder and version of every library in it whose release could change a pixel."""

MAX_PIXELS = 120_000_000
"""Width × height above which an image is refused (phones' 108 megapixels pass)."""

MAX_FILE_BYTES = 256 * 2**20
"""Size above which a file is not read."""

NO_PERMISSION = "no permission to read it"

NOT_READ = ("gone", NO_PERMISSION, "cannot be read", "not a regular file")
"""How the reasons begin of files of which no byte was read: another time it may go well."""

_ONE_FILE_ERRNOS = (errno.EIO, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Undecodable(Exception):  # noqa: N818 - a finding about one file, not a failure of the program
    """A file that gives no whole image; `reason` is short, printable, and fit for a table."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_file(path: Path) -> bytes:
    """The bytes of `path`, at most `MAX_FILE_BYTES` of them.

    Raises `Undecodable` where this one file cannot be read (gone, a dangling link, no permission,
    not a regular file, too large, a damaged sector) and `StorageError` where the machine is at
    fault (no memory, too many open files), which would quarantine every further image.
    """
    try:
        # Checked before opening: to open a named pipe would wait for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise Undecodable("not a regular file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_FILE_BYTES:
                raise Undecodable(f"too large ({size} bytes; the limit is {MAX_FILE_BYTES})")
            # Not more than it has: to ask for 256 MiB takes longer than to read a photograph.
            return file.read(size or MAX_FILE_BYTES)  # some file systems tell no size
    except FileNotFoundError:
        raise Undecodable("gone (no such file, or a link to nothing)") from None
    except PermissionError:
        raise Undecodable(NO_PERMISSION) from None
    except OSError as error:
        if error.errno in _ONE_FILE_ERRNOS:
            raise Undecodable(f"cannot be read ({error.strerror})") from None
        raise StorageError(
            f"reading images failed at {str(path)!r}: {error.strerror}. "
            "Check the disk and the limits of this machine, then run the same command again."
        ) from error


def decode_file(path: Path) -> "NDArray[np.uint8]":
    """`decode(read_file(path))`: (height, width, 3); raises `Undecodable` or `StorageError`."""
    return decode(read_file(path))


def decode(data: bytes) -> "NDArray[np.uint8]":
    """The image in `data`: (height, width, 3) uint8, sRGB, upright.

    - Exif (or XMP) orientation is applied; broken Exif is ignored.
    - An embedded ICC profile is honoured (grey, RGB, CMYK; a broken or unfitting one is ignored).
      Without one, grey and RGB are taken as sRGB and CMYK as Adobe writes it (inverted).
    - Transparent parts lie on white, as on a page.
    - 16-bit grey is scaled by its bit depth; 32-bit integers and floats by the smallest white
      point (1 for floats, 255, 65535) that holds the image, else from its minimum to its
      maximum.
    - Of animations and multi-page files, the first frame.

    Raises `Undecodable`: empty, not an image (in one of `formats.FORMATS`), truncated, damaged,
    or more than `MAX_PIXELS` by its header, in which case no pixel is allocated.
    """
    import numpy as np

    return np.asarray(open_upright(data))


def open_upright(data: bytes) -> Image.Image:
    """The image in `data` in mode RGB, as `decode` says and with its errors."""
    if not data:
        raise Undecodable("empty file")
    # A broken tag in a good image is no news to the user, and an error under -W error.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=formats_of(data)) as image:
                _check_size(image)
                image.load()
                _check_size(image)
                # OpenJPEG takes a missing rest for black; FF D9 ends every whole code stream.
                if image.format == "JPEG2000" and b"\xff\xd9" not in data:
                    raise Undecodable("truncated")
                return upright(image)
        except Undecodable:
            raise
        # Pillow's plugins raise nearly every built-in exception on hostile bytes.
        except Exception as error:
            raise Undecodable(_reason(error, data)) from error


def upright(image: Image.Image) -> Image.Image:
    """`image` in mode RGB, turned as its Exif orientation says."""
    turn = _turn(image)
    picture = _to_rgb(image)
    return picture if turn is None else picture.transpose(turn)


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Undecodable(f"too large ({width} × {height} pixels; the limit is {MAX_PIXELS})")
    if width * height < 1:
        raise Undecodable("no pixels")


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What Exif's orientation asks for; None where it is missing, broken or upright."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # broken Exif raises as freely as broken images do
        return None
    return _TURNS.get(value) if isinstance(value, int) else None


def _to_rgb(image: Image.Image) -> Image.Image:
    """`colours.to_rgb`, which leaves plain RGB, most photographs, as it is."""
    plain = image.mode == "RGB" and "icc_profile" not in image.info
    if plain and not image.has_transparency_data:
        return image
    from headtohead.data.colours import to_rgb

    return to_rgb(image)


def _reason(error: Exception, data: bytes) -> str:
    """What is wrong with `data`, short and printable: file contents leak into Pillow's messages."""
    if isinstance(error, UnidentifiedImageError):
        return unread(data)
    if isinstance(error, Image.DecompressionBombError):
        return f"too large (the limit is {MAX_PIXELS} pixels)"
    message = re.sub(r"[^\w .,:()'-]", "", str(error), flags=re.ASCII)[:80]
    short = data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") > len(data) - 8
    if isinstance(error, EOFError) or short or "truncated" in message.lower():
        return "truncated"
    return f"damaged ({message or type(error).__name__})"
