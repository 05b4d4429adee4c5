"""Classify photographs by an exported Keras model. Needs keras with a backend, numpy and pillow.

    python run_keras.py MODEL.keras PHOTOGRAPH…
    python run_keras.py MODEL.keras --array IMAGES.npy    (N, side, side, 3) uint8 → JSON

The model is the tutorial's: float images in [0, 1] in, the probability of class 1 out (of each
class where there are more than two), not calibrated. MODEL.json beside it has the classes.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


def prepared(path: str, side: int) -> "np.ndarray":
    """A photograph file upright in RGB as (side, side, 3) uint8."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return np.asarray(upright.resize((side, side), Image.Resampling.BILINEAR))


def main(model: str, *arguments: str) -> None:
    """Print what was asked for."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    network = keras.saving.load_model(model, compile=False, safe_mode=True)
    metadata = json.loads(Path(model).with_suffix(".json").read_text(encoding="utf-8"))
    classes, side = json.loads(metadata["classes"]), int(metadata["image_size"])
    if arguments[0] == "--array":
        images = np.load(arguments[1], allow_pickle=False)
    else:
        images = np.stack([prepared(path, side) for path in arguments])
    found = np.asarray(network.predict(images.astype("float32") / 255, verbose=0))
    shares = np.hstack([1 - found, found]) if found.shape[1] == 1 else found
    if arguments[0] == "--array":
        print(json.dumps(shares.tolist()))
        return
    for path, row in zip(arguments, shares, strict=True):
        best = int(row.argmax())
        print(f"{classes[best]}\t{row[best]:.4f}\t{path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
