"""Classify photographs by an exported ONNX model. Needs onnxruntime, numpy and pillow alone.

    python run_onnx.py MODEL.onnx PHOTOGRAPH…
    python run_onnx.py MODEL.onnx --array IMAGES.npy    (N, height, width, 3) uint8 → JSON

The model takes upright RGB images of any size, (N, height, width, 3) uint8, all of a batch of one
size, and gives calibrated probabilities: resizing, scaling and normalisation are within it.
"""

import io
import json
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


def main(model: str, *arguments: str) -> None:
    """Print what was asked for."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    classes = json.loads(metadata["classes"])
    if arguments[0] == "--array":
        images = np.load(arguments[1], allow_pickle=False)
        print(json.dumps(session.run(None, {"images": images})[0].tolist()))
        return
    for path, image in photographs(arguments):
        (shares,) = session.run(None, {"images": np.asarray(image)[None]})[0]
        best = int(shares.argmax())
        print(f"{classes[best]}\t{shares[best]:.4f}\t{path}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
