"""Classify photographs by a model of `torch.export`. Needs torch, numpy and pillow alone.

    python run_torch.py MODEL.pt2 PHOTOGRAPH…
    python run_torch.py MODEL.pt2 --array IMAGES.npy    (N, side, side, 3) uint8 → JSON

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
    return np.array(upright.resize((side, side), Image.Resampling.BILINEAR))


def main(model: str, *arguments: str) -> None:
    """Print what was asked for."""
    import torch

    extra = {"metadata.json": ""}
    program = torch.export.load(model, extra_files=extra).module()
    metadata = json.loads(extra["metadata.json"])
    classes, side = json.loads(metadata["classes"]), int(metadata["image_size"])
    with torch.inference_mode():
        if arguments[0] == "--array":
            images = np.load(arguments[1], allow_pickle=False)
            print(json.dumps(program(torch.from_numpy(images)).tolist()))
            return
        for path in arguments:
            (shares,) = program(torch.from_numpy(prepared(path, side)[None]))
            best = int(shares.argmax())
            print(f"{classes[best]}\t{shares[best]:.4f}\t{path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
