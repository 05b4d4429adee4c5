"""Classify photographs by an exported ONNX model. Needs onnxruntime, numpy and pillow alone.

    python run_onnx.py MODEL.onnx PHOTOGRAPH…
    python run_onnx.py MODEL.onnx --prepared IMAGES.npy    (N, side, side, 3) uint8 → JSON

The model takes images as they were prepared for training (RGB, uint8, side × side, resized without
regard to their shape by Pillow's bilinear filter) and gives calibrated probabilities.
"""

import json
import sys

import numpy as np
from PIL import Image, ImageOps


def prepared(path: str, side: int) -> "np.ndarray":
    """A photograph file upright in RGB as (side, side, 3) uint8."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return np.asarray(upright.resize((side, side), Image.Resampling.BILINEAR))


def main(model: str, *arguments: str) -> None:
    """Print what was asked for."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    classes, side = json.loads(metadata["classes"]), int(metadata["image_size"])
    if arguments[0] == "--prepared":
        images = np.load(arguments[1], allow_pickle=False)
        print(json.dumps(session.run(None, {"images": images})[0].tolist()))
        return
    for path in arguments:
        images = prepared(path, side)[None]
        (shares,) = session.run(None, {"images": images})[0]
        best = int(shares.argmax())
        print(f"{classes[best]}\t{shares[best]:.4f}\t{path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
