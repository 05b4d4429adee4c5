"""The fused block on the CPU is the article's: same outputs, same gradients."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from headtohead.accel.blocks import FusedBlock
from headtohead.backbones.constants import BATCH_NORM_EPSILON
from headtohead.backbones.tutorial_cnn import ConvolutionBlock


def article(block: ConvolutionBlock, pictures: Tensor) -> Tensor:
    """Convolution, batch norm, ReLU, pool, in the article's order, by plain operations."""
    maps = block.convolution(pictures)
    mean = maps.mean((0, 2, 3), keepdim=True)
    variance = maps.var((0, 2, 3), correction=0, keepdim=True)
    normalised = (maps - mean) / (variance + BATCH_NORM_EPSILON).sqrt()
    gamma, beta = (p[:, None, None] for p in (block.norm.gamma, block.norm.beta))
    return functional.max_pool2d(functional.relu(normalised * gamma + beta), 2)


def block_of(inputs: int, outputs: int, dtype: torch.dtype) -> ConvolutionBlock:
    block = FusedBlock(ConvolutionBlock(inputs, outputs)).to(dtype)
    with torch.no_grad():
        block.norm.gamma.uniform_(-1.5, 1.5)  # the pool must find the least where it is negative
        block.norm.beta.uniform_(-0.5, 0.5)
        block.convolution.get_parameter("bias").uniform_(-0.5, 0.5)
    return block


def gradients(block: ConvolutionBlock, pictures: Tensor, output: Tensor) -> list[Tensor]:
    torch.manual_seed(1)
    wanted = [pictures, block.convolution.weight, block.norm.gamma, block.norm.beta]
    return list(torch.autograd.grad(output, wanted, torch.randn(output.shape, dtype=output.dtype)))


@given(
    batch=st.integers(1, 5),
    inputs=st.integers(1, 4),
    outputs=st.integers(1, 9),
    height=st.integers(4, 13),
    width=st.integers(4, 13),
    seed=st.integers(0, 99),
)
def test_outputs_and_gradients_are_the_articles(
    batch: int, inputs: int, outputs: int, height: int, width: int, seed: int
) -> None:
    """Else the speed was bought with another network. Odd sizes leave rows out of the pool."""
    torch.manual_seed(seed)
    block = block_of(inputs, outputs, torch.float64)
    pictures = torch.randn(batch, inputs, height, width, dtype=torch.float64, requires_grad=True)
    mine, theirs = block(pictures), article(block, pictures)
    torch.testing.assert_close(mine, theirs)
    for one, other in zip(
        gradients(block, pictures, mine), gradients(block, pictures, theirs), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_float32_at_full_size_stays_close() -> None:
    torch.manual_seed(0)
    block = block_of(3, 32, torch.float32)
    pictures = torch.rand(8, 3, 100, 100)
    exact = article(block.double(), pictures.double())
    torch.testing.assert_close(block.float()(pictures).double(), exact, rtol=1e-4, atol=1e-5)


def test_training_moves_the_averages_that_evaluation_uses() -> None:
    torch.manual_seed(0)
    block = block_of(3, 8, torch.float64)
    pictures = torch.rand(6, 3, 15, 15, dtype=torch.float64)
    for _ in range(2000):
        trained = block(pictures)
    torch.testing.assert_close(block.eval()(pictures), trained, rtol=1e-4, atol=1e-6)


def test_equal_values_in_a_window_share_no_gradient() -> None:
    """The first of them gets all of it, as in PyTorch and Keras: counted twice, it would grow."""
    torch.manual_seed(0)
    block = block_of(1, 4, torch.float64)
    flat = torch.ones(2, 1, 8, 8, dtype=torch.float64)
    flat[1] += 1
    pictures = flat.requires_grad_()
    mine = gradients(block, pictures, block(pictures))
    theirs = gradients(block, pictures, article(block, pictures))
    torch.testing.assert_close(mine[1:], theirs[1:])


def test_a_gamma_of_zero_trains_on() -> None:
    block = block_of(2, 3, torch.float64)
    with torch.no_grad():
        block.norm.gamma.zero_()
        block.norm.beta.fill_(0.5)
    pictures = torch.randn(3, 2, 8, 8, dtype=torch.float64, requires_grad=True)
    output = block(pictures)
    assert (output == 0.5).all()
    assert all(torch.isfinite(part).all() for part in gradients(block, pictures, output))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_not_hidden(value: float) -> None:
    """A diverged run must be seen to diverge."""
    block = block_of(3, 4, torch.float32)
    pictures = torch.rand(2, 3, 10, 10)
    pictures[0, 0, 5, 5] = value
    assert not torch.isfinite(block(pictures)).all()


def test_the_layout_in_memory_does_not_matter() -> None:
    torch.manual_seed(0)
    block = block_of(3, 8, torch.float64)
    pictures = torch.rand(4, 3, 11, 14, dtype=torch.float64)
    turned = pictures.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(block(pictures), block(turned))


def plain(block: ConvolutionBlock, pictures: Tensor) -> Tensor:
    """Evaluation in the article's order, by plain operations."""
    norm = block.norm
    maps = block.convolution(pictures)
    deviation = (norm.moving_variance + BATCH_NORM_EPSILON).sqrt()
    mean, gamma, beta, deviation = (
        part[:, None, None] for part in (norm.moving_mean, norm.gamma, norm.beta, deviation)
    )
    return functional.max_pool2d(functional.relu((maps - mean) / deviation * gamma + beta), 2)


def evaluated_block(inputs: int, outputs: int, dtype: torch.dtype) -> ConvolutionBlock:
    block = block_of(inputs, outputs, dtype).eval()
    with torch.no_grad():
        block.norm.gamma[0] = 0.0
        block.norm.moving_mean.uniform_(-0.5, 0.5)
        block.norm.moving_variance.uniform_(0.1, 2)
    return block


@given(
    outputs=st.integers(1, 9),
    height=st.integers(4, 13),
    width=st.integers(4, 13),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 99),
)
def test_evaluation_without_gradients_is_the_articles(
    outputs: int, height: int, width: int, dtype: torch.dtype, seed: int
) -> None:
    """Else the network that is scored is not the one that was trained."""
    torch.manual_seed(seed)
    block = evaluated_block(2, outputs, dtype)
    pictures = torch.randn(3, 2, height, width, dtype=dtype)
    with torch.no_grad():
        torch.testing.assert_close(block(pictures), plain(block, pictures), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("row", [4, 5])
@pytest.mark.parametrize("column", [4, 5])
def test_evaluation_hides_no_nan(row: int, column: int) -> None:
    """In whatever corner of its window it stands: a diverged run must be seen to diverge."""
    block = evaluated_block(1, 3, torch.float32)
    with torch.no_grad():
        block.convolution.weight.zero_()
        block.convolution.weight[:, :, 0, 0] = 1.0
        pictures = torch.rand(1, 1, 10, 10)
        pictures[0, 0, row, column] = float("nan")
        found = block(pictures).isnan()
    # A weight of zero times NaN is NaN: it reaches the windows of the places before it, too.
    assert found[0, :, 2, 2].all()
    torch.testing.assert_close(found, plain(block, pictures).isnan())


def test_evaluation_has_gradients_where_they_are_wanted() -> None:
    """Else no explanation by gradients works on a finished model."""
    torch.manual_seed(0)
    block = evaluated_block(2, 5, torch.float64)
    pictures = torch.randn(2, 2, 9, 10, dtype=torch.float64, requires_grad=True)
    mine, theirs = block(pictures), plain(block, pictures)
    for one, other in zip(
        gradients(block, pictures, mine), gradients(block, pictures, theirs), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_evaluation_can_be_traced_and_exported() -> None:
    """Else an export holds one image's numbers, or fails."""
    torch.manual_seed(0)
    block = evaluated_block(3, 4, torch.float32)
    example, pictures = torch.rand(2, 2, 3, 12, 12).unbind()
    with torch.no_grad():
        for traced in (
            torch.jit.trace(block, example),
            torch.export.export(block, (example,)).module(),
        ):
            torch.testing.assert_close(traced(pictures), block(pictures), rtol=1e-4, atol=1e-5)


def test_evaluation_in_half_precision_works() -> None:
    """Numba knows no bfloat16."""
    torch.manual_seed(0)
    block = evaluated_block(3, 4, torch.float32)
    pictures = torch.rand(2, 3, 12, 12)
    with torch.no_grad():
        exact = block(pictures)
        rounded = block.bfloat16()(pictures.bfloat16())
    torch.testing.assert_close(rounded.float(), exact, rtol=0.1, atol=0.1)
