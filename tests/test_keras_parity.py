"""The models are the article's: each against Keras 3, layer by layer, on the same weights.

Keras runs on its PyTorch backend, so that what is compared is the mathematics and not two
convolution libraries. Float32 is what users run; but its rounding, through ReLUs that switch and
Adam's division by small moments, grows with every step. In float64 it all but vanishes, so that
a formula which is only nearly Keras's cannot hide behind a tolerance.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from headtohead.backbones.layers import BatchNorm
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.heads.classifier import Classifier, build_classifier
from headtohead.training.acceleration import fastest
from headtohead.training.optimizer import KerasAdam

if "keras" in sys.modules and os.environ.get("KERAS_BACKEND") != "torch":
    raise RuntimeError("keras was imported before KERAS_BACKEND=torch could be set")
os.environ["KERAS_BACKEND"] = "torch"
import keras
from keras import layers
from keras.src.backend.common import dtypes

HEADS = ("fc", "fc_dropout", "gap", "avgpool2x2")
SMALL = 32  # leaves maps of 2 × 2
TOTALS = {"fc": 705_453, "fc_dropout": 705_453, "gap": 29_217, "avgpool2x2": 30_753}


@dataclass(frozen=True)
class Precision:
    """A floating-point type, and how far apart two orders of the same sums may end in it.

    `forward` bounds outputs and losses; `gradient` each entry of a tensor's gradient, relative
    to the largest; `weights` the root mean square over a tensor after six steps of Adam, each of
    which moves a weight by about 1e-3.
    """

    dtype: torch.dtype
    forward: float
    gradient: float
    weights: float


FLOAT32 = Precision(torch.float32, forward=2e-5, gradient=1e-3, weights=5e-5)
FLOAT32_DEEP = replace(FLOAT32, forward=2e-2, weights=1e-3)  # ReLUs and batch norm in the head
FLOAT64 = Precision(torch.float64, forward=1e-11, gradient=1e-9, weights=1e-10)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[Precision]:
    """Keras in double precision throughout: on PyTorch its batch norm falls back to float32."""
    monkeypatch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield FLOAT64
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def article_backbone(image_size: int) -> list[layers.Layer]:
    trunk = [keras.Input((image_size, image_size, 3))]
    for width in (32, 32, 64):
        trunk += [
            layers.Conv2D(width, (3, 3)),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
        ]
    return trunk


def article_head(name: str) -> list[layers.Layer]:
    """The article's classifiers; its `AveragePooling2D()` means (2, 2), which Keras 3 must hear."""
    if name == "gap":
        return [layers.GlobalAveragePooling2D(), layers.Dense(1, activation="sigmoid")]
    if name == "avgpool2x2":
        return [
            layers.AveragePooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(1, activation="sigmoid"),
        ]
    return [
        layers.Flatten(),
        layers.BatchNormalization(),
        layers.Dense(100),
        layers.Activation("relu"),
        *([layers.Dropout(0.5)] if name == "fc_dropout" else []),
        layers.BatchNormalization(),
        layers.Dense(100),
        layers.Activation("relu"),
        layers.Dense(1),
        layers.Activation("sigmoid"),
    ]


@dataclass(frozen=True)
class Twins:
    """One model twice: ours and the article's, on the same weights."""

    ours: Classifier
    article: keras.Model
    image_size: int
    precision: Precision

    def layer_pairs(self) -> Iterator[tuple[nn.Module, layers.Layer]]:
        kinds = (layers.Conv2D, layers.BatchNormalization, layers.Dense)
        mine = [m for m in self.ours.modules() if isinstance(m, nn.Conv2d | BatchNorm | nn.Linear)]
        theirs = [layer for layer in self.article.layers if isinstance(layer, kinds)]
        return zip(mine, theirs, strict=True)

    def variables(self) -> Iterator[tuple[str, Tensor, keras.Variable]]:
        """(name, our tensor, Keras's variable), in order."""
        for module, layer in self.layer_pairs():
            names = {"weight": "kernel", "bias": "bias"}
            if isinstance(module, BatchNorm):
                names = {n: n for n in ("gamma", "beta", "moving_mean", "moving_variance")}
            for mine, theirs in names.items():
                yield f"{layer.name}.{theirs}", getattr(module, mine), getattr(layer, theirs)

    def noise(self) -> set[str]:
        """Biases that the batch norm behind them takes out again: their gradient is rounding."""
        return {
            f"{layer.name}.bias"
            for _, layer in self.layer_pairs()
            if isinstance(layer, layers.Conv2D)
        }


def as_ours(value: Tensor) -> Tensor:
    """Keras's layout → PyTorch's: (H, W, in, out) → (out, in, H, W) and (in, out) → (out, in)."""
    if value.ndim == 4:
        return value.permute(3, 2, 0, 1)
    return value.T if value.ndim == 2 else value


def as_keras(value: Tensor) -> Tensor:
    if value.ndim == 4:
        return value.permute(2, 3, 1, 0)
    return value.T if value.ndim == 2 else value


def twins(name: str, image_size: int, precision: Precision) -> Twins:
    """Both models on weights, batch-norm parameters and statistics off their initial values."""
    ours = build_classifier(
        BackboneSpec(), name, HeadSpec(), image_size=image_size, classes=2, seed=3
    ).to(precision.dtype)
    ours.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ours.backbone = fastest(ours.backbone)
    noise = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for tensor in (*ours.parameters(), *ours.buffers()):
            if tensor.ndim == 1:
                tensor += 0.2 * torch.rand(tensor.shape, generator=noise).to(tensor.dtype)
    article = keras.Sequential(article_backbone(image_size) + article_head(name))
    pair = Twins(ours, article, image_size, precision)
    with torch.no_grad():
        for _, mine, theirs in pair.variables():
            theirs.assign(as_keras(mine))
    return pair


def batch(size: int, image_size: int, seed: int, precision: Precision) -> tuple[Tensor, Tensor]:
    """Images (N, H, W, 3) in [0, 1] and labels (N, 1), as Keras takes them."""
    draw = np.random.default_rng(seed)
    pictures = draw.random((size, image_size, image_size, 3))
    labels = draw.integers(0, 2, (size, 1))
    return torch.tensor(pictures, dtype=precision.dtype), torch.tensor(
        labels, dtype=precision.dtype
    )


def predict(pair: Twins, pictures: Tensor, *, training: bool) -> tuple[Tensor, Tensor]:
    """Our logits and Keras's probabilities, both (N, 1); dropout draws the same mask in both."""
    pair.ours.train(training)
    torch.manual_seed(5)
    logits = pair.ours(pictures.permute(0, 3, 1, 2))
    torch.manual_seed(5)
    return logits, pair.article(pictures, training=training)


def assert_same_gradients(pair: Twins) -> None:
    compared = 0
    for name, mine, theirs in pair.variables():
        if isinstance(mine, nn.Parameter) and name not in pair.noise():
            assert mine.grad is not None
            expected = as_ours(theirs.value.grad)
            scale = max(expected.abs().max().item(), 1e-6)
            difference = (mine.grad - expected).abs().max().item() / scale
            assert difference <= pair.precision.gradient, f"{name} differs by {difference:.2g}"
            compared += 1
    assert compared >= 11


def assert_same_variables(pair: Twins) -> None:
    for name, mine, theirs in pair.variables():
        if name not in pair.noise():
            difference = (mine - as_ours(theirs.value)).square().mean().sqrt().item()
            assert difference <= pair.precision.weights, f"{name} differs by {difference:.2g}"


def assert_same_outputs(pair: Twins, size: int, *, training: bool) -> None:
    pictures, _ = batch(size, pair.image_size, 7, pair.precision)
    with torch.no_grad():
        logits, probabilities = predict(pair, pictures, training=training)
    bound = pair.precision.forward
    torch.testing.assert_close(logits.sigmoid(), probabilities, rtol=0, atol=bound)
    assert probabilities.std() > 3 * bound, "the outputs hardly differ: nothing was compared"


def assert_same_step(pair: Twins, size: int) -> None:
    """Outputs, loss and gradients in evaluation and in training mode."""
    pictures, labels = batch(size, pair.image_size, 1, pair.precision)
    bound = pair.precision.forward
    for training in (False, True):
        logits, probabilities = predict(pair, pictures, training=training)
        mine = functional.binary_cross_entropy_with_logits(logits, labels)
        theirs = keras.losses.BinaryCrossentropy()(labels, probabilities)
        torch.testing.assert_close(logits.sigmoid(), probabilities, rtol=0, atol=bound)
        torch.testing.assert_close(mine, theirs, rtol=0, atol=10 * bound)
        pair.ours.zero_grad()
        pair.article.zero_grad()
        mine.backward()
        theirs.backward()
        assert_same_gradients(pair)


def assert_same_training(pair: Twins) -> None:
    """Six steps of 8, 64 and 1 images through Keras's own `compile` and `train_on_batch`."""
    pair.article.compile(optimizer=keras.optimizers.Adam(), loss="binary_crossentropy")
    adam = KerasAdam(pair.ours.parameters(), learning_rate=1e-3)
    start = [mine.detach().clone() for _, mine, _ in pair.variables()]
    for step, size in enumerate((8, 64, 8, 1, 64, 8)):
        pictures, labels = batch(size, pair.image_size, 100 + step, pair.precision)
        pair.ours.train()
        torch.manual_seed(step)
        logits = pair.ours(pictures.permute(0, 3, 1, 2))
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        loss.backward()
        adam.step()
        torch.manual_seed(step)
        theirs = pair.article.train_on_batch(pictures, labels)
        assert abs(loss.item() - float(theirs)) <= 2 * pair.precision.forward
    assert_same_variables(pair)
    for (name, mine, _), before in zip(pair.variables(), start, strict=True):
        stood = (mine - before).abs().max() < 1e-4
        assert name in pair.noise() or not stood, f"{name} stood still: nothing was compared"


@pytest.mark.parametrize("name", HEADS)
def test_article_sized_models_agree(name: str) -> None:
    """Else the model is not the article's: its size, its outputs, or the order of its maps."""
    pair = twins(name, 100, FLOAT32)
    total = pair.ours.parameters_count().total
    assert total == TOTALS[name] == pair.article.count_params()
    assert_same_outputs(pair, 4, training=False)


@pytest.mark.parametrize("size", [1, 9])
@pytest.mark.parametrize("name", HEADS)
def test_outputs_losses_and_gradients_agree(name: str, size: int, float64: Precision) -> None:
    """Else a step goes elsewhere than Keras's, in training or after it, or one image fails."""
    assert_same_step(twins(name, SMALL, float64), size)


@pytest.mark.parametrize("name", HEADS)
def test_outputs_losses_and_gradients_agree_as_users_run_them(name: str) -> None:
    """Else float32 costs more than its rounding, such as a variance lost to cancellation."""
    assert_same_step(twins(name, SMALL, FLOAT32), 64)


@pytest.mark.parametrize("name", HEADS)
def test_weights_and_statistics_agree_after_adam(name: str, float64: Precision) -> None:
    """Else training drifts from the article's: its Adam, its moving variance, a last batch of 1."""
    pair = twins(name, SMALL, float64)
    assert_same_training(pair)
    for training in (False, True):
        assert_same_outputs(pair, 16, training=training)


@pytest.mark.parametrize(
    ("name", "precision"),
    [("fc", FLOAT32_DEEP), ("fc_dropout", FLOAT32_DEEP), ("gap", FLOAT32), ("avgpool2x2", FLOAT32)],
)
def test_training_agrees_as_users_run_it(name: str, precision: Precision) -> None:
    """Else training in float32 ends further from Keras's than float32 explains.

    Outputs are compared in training mode, where batch norm takes the noise out of the biases
    before it; in evaluation mode the moving means still trail behind that noise.
    """
    pair = twins(name, SMALL, precision)
    assert_same_training(pair)
    assert_same_outputs(pair, 16, training=True)
