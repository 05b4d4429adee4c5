"""Classify photographs by an exported Keras model. Needs keras with a backend, numpy and pillow.

    python run_keras.py MODEL.keras PHOTOGRAPH…
    python run_keras.py MODEL.keras --array IMAGES.npy    (N, side, side, 3) uint8 → JSON

The model is the tutorial's: float images in [0, 1] in, the probability of class 1 out (of each
class where there are more than two), not calibrated. MODEL.keras.json beside it has the classes.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

from headtohead.deploy.examples.photographs import photographs, prepared


def main(model: str, *arguments: str) -> None:
    """Print what was asked for."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    network = keras.saving.load_model(model, compile=False, safe_mode=True)
    metadata = json.loads(Path(f"{model}.json").read_text(encoding="utf-8"))
    classes, side = json.loads(metadata["classes"]), int(metadata["image_size"])

    def shares_of(images: "np.ndarray") -> "np.ndarray":
        found = np.asarray(network.predict(images.astype("float32") / 255, verbose=0))
        return np.hstack([1 - found, found]) if found.shape[1] == 1 else found

    if arguments[0] == "--array":
        images = np.load(arguments[1], allow_pickle=False)
        print(json.dumps(shares_of(images).tolist()))
        return
    for path, image in photographs(arguments):
        (shares,) = shares_of(prepared(image, side, metadata["resize"])[None])
        best = int(shares.argmax())
        print(f"{classes[best]}\t{shares[best]:.4f}\t{path}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
