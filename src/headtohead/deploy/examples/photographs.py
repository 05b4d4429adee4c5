"""How exported models are shown photographs: as training reads and resizes them.

Needs numpy and pillow alone. `headtohead export` puts what stands here into each script that it
writes, in the place of its import: a script is one file.
"""

import io
import sys
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms, ImageOps


def upright(path: str) -> "Image.Image":
    """A photograph file in sRGB, upright, what is transparent on white: as training reads it."""
    with Image.open(path) as image:
        if image.mode[0] in "IF":
            raise ValueError("it has more than 8 bits a colour: save it with 8")
        colours = ImageOps.exif_transpose(image)
    cover = None
    if colours.has_transparency_data:
        layered = (colours.convert("LA") if colours.mode == "La" else colours).convert("RGBA")
        colours, cover = in_srgb(layered), layered.getchannel("A")
    page = Image.new("RGB", colours.size, "white")
    page.paste(in_srgb(colours) if cover is None else colours, mask=cover)
    return page


def in_srgb(image: "Image.Image") -> "Image.Image":
    """RGB by the colour profile that the file holds; one that is broken or unfitting is ignored."""
    plain = image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return plain.convert("RGB")
        srgb = ImageCms.createProfile("sRGB")
        found = ImageCms.profileToProfile(plain, profile, srgb, outputMode="RGB")
    except (KeyError, OSError, TypeError, ValueError, ImageCms.PyCMSError):
        found = None
    return found or plain.convert("RGB")


def photographs(paths: "tuple[str, ...]") -> "Iterator[tuple[str, Image.Image]]":
    """Those that can be read. The others are told, and the exit status is 1 then."""
    lost = 0
    for path in paths:
        try:
            image = upright(path)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            lost += 1
            print(f"skipped {path}: {error}", file=sys.stderr)
        else:
            yield path, image
    if lost:
        sys.exit(f"could not read {lost} of {len(paths)} files")


def prepared(image: "Image.Image", side: int, resize: str) -> "np.ndarray":
    """(side, side, 3) uint8, as the study resized its own: by Pillow, or as TensorFlow does it."""
    if resize == "antialias":
        return np.array(image.resize((side, side), Image.Resampling.BILINEAR))
    across = between(np.asarray(image), side, 1)
    return np.floor(between(across, side, 0) + 0.5).astype(np.uint8)


def between(pixels: "np.ndarray", side: int, axis: int) -> "np.ndarray":
    """`side` places along `axis`, each between its two neighbours: half-pixel centres, float32."""
    length, half = pixels.shape[axis], np.float32(0.5)
    scale = np.float32(length) / np.float32(side)
    place = (np.arange(side, dtype=np.float32) + half) * scale - half
    before = np.floor(place)
    first, last = (
        pixels.take(np.clip(index, 0, length - 1).astype(int), axis).astype(np.float32)
        for index in (before, before + 1)
    )
    share = (place - before).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    found: np.ndarray = first + (last - first) * share
    return found
