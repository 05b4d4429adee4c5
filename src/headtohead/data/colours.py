"""Images in any of Pillow's modes → sRGB: profiles, transparency, more than 8 bits."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin

_WHITE = 255
_BLOCK_PIXELS = 2**20


def to_rgb(image: Image.Image) -> Image.Image:
    """`image` in mode RGB, as `decode.decode` says."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_deep_grey(image)).convert("RGB")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return _transformed(image, lab, srgb) or image.convert("RGB")
    if not image.has_transparency_data:
        plain = image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")
        return _to_srgb(plain, image)
    # Premultiplied grey has no direct way to RGBA.
    layered = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    page = Image.new("RGB", image.size, (_WHITE, _WHITE, _WHITE))
    page.paste(_to_srgb(layered.convert("RGB"), image), mask=layered.getchannel("A"))
    return page


def _to_srgb(colours: Image.Image, source: Image.Image) -> Image.Image:
    """RGB from `colours` (L, RGB or CMYK) by the ICC profile that came with `source`."""
    plain = colours if colours.mode == "RGB" else colours.convert("RGB")
    data = source.info.get("icc_profile")
    if not isinstance(data, bytes) or not data:
        return plain
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        # Most profiles say sRGB: nothing to convert, and rounding would only add noise.
        is_srgb = "sRGB" in ImageCms.getProfileDescription(profile)
    except (OSError, TypeError, ValueError, ImportError, ImageCms.PyCMSError):
        return plain
    if is_srgb:
        return plain
    return _transformed(colours, profile, ImageCms.createProfile("sRGB")) or plain


def _transformed(
    image: Image.Image, source: ImageCms.ImageCmsProfile | object, target: object
) -> Image.Image | None:
    """`image` through two profiles, or None where they do not fit it."""
    try:
        return ImageCms.profileToProfile(image, source, target, outputMode="RGB")  # type: ignore[arg-type]
    except (ImageCms.PyCMSError, ImportError):
        return None


def _deep_grey(image: Image.Image) -> NDArray[np.uint8]:
    """(height, width) uint8 of an image with more than 8 bits per grey pixel."""
    values = np.asarray(image)
    low, high = _range(image, values)
    step = max(1, _BLOCK_PIXELS // values.shape[1])
    grey = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), step):  # in blocks: float64 of the whole would be large
        block = np.nan_to_num(values[start : start + step].astype(np.float64), nan=low)
        share = np.clip((block - low) / (high - low), 0, 1)
        grey[start : start + step] = np.floor(share * _WHITE + 0.5)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = _WHITE
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    # Pillow inverts "white is zero" (262 = 0) at 1 to 8 bits only.
    return _WHITE - grey if tags.get(262) == 0 else grey


def _range(image: Image.Image, values: NDArray[np.generic]) -> tuple[float, float]:
    """The values that mean black and white."""
    if image.mode.startswith("I;16"):
        tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
        bits = tags.get(258, 16)
        return 0.0, float(2 ** int(bits[0] if isinstance(bits, tuple) else bits) - 1)
    if image.format == "PPM" and image.mode == "I":
        return 0.0, 65535.0  # Pillow has scaled it from the file's own maximum
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    for white in (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0):
        if low >= 0 and high <= white:
            return 0.0, white
    return low, max(high, np.nextafter(low, np.inf))
