"""Layers: batch norm as Keras computes it, and the values that training starts from."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from headtohead.backbones.layers import BatchNorm, are_widths, convolution, dense

Array = np.ndarray


def batch_norm_reference(x: Array, gamma: Array, beta: Array) -> tuple[Array, Array, Array]:
    """Ioffe & Szegedy's training transform in float64: (output, mean, biased variance)."""
    axes = (0, *range(2, x.ndim))
    shape = (1, -1, *[1] * (x.ndim - 2))
    mean, variance = x.mean(axes), x.var(axes)
    scaled = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + 1e-3)
    return scaled * gamma.reshape(shape) + beta.reshape(shape), mean, variance


def layer_and_input(shape: tuple[int, ...], offset: float, scale: float) -> tuple[BatchNorm, Array]:
    draw = np.random.default_rng(1)
    layer = BatchNorm(shape[1])
    with torch.no_grad():
        layer.gamma.copy_(torch.tensor(draw.uniform(0.5, 2, shape[1])))
        layer.beta.copy_(torch.tensor(draw.normal(size=shape[1])))
    return layer, (offset + scale * draw.normal(size=shape)).astype(np.float32)


def reference_for(layer: BatchNorm, x: Array) -> tuple[Array, Array, Array]:
    gamma, beta = (value.detach().double().numpy() for value in (layer.gamma, layer.beta))
    return batch_norm_reference(x.astype(np.float64), gamma, beta)


@given(
    shape=st.one_of(
        st.tuples(st.integers(1, 9), st.integers(1, 6)),
        st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 5), st.integers(1, 5)),
    ),
    offset=st.floats(-3, 3),
    scale=st.floats(0.01, 10),
)
def test_training_normalises_and_moves_the_averages(
    shape: tuple[int, ...], offset: float, scale: float
) -> None:
    """Else training or what is evaluated after it differs from Keras's; one image included."""
    layer, x = layer_and_input(shape, offset, scale)
    output = layer.train()(torch.tensor(x))
    expected, mean, variance = reference_for(layer, x)
    np.testing.assert_allclose(output.detach().numpy(), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(layer.moving_mean, 0.01 * mean, rtol=1e-4, atol=1e-6)
    moved = 0.99 + 0.01 * variance
    np.testing.assert_allclose(layer.moving_variance, moved, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 4), (6, 4), (1, 4, 5, 3), (6, 4, 5, 3)])
def test_evaluation_uses_the_averages_and_leaves_them(shape: tuple[int, ...]) -> None:
    """Else evaluating a model changes it, or an image's result hangs on its neighbours."""
    layer, x = layer_and_input(shape, 0.5, 2.0)
    with torch.no_grad():
        layer.moving_mean.copy_(torch.linspace(-1, 1, 4))
        layer.moving_variance.copy_(torch.linspace(0.1, 4, 4))
    before = [buffer.clone() for buffer in layer.buffers()]
    output = layer.eval()(torch.tensor(x))
    assert all(torch.equal(a, b) for a, b in zip(before, layer.buffers(), strict=True))
    wide = (1, 4, *[1] * (len(shape) - 2))
    mean, variance, gamma, beta = (
        value.detach().double().numpy().reshape(wide)
        for value in (layer.moving_mean, layer.moving_variance, layer.gamma, layer.beta)
    )
    expected = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(output.detach().numpy(), expected, rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_the_formula() -> None:
    """Else weights learn something else than the loss asks for."""
    layer, x = layer_and_input((4, 3, 3, 2), 1.0, 2.0)
    layer.double()
    source = torch.tensor(x, dtype=torch.float64, requires_grad=True)

    def transform(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        given = {"gamma": gamma, "beta": beta}
        found: Tensor = torch.func.functional_call(layer, given, (x,))
        return found

    arguments = (
        source,
        layer.gamma.detach().requires_grad_(),
        layer.beta.detach().requires_grad_(),
    )
    assert torch.autograd.gradcheck(transform, arguments, nondet_tol=0.0)


def test_memory_layout_changes_nothing() -> None:
    """Else channels-last training, which is the fast one, gives another model."""
    first, x = layer_and_input((4, 8, 6, 6), 0.2, 1.5)
    second, _ = layer_and_input((4, 8, 6, 6), 0.2, 1.5)
    plain = torch.tensor(x)
    last = plain.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(first.train()(plain), second.train()(last))
    torch.testing.assert_close(dict(first.named_buffers()), dict(second.named_buffers()))


def test_a_constant_channel_stays_finite() -> None:
    """Else a dead feature map poisons its model: the variance recovered could be negative."""
    layer = BatchNorm(2).train()
    x = torch.full((8, 2, 4, 4), 7.0, requires_grad=True)
    output = layer(x)
    output.square().sum().backward()
    assert x.grad is not None
    assert output.isfinite().all()
    assert x.grad.isfinite().all()
    assert (layer.moving_variance >= 0.99 - 1e-6).all()


@pytest.mark.parametrize(
    ("layer", "fan_in", "fan_out"),
    [(convolution(32, 64, 3), 9 * 32, 9 * 64), (dense(300, 100), 300, 100)],
)
def test_training_starts_where_keras_starts(
    layer: nn.Conv2d | nn.Linear, fan_in: int, fan_out: int
) -> None:
    """Else the same recipe learns at another pace: PyTorch's own initial weights are smaller."""
    limit = math.sqrt(6 / (fan_in + fan_out))
    weight = layer.weight.detach()
    assert weight.abs().max() <= limit
    assert weight.abs().max() > 0.99 * limit
    assert weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.02)
    assert layer.bias is not None
    assert not layer.bias.any()


@pytest.mark.parametrize("value", [[True], [4, 0], [10**19], [4.0], "44", 4, None])
def test_what_is_no_width_is_refused(value: object) -> None:
    """Else true in a study file builds a layer of one map, or the error speaks of `empty()`."""
    assert not are_widths(value)
    assert are_widths([1, 1_000_000])
