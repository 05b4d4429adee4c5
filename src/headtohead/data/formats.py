"""Which formats are read, and what a file that is not read is.

Formats are recognised by content, never by suffix. HEIC needs Pillow's plug-in pillow-heif (the
extra `headtohead[heif]`); AVIF is in Pillow itself from version 11.3 on.

Every decoding process imports this module: Pillow's many plug-ins are loaded when one is needed.
"""

import io
import warnings
from functools import cache

from PIL import Image, features

# Raster formats that photographs come in. Left out on purpose: those that start other programs
# (EPS), that describe vectors (WMF), or without a signature, so that any bytes might be one (TGA).
_USUAL_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
FORMATS = (*_USUAL_FORMATS, "JPEG2000", "PPM", "QOI", "ICO", "PCX", "SGI", "HEIF")

_JPEG = b"\xff\xd8\xff"  # no other format begins so
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
_SIGNATURES = {
    b"\xff\xd8": "a JPEG",
    b"\x89PNG": "a PNG",
    b"GIF8": "a GIF",
    b"RIFF": "a WebP",
    b"BM": "a BMP",
    b"ftypavif": "an AVIF",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
}
_LFS_POINTER = b"version https://git-lfs"
_OTHERS = {
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"ftypqt  ": "QuickTime video",
    b"ftypisom": "MP4 video",
    b"ftypmp42": "MP4 video",
    b"ftypM4V ": "MP4 video",
    b"\x1aE\xdf\xa3": "Matroska video",
    b"FUJIFILMCCD-RAW": "RAF (raw)",
    b"ftypcrx ": "CR3 (raw)",
    b"RIFF": "AVI or WAV",
    b"\xff\x0a": "JPEG XL",
    b"JXL \r\n\x87\n": "JPEG XL",
}


def formats_of(data: bytes) -> tuple[str, ...]:
    """Those of `FORMATS` that `data` may be in and that can be read here."""
    if data.startswith(_JPEG):
        return ("JPEG",)
    Image.init()  # loads every plugin; to name one that is missing would be a KeyError
    if _brand(data) in _HEIC_BRANDS and not _register_heif():
        return ("PNG",)  # none would mean all
    return tuple(name for name in FORMATS if name in Image.OPEN)


def unread(data: bytes) -> str:
    """What `data`, which no reader of `FORMATS` knows, is: short, printable, true."""
    brand = _brand(data)
    if brand in _HEIC_BRANDS and not _register_heif():
        return "HEIC, which needs a plug-in: pip install 'headtohead[heif]', or convert it to JPEG"
    if brand in _AVIF_BRANDS and not reads_avif():
        return "AVIF, which this Pillow cannot read: pip install 'pillow>=11.3', or convert it"
    if brand in _HEIC_BRANDS:
        return "truncated or damaged header (begins like a HEIC)"
    if data.startswith(_LFS_POINTER):
        return "a pointer of Git LFS in place of the file: run git lfs pull"
    name = _other_format(data)
    if name is not None:
        return f"a format that is not accepted: {name}"
    for signature, name in _SIGNATURES.items():
        if signature in (data[: len(signature)], data[4 : 4 + len(signature)]):
            return f"truncated or damaged header (begins like {name})"
    return "not an image"


def reads_avif() -> bool:
    """Whether this Pillow reads AVIF. Before 11.2 it warns of a feature that it does not know."""
    return "avif" in features.modules and bool(features.check("avif"))


def decoder_identity(decoder: str) -> str:
    """`decoder`, and the HEIC plug-in where there is one: it decides what can be read."""
    version = heif_version()
    return decoder if version is None else f"{decoder} pillow-heif-{version}"


@cache
def heif_version() -> str | None:
    """The version of pillow-heif; None where it is not installed."""
    import importlib.metadata  # takes as long to load as some photographs to decode

    try:
        return importlib.metadata.version("pillow-heif")
    except importlib.metadata.PackageNotFoundError:
        return None


@cache
def _register_heif() -> bool:
    """Make Pillow read HEIC; False where the plug-in is missing or does not load."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _brand(data: bytes) -> bytes | None:
    """The major brand of an ISO media file; `avif` where a general one names AVIF beside it."""
    if data[4:8] != b"ftyp":
        return None
    others = data[16 : min(int.from_bytes(data[:4]), 256)]
    general = data[8:12] in (b"mif1", b"msf1")
    return b"avif" if general and b"avif" in others else data[8:12]


def _other_format(data: bytes) -> str | None:
    """The name of a format that is known and not accepted; None where there is none."""
    head = data[:64].lstrip()
    for signature, name in _OTHERS.items():
        if signature == b"RIFF" and data[8:12] not in (b"AVI ", b"WAVE"):
            continue
        if head.startswith(signature) or data[4 : 4 + len(signature)] == signature:
            return name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # Opening reads a header; nothing is decoded, and no program is started.
            with Image.open(io.BytesIO(data)) as image:
                return image.format if image.format not in FORMATS else None
        except Exception:  # Pillow's plugins raise nearly every built-in exception
            return None
