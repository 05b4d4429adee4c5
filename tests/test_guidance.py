"""What is said of heads before hours are spent: true, with its numbers, and no more."""

import math
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from headtohead.config.recipe import OptimizerName, RecipeSpec
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.core.errors import UsageError
from headtohead.heads.base import Head
from headtohead.heads.classifier import build_classifier
from headtohead.heads.guidance import (
    Said,
    functions_of,
    negative_inputs,
    same_functions,
    too_early_looks,
    too_few_seeds,
    too_large,
    training_bytes,
)
from headtohead.heads.table import HEADS, build_head
from headtohead.stats.family import seeds_needed
from headtohead.training.optimizer import optimizer_of
from stated import stated

Asked = tuple[str, dict[str, Any]]


LINEAR_OTHERWISE = {"fc_small", "efficient_probing", "gap_bn", "csra", "class_mean"}
"""Linear in one place, and more than one linear layer: two in a row (twice), a norm before it,
weights of length one, and none that is trained."""


def said_of(head: str, size: tuple[int, int] = (1, 1), **options: Any) -> Said:
    found = build_head(head, 6, size, 2, **options)
    return Said(found.linear_at_one_place, found.needs_non_negative, found.linear_on)


def said_alike(
    said: Mapping[str, Said], size: tuple[int, int], *, non_negative: bool = False
) -> list[str]:
    return same_functions(functions_of(said, size, non_negative=non_negative))


def in_one_place(name: str) -> Head | None:
    """The head on 1 × 1 maps, with options that it takes there; None where none are known."""
    torch.manual_seed(0)
    options = {"avgpool2x2": {"window": 1}, "simpool": {"gamma": 1}}.get(name, {})
    try:
        return build_head(name, 32, (1, 1), 2, **options).eval()
    except UsageError:
        return None


def is_linear(head: Head) -> bool:
    """On maps (N, 32, 1, 1), positive where the head needs that."""
    features = torch.randn(5, 32, 1, 1)
    if head.needs_non_negative:
        features = features.abs() + 0.1
    bias = head(torch.zeros(1, 32, 1, 1))
    weights = head(torch.eye(32)[:, :, None, None]) - bias
    expected = features.flatten(1) @ weights + bias
    return torch.allclose(head(features), expected, rtol=1e-4, atol=1e-5)


def test_one_place_makes_pools_equal() -> None:
    """Else hours go into heads that are one and the same, and ties are taken for findings."""
    said = {name: said_of(name) for name in ("gap", "gmp", "gem", "fc")}
    (sentence,) = said_alike(said, (1, 1), non_negative=True)
    assert "gap, gmp and gem" in sentence
    (sentence,) = said_alike(said, (1, 1))  # gem discards what is negative
    assert "gap and gmp are" in sentence
    larger = {name: said_of(name, (2, 2)) for name in said}
    assert said_alike(larger, (2, 2), non_negative=True) == []


@torch.no_grad()
def test_a_head_says_of_itself_whether_it_is_linear_in_one_place() -> None:
    """Else guidance talks users out of a comparison that could be made, or lets equals compete."""
    heads = {name: in_one_place(name) for name in HEADS}
    built = {name: head for name, head in heads.items() if head is not None}
    assert set(heads) - set(built) == {"isqrt_cov"}
    linear = {name for name, head in built.items() if is_linear(head)}
    told = {name for name, head in built.items() if head.linear_at_one_place}
    assert (told - linear, linear - told) == (set(), LINEAR_OTHERWISE)


@pytest.mark.parametrize(
    ("one", "other", "size"),
    [
        (("gap", {}), ("nin", {}), (3, 5)),
        (("linear", {}), ("conv", {}), (3, 5)),
        (("kmax", {"k": 1}), ("gmp", {}), (3, 5)),
        (("kmax", {"k": 15}), ("gap", {}), (3, 5)),
        (("kmax", {}), ("gap", {}), (2, 2)),
        (("spp", {"levels": [1]}), ("gmp", {}), (3, 5)),
        (("avgpool2x2", {}), ("gap", {}), (2, 2)),
        (("wildcat", {"share": 1, "maps": 1, "alpha": 1}), ("gap", {}), (3, 5)),
        (("avgpool2x2", {"window": 1}), ("linear", {}), (3, 5)),
    ],
    ids=str,
)
def test_same_functions_are_named_and_are_the_same(
    one: Asked, other: Asked, size: tuple[int, int]
) -> None:
    """Else two names for one function are compared, or two functions are called one."""
    said = {
        name: said_of(head, size, **options)
        for name, (head, options) in zip("ab", (one, other), strict=True)
    }
    (sentence,) = said_alike(said, size)
    assert sentence.startswith("a and b")
    assert "same function" in sentence
    heads = [build_head(head, 6, size, 2, **options) for head, options in (one, other)]
    last = [h.get_submodule("linear" if hasattr(h, "linear") else "convolution") for h in heads]
    weight, bias = last[1].get_parameter("weight").detach(), torch.randn(2)
    if other[0] == "conv":  # the flattened layer has channels last
        weight = weight.permute(0, 2, 3, 1)
    with torch.no_grad():
        first = last[0].get_parameter("weight")
        first.copy_(weight.reshape(first.shape))
        for layer in last:
            layer.get_parameter("bias").copy_(bias)
    features = torch.randn(4, 6, *size)
    torch.testing.assert_close(heads[0](features), heads[1](features), rtol=1e-4, atol=1e-5)


def test_different_functions_are_not_called_the_same() -> None:
    """Else a real question is dropped."""
    said = {}
    for name in set(HEADS) - {"nin", "conv"}:
        head = build_head(name, 32, (7, 7), 2)
        said[name] = Said(head.linear_at_one_place, head.needs_non_negative, head.linear_on)
    assert said_alike(said, (7, 7), non_negative=True) == []


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
    (sentence,) = too_large({"linear": 10**14}, 8 * 10**9)
    assert "take 1,600,000 GB" in sentence  # not 1.6e+06


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
    assert negative_inputs(["gem"], math.nan) == []  # maps that are broken are not negative


@pytest.mark.parametrize("comparisons", [1, 4, 29])
def test_too_few_seeds_are_told_with_what_is_enough(comparisons: int) -> None:
    """Else thirty heads train for a day and no verdict is possible."""
    needed = seeds_needed(comparisons, 0.05)
    assert too_few_seeds(needed, comparisons, 0.05) == []
    (sentence,) = too_few_seeds(needed - 1, comparisons, 0.05)
    assert f"--seeds {needed}" in sentence
    assert stated(sentence, "takes", "take")[2] == ("takes" if comparisons == 1 else "take")


def test_the_largest_family_for_the_seeds_is_named() -> None:
    (sentence,) = too_few_seeds(7, 29, 0.05)
    assert "at most 3 in verdict.pairs" in sentence  # 2/2^7 ≤ 0.05/3, not ≤ 0.05/4
    (sentence,) = too_few_seeds(2, 1, 0.05)
    assert "verdict.pairs" not in sentence  # not even one comparison can be decided


def test_looks_too_early_for_any_decision_are_told() -> None:
    """Else pairs are trained up to a last look that could never decide."""
    assert too_early_looks((3, 6), (6,), 0.05) == []
    (sentence,) = too_early_looks((3, 5), (), 0.05)
    assert stated(sentence) == ["5", "0.05", "6", "6"]


def test_guidance_needs_no_torch() -> None:
    """Else `plan` waits seconds for torch to say a sentence."""
    code = "import sys; import headtohead.heads.guidance; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
