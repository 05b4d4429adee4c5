"""Adam as Keras computes it, against its update written out in float64."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from headtohead.config.recipe import RecipeSpec
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.heads.classifier import Classifier, build_classifier
from headtohead.training.optimizer import KerasAdam, Optimizer, optimizer_of

Array = np.ndarray


@dataclass
class Reference:
    """`keras.optimizers.Adam.update_step`, with weight decay, as NumPy in float64."""

    weight: Array
    learning_rate: float
    weight_decay: float
    step: int = 0
    moments: list[Array] = field(default_factory=list)

    def update(self, gradient: Array) -> None:
        if not self.moments:
            self.moments = [np.zeros_like(self.weight), np.zeros_like(self.weight)]
        self.step += 1
        self.weight = self.weight - self.weight * self.weight_decay * self.learning_rate
        corrections = np.sqrt(1 - 0.999**self.step) / (1 - 0.9**self.step)
        m, v = self.moments
        m += (gradient - m) * (1 - 0.9)
        v += (gradient**2 - v) * (1 - 0.999)
        self.weight = self.weight - m * self.learning_rate * corrections / (np.sqrt(v) + 1e-7)


def gradients(steps: int, scale: float, seed: int = 0) -> Iterator[list[Tensor]]:
    """For two parameters, (3, 4) and (5,), of very different magnitudes within one tensor."""
    draw = np.random.default_rng(seed)
    for _ in range(steps):
        yield [
            torch.tensor(scale * draw.normal(size=shape) * 10 ** draw.uniform(-6, 0, shape))
            for shape in ((3, 4), (5,))
        ]


def parameters(dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    draw = torch.Generator().manual_seed(2)
    return [nn.Parameter(torch.randn(shape, generator=draw).to(dtype)) for shape in ((3, 4), (5,))]


def advance(adam: KerasAdam, weights: list[nn.Parameter], steps: Iterator[list[Tensor]]) -> None:
    for step in steps:
        for weight, gradient in zip(weights, step, strict=True):
            weight.grad = gradient.to(weight.dtype)
        adam.step()


@given(
    steps=st.integers(1, 25),
    rate=st.floats(1e-5, 1e-1),
    decay=st.sampled_from([0.0, 1e-4, 0.1]),
    scale=st.sampled_from([1e-7, 1e-3, 1.0, 1e3]),
)
def test_every_step_is_kerass(steps: int, rate: float, decay: float, scale: float) -> None:
    """Else small gradients, which epsilon rules, move weights as far as PyTorch's Adam does."""
    weights = parameters(torch.float64)
    references = [Reference(w.detach().numpy().copy(), rate, decay) for w in weights]
    advance(KerasAdam(weights, rate, decay), weights, gradients(steps, scale))
    for step in gradients(steps, scale):
        for reference, gradient in zip(references, step, strict=True):
            reference.update(gradient.numpy())
    for weight, reference in zip(weights, references, strict=True):
        moved = np.abs(reference.weight).max()
        np.testing.assert_allclose(
            weight.detach().numpy(), reference.weight, rtol=1e-10, atol=1e-10 * moved
        )


def test_the_epsilon_is_kerass_and_not_pytorchs() -> None:
    """Else the test above could pass with either: they must differ where gradients are small."""
    mine, theirs = parameters(torch.float64), parameters(torch.float64)
    advance(KerasAdam(mine, 1e-3), mine, gradients(3, 1e-5))
    plain = torch.optim.Adam(theirs, lr=1e-3, eps=1e-7)
    for step in gradients(3, 1e-5):
        for weight, gradient in zip(theirs, step, strict=True):
            weight.grad = gradient
        plain.step()
    assert (mine[0] - theirs[0]).abs().max() > 1e-4


def test_float32_follows_float64() -> None:
    """Else the fused update that runs is not the one that was proven."""
    single, double = parameters(), parameters(torch.float64)
    for weights in (single, double):
        advance(KerasAdam(weights, 1e-3, 0.01), weights, gradients(20, 1e-2))
    for narrow, wide in zip(single, double, strict=True):
        torch.testing.assert_close(narrow.double(), wide, rtol=0, atol=2e-6)


def test_gradients_are_forgotten_and_frozen_parameters_stay() -> None:
    """Else batches add up, or a frozen backbone drifts by weight decay."""
    weights = parameters()
    weights[1].requires_grad_(False)
    frozen = weights[1].clone()
    adam = KerasAdam(weights, 1e-3, 0.1)
    weights[0].grad = torch.ones(3, 4)
    adam.step()
    assert [weight.grad for weight in weights] == [None, None]
    assert torch.equal(weights[1], frozen)
    assert adam.steps == 1


@pytest.mark.parametrize("through_a_file", [False, True], ids=["in memory", "safetensors"])
@pytest.mark.parametrize("before", [0, 1, 7])
def test_going_on_from_a_saved_state_changes_no_bit(
    before: int, through_a_file: bool, tmp_path: Path
) -> None:
    """Else a resumed study's curves are not those of an undisturbed one."""
    steps = list(gradients(12, 1e-2))
    undisturbed, first = parameters(), parameters()
    advance(KerasAdam(undisturbed, 1e-3, 0.01), undisturbed, iter(steps))
    killed = KerasAdam(first, 1e-3, 0.01)
    advance(killed, first, iter(steps[:before]))
    state = killed.state()
    if through_a_file:
        save_file(state, tmp_path / "resume.safetensors")
        state = load_file(tmp_path / "resume.safetensors")
    second = [nn.Parameter(weight.detach().clone()) for weight in first]
    resumed = KerasAdam(second, 1e-3, 0.01)
    resumed.restore(state, killed.steps)
    advance(killed, first, iter(steps[before:9]))  # what the first went on to do must not count
    advance(resumed, second, iter(steps[before:]))
    assert resumed.steps == len(steps)
    for weight, expected in zip(second, undisturbed, strict=True):
        assert torch.equal(weight, expected)


def test_moments_lie_in_memory_as_their_parameter_does() -> None:
    """Else a channels-last kernel resumes with its moments scrambled: a file has one order."""
    draw = torch.Generator().manual_seed(5)
    kernel = torch.randn((4, 3, 2, 2), generator=draw)
    steps = [torch.randn(kernel.shape, generator=draw) for _ in range(4)]

    def channels_last(tensor: Tensor) -> Tensor:
        return tensor.detach().clone(memory_format=torch.channels_last)

    first = nn.Parameter(channels_last(kernel))
    adam = KerasAdam([first], 1e-3)
    advance(adam, [first], ([channels_last(step)] for step in steps[:2]))
    second = nn.Parameter(channels_last(first))
    resumed = KerasAdam([second], 1e-3)
    resumed.restore({name: v.contiguous() for name, v in adam.state().items()}, adam.steps)
    advance(adam, [first], ([channels_last(step)] for step in steps[2:]))
    advance(resumed, [second], ([channels_last(step)] for step in steps[2:]))
    assert torch.equal(first, second)


def test_a_state_has_every_moment_once() -> None:
    """Else a resume file lacks a moment, or two parameters share one."""
    weights = parameters()
    adam = KerasAdam(weights, 1e-3)
    assert adam.state() == {}
    advance(adam, weights, gradients(2, 1.0))
    names = {f"{i}.{name}" for i in (0, 1) for name in ("step", "exp_avg", "exp_avg_sq")}
    state = adam.state()
    assert state.keys() == names
    assert state["0.exp_avg"].shape == (3, 4)
    assert state["1.exp_avg_sq"].shape == (5,)
    assert state["1.step"].item() == adam.steps == 2


OTHERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.01),
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9),
}


@pytest.mark.parametrize("rule", OTHERS)
def test_groups_move_as_pytorchs_own_optimisers_move_them(rule: str) -> None:
    """Else a fine-tuning recipe of others cannot be repeated: rates, decay, clipping, momentum."""
    recipe = RecipeSpec.model_validate(
        {
            "optimizer": rule, "learning_rate": 0.01, "backbone_learning_rate": 0.001,
            "weight_decay": 0.1, "weight_decay_on": "weights", "clip_norm": 0.5,
        }
    )  # fmt: skip
    spec = BackboneSpec(options={"widths": [3]})
    mine, theirs = (
        build_classifier(spec, "gap", HeadSpec(), image_size=12, classes=3, seed=0)
        for _ in range(2)
    )
    ours = optimizer_of(mine, recipe)
    groups = [
        {"params": [p], "lr": rate, "weight_decay": 0.1 if p.ndim > 1 else 0.0}
        for part, rate in ((theirs.backbone, 0.001), (theirs.head, 0.01))
        for p in part.parameters()
    ]
    reference = OTHERS[rule](groups)
    for step in range(4):
        pictures = torch.rand(5, 3, 12, 12, generator=torch.Generator().manual_seed(step))
        for model in (mine, theirs):
            (10 * model(pictures).square().sum()).backward()
        norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        assert norm > 0.5
        reference.step()
        reference.zero_grad()
        ours.step()
    # Batch norm takes out a convolution's bias: its gradient is rounding, which Adam makes large.
    pairs = zip(mine.named_parameters(), theirs.parameters(), strict=True)
    for one, other in [(p, q) for (name, p), q in pairs if not name.endswith("convolution.bias")]:
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rule", ["adam", "adamw", "sgd"])
def test_every_rule_goes_on_from_its_state(rule: str) -> None:
    """Else a resumed run is another run."""
    recipe = RecipeSpec.model_validate({"optimizer": rule, "clip_norm": 1.0})
    spec = BackboneSpec(options={"widths": [3]})
    pictures = torch.rand(5, 3, 12, 12, generator=torch.Generator().manual_seed(0))

    def made() -> Classifier:
        return build_classifier(spec, "gap", HeadSpec(), image_size=12, classes=3, seed=0)

    def step(model: Classifier, by: Optimizer) -> None:
        model(pictures).square().sum().backward()
        by.step()

    whole, again = made(), made()
    by = optimizer_of(whole, recipe)
    step(whole, by)
    state = {name: value.clone() for name, value in by.state().items()}
    again.load_state_dict(whole.state_dict())
    other = optimizer_of(again, recipe)
    other.restore(state, by.steps)
    step(whole, by)
    step(again, other)
    for one, two in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)
