"""What is said of heads before hours are spent: true, with its numbers, and no more."""

import subprocess
import sys

import pytest
import torch

from headtohead.config.recipe import OptimizerName, RecipeSpec
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.heads.classifier import build_classifier
from headtohead.heads.guidance import (
    NON_NEGATIVE_POOLS,
    ONE_PLACE,
    POOLS,
    Asked,
    function_of,
    negative_inputs,
    same_functions,
    too_few_seeds,
    too_large,
    training_bytes,
)
from headtohead.heads.table import HEADS, build_head
from headtohead.stats.family import seeds_needed
from headtohead.training.optimizer import optimizer_of
from stated import stated


def test_one_place_makes_pools_equal() -> None:
    """Else hours go into heads that are one and the same, and ties are taken for findings."""
    asked = {name: Asked(name) for name in ("gap", "gmp", "gem", "fc")}
    (sentence,) = same_functions(asked, (1, 1), non_negative=True)
    assert "gap, gmp and gem" in sentence
    (sentence,) = same_functions(asked, (1, 1))  # gem discards what is negative
    assert "gap and gmp are" in sentence
    assert same_functions(asked, (2, 2), non_negative=True) == []


@pytest.mark.parametrize("name", sorted(POOLS | NON_NEGATIVE_POOLS))
def test_they_are_equal_indeed(name: str) -> None:
    """Else guidance talks users out of a comparison that could be made."""
    torch.manual_seed(0)
    head, features = build_head(name, 6, (1, 1), 2).eval(), torch.rand(5, 6, 1, 1) + 0.1
    bias = head(torch.zeros(1, 6, 1, 1))
    weights = head(torch.eye(6)[:, :, None, None]) - bias
    expected = features.flatten(1) @ weights + bias
    torch.testing.assert_close(head(features), expected, rtol=1e-4, atol=1e-5)


def test_no_other_head_is_said_to_be_equal_there() -> None:
    """Else a head with layers of its own is called a pool."""
    found = {
        name for name in HEADS if function_of(Asked(name), (1, 1), non_negative=True) == ONE_PLACE
    }
    assert found == POOLS | NON_NEGATIVE_POOLS


@pytest.mark.parametrize(
    ("one", "other", "size"),
    [
        (Asked("gap"), Asked("nin"), (3, 5)),
        (Asked("linear"), Asked("conv"), (3, 5)),
        (Asked("kmax", {"k": 1}), Asked("gmp"), (3, 5)),
        (Asked("kmax", {"k": 15}), Asked("gap"), (3, 5)),
        (Asked("kmax"), Asked("gap"), (2, 2)),
        (Asked("spp", {"levels": [1]}), Asked("gmp"), (3, 5)),
        (Asked("avgpool2x2"), Asked("gap"), (2, 2)),
        (Asked("avgpool2x2", {"window": 1}), Asked("linear"), (3, 5)),
    ],
    ids=str,
)
def test_same_functions_are_named_and_are_the_same(
    one: Asked, other: Asked, size: tuple[int, int]
) -> None:
    """Else two names for one function are compared, or two functions are called one."""
    (sentence,) = same_functions({"a": one, "b": other}, size)
    assert sentence.startswith("a and b")
    assert "same function" in sentence
    heads = [build_head(asked.head, 6, size, 2, **asked.options) for asked in (one, other)]
    last = [h.linear if hasattr(h, "linear") else h.convolution for h in heads]
    weight, bias = last[1].weight.detach(), torch.randn(2)
    if other.head == "conv":  # the flattened layer has channels last
        weight = weight.permute(0, 2, 3, 1)
    with torch.no_grad():
        last[0].weight.copy_(weight.reshape(last[0].weight.shape))
        for layer in last:
            layer.bias.copy_(bias)
    features = torch.randn(4, 6, *size)
    torch.testing.assert_close(heads[0](features), heads[1](features), rtol=1e-4, atol=1e-5)


def test_different_functions_are_not_called_the_same() -> None:
    """Else a real question is dropped."""
    asked = {name: Asked(name) for name in HEADS if name not in ("nin", "conv")}
    assert same_functions(asked, (7, 7), non_negative=True) == []


def test_a_head_too_large_is_told_with_its_number() -> None:
    """Else it fails hours later, out of memory."""
    assert training_bytes(1_000) == 16_000
    (sentence,) = too_large({"fc": 10**9, "gap": 65}, 8 * 10**9)
    assert stated(sentence, "fc", "gap", "GB")[:6] == [
        *("fc", "1,000,000,000", "16", "GB", "8", "GB"),
    ]
    assert too_large({"fc": 10**9}, 16 * 10**9) == []
    sgd: dict[str, OptimizerName] = {"fc": "sgd"}
    assert too_large({"fc": 10**9}, 12 * 10**9, sgd) == []
    (sentence,) = too_large({"fc": 10**9}, 11 * 10**9, sgd)
    assert stated(sentence, "GB")[1:3] == ["12", "GB"]


@pytest.mark.parametrize(
    "recipe",
    [
        RecipeSpec(),
        RecipeSpec(optimizer="adamw"),
        RecipeSpec(optimizer="sgd"),
        RecipeSpec(optimizer="sgd", momentum=0.0),
    ],
    ids=["adam", "adamw", "sgd", "sgd without momentum"],
)
def test_the_memory_of_a_parameter_is_what_training_keeps(recipe: RecipeSpec) -> None:
    """Else a head that fits with SGD is refused, or one that does not fit is let through."""
    model = build_classifier(BackboneSpec(), "gap", HeadSpec(), image_size=60, classes=2, seed=0)
    optimizer = optimizer_of(model, recipe)
    trained = [p for p in model.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.grad = torch.ones_like(parameter)
    held = [*trained, *(p.grad for p in trained if p.grad is not None)]
    optimizer.step()
    held += [value for name, value in optimizer.state().items() if not name.endswith(".step")]
    count = sum(p.numel() for p in trained)
    bytes_held = sum(value.numel() * value.element_size() for value in held)
    assert bytes_held == training_bytes(count, recipe.optimizer or "adam")


def test_negative_maps_are_told() -> None:
    """Else GeM throws away half of what a backbone says, in silence."""
    (sentence,) = negative_inputs(["gem", "stochastic"], -0.28)
    assert "-0.28" in sentence
    assert "gem and stochastic" in sentence
    assert negative_inputs(["gem"], 0.0) == []
    assert negative_inputs([], -1.0) == []
    assert {n for n, e in HEADS.items() if e.cls.needs_non_negative} == NON_NEGATIVE_POOLS


@pytest.mark.parametrize("comparisons", [1, 4, 29])
def test_too_few_seeds_are_told_with_what_is_enough(comparisons: int) -> None:
    """Else thirty heads train for a day and no verdict is possible."""
    needed = seeds_needed(comparisons, 0.05)
    assert too_few_seeds(needed, comparisons, 0.05) == []
    (sentence,) = too_few_seeds(needed - 1, comparisons, 0.05)
    assert f"--seeds {needed}" in sentence


def test_the_largest_family_for_the_seeds_is_named() -> None:
    (sentence,) = too_few_seeds(7, 29, 0.05)
    assert "at most 3 in verdict.pairs" in sentence  # 2/2^7 ≤ 0.05/3, not ≤ 0.05/4
    (sentence,) = too_few_seeds(2, 1, 0.05)
    assert "no family" in sentence


def test_guidance_needs_no_torch() -> None:
    """Else `plan` waits seconds for torch to say a sentence."""
    code = "import sys; import headtohead.heads.guidance; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
