"""The tutorial's network in Keras, with a run's weights: the same outputs as Keras computes them.

`tests/test_keras_parity.py` proves the stacks equal, layer by layer.
"""

import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headtohead.core.errors import UsageError

if TYPE_CHECKING:
    from headtohead.heads.classifier import Classifier

TUTORIAL_HEADS = ("fc", "fc_dropout", "gap", "avgpool2x2")
"""Those that the tutorial has."""


def write_keras(model: "Classifier", head: str, metadata: dict[str, str], path: Path) -> None:
    """Write `path` (.keras) and its metadata beside it (.json).

    Raises UsageError for a model that is not the tutorial's, and where Keras is not installed.
    """
    from headtohead.backbones.tutorial_cnn import TutorialCNN
    from headtohead.heads.flatten import AveragePool, FullyConnected
    from headtohead.heads.pooling import GlobalAverage

    kinds = (FullyConnected, AveragePool, GlobalAverage)
    if not isinstance(model.backbone, TutorialCNN) or type(model.head) not in kinds:
        raise UsageError(
            f"keras is for the backbone tutorial_cnn with the heads {', '.join(TUTORIAL_HEADS)}; "
            f"received {metadata['backbone']} with {head}: use --format onnx."
        )
    keras = _keras()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of NumPy's, within Keras
        twin = _twin(keras, model, int(metadata["image_size"]))
        _copy_weights(keras, model, twin)
        twin.save(path)
    Path(f"{path}.json").write_text(json.dumps(metadata, indent=1), encoding="utf-8")


def _keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras
    except ImportError as error:
        raise UsageError(
            f"this format takes Keras, which cannot be imported ({error}): pip install keras."
        ) from None
    return keras


def _twin(keras: Any, model: "Classifier", side: int) -> Any:
    from headtohead.backbones.tutorial_cnn import ConvolutionBlock

    layers = keras.layers
    blocks = [part for part in model.backbone.modules() if isinstance(part, ConvolutionBlock)]
    stack = [keras.Input((side, side, 3), name="images")]
    for block in blocks:
        stack += [
            layers.Conv2D(block.convolution.out_channels, (3, 3)),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D((2, 2)),
        ]
    return keras.Sequential([*stack, *_classifier(layers, model)])


def _classifier(layers: Any, model: "Classifier") -> Iterator[Any]:
    from torch import nn

    from headtohead.backbones.layers import BatchNorm
    from headtohead.heads.flatten import AveragePool, FullyConnected

    head = model.head
    linears = [part for part in head.modules() if isinstance(part, nn.Linear)]
    activation = "sigmoid" if linears[-1].out_features == 1 else "softmax"
    if not isinstance(head, FullyConnected):
        if isinstance(head, AveragePool):
            yield from (layers.AveragePooling2D((head.window, head.window)), layers.Flatten())
        else:
            yield layers.GlobalAveragePooling2D()
        yield layers.Dense(linears[-1].out_features, activation=activation)
        return
    yield layers.Flatten()
    for part in head.layers:
        if isinstance(part, BatchNorm):
            yield layers.BatchNormalization()
        elif isinstance(part, nn.Linear):
            yield layers.Dense(part.out_features)
        elif isinstance(part, nn.Dropout):
            yield layers.Dropout(part.p)
        else:
            yield layers.Activation("relu")
    yield layers.Activation(activation)


def _copy_weights(keras: Any, model: "Classifier", twin: Any) -> None:
    """Convolutions' kernels are (out, in, h, w) here and (h, w, in, out) there."""
    from torch import nn

    from headtohead.backbones.layers import BatchNorm

    kinds = (keras.layers.Conv2D, keras.layers.BatchNormalization, keras.layers.Dense)
    mine = [p for p in model.modules() if isinstance(p, nn.Conv2d | BatchNorm | nn.Linear)]
    theirs = [layer for layer in twin.layers if isinstance(layer, kinds)]
    for part, layer in zip(mine, theirs, strict=True):
        state = {name: value.detach().cpu().numpy() for name, value in part.state_dict().items()}
        if isinstance(part, BatchNorm):
            names = ("gamma", "beta", "moving_mean", "moving_variance")
            layer.set_weights([state[name] for name in names])
        elif isinstance(part, nn.Conv2d):
            layer.set_weights([state["weight"].transpose(2, 3, 1, 0), state["bias"]])
        else:
            layer.set_weights([state["weight"].T, state["bias"]])
