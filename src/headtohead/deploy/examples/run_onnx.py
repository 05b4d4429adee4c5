"""Classify photographs by an exported ONNX model. Needs onnxruntime, numpy and pillow alone.

    python run_onnx.py MODEL.onnx PHOTOGRAPH…
    python run_onnx.py MODEL.onnx --array IMAGES.npy    (N, height, width, 3) uint8 → JSON

The model takes upright RGB images of any size, (N, height, width, 3) uint8, all of a batch of one
size, and gives calibrated probabilities: resizing, scaling and normalisation are within it.
"""

import json
import sys

import numpy as np

from headtohead.deploy.examples.photographs import photographs


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
