"""What can be said of heads before hours are spent: pure functions, numbers in, sentences out.

Imports no torch: the caller builds the heads, or reads their sizes, and asks.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from headtohead.config.recipe import OptimizerName
from headtohead.core.text import names
from headtohead.stats.family import seeds_needed

Size = tuple[int, int]

BYTES_A_PARAMETER: Mapping[OptimizerName, int] = {"adam": 16, "adamw": 16, "sgd": 12}
"""In training, in float32: the weight, its gradient, and what the optimizer keeps of it.

Adam keeps two averages, SGD one, its velocity, with a momentum of 0 too.
"""

ONE_PLACE = "one linear layer on the only place"

POOLS = {
    *("gap", "nin", "gmp", "avg_max", "concat_avg_max", "mixed", "gated", "kmax", "lse"),
    *("softpool", "spp", "linear", "conv", "wildcat", "abmil"),
}
"""Heads that are linear in a single place: all the same on 1 × 1 maps."""

NON_NEGATIVE_POOLS = {"gem", "stochastic"}
"""The same, on maps without negative values."""


@dataclass(frozen=True)
class Asked:
    """A candidate: its head's name and the options that it was given."""

    head: str
    options: Mapping[str, Any] = field(default_factory=dict)


def function_of(asked: Asked, size: Size, *, non_negative: bool = False) -> str | None:
    """What a head computes on maps of `size`, in words that equal functions share.

    Equal up to the values of their weights: what one can learn the other can. None where nothing
    shorter is known than the head itself.
    """
    places = size[0] * size[1]
    head, options = asked.head, asked.options
    if places == 1 and (head in POOLS or (non_negative and head in NON_NEGATIVE_POOLS)):
        return ONE_PLACE
    if head in ("linear", "conv"):
        return "one linear layer on all places"
    if head in ("gap", "nin") or (head == "kmax" and options.get("k", 4) >= places):
        return "one linear layer on the means"
    if (
        head == "gmp"
        or (head == "kmax" and options.get("k", 4) == 1)
        or (head == "spp" and list(options.get("levels", (1, 2, 4))) == [1])
    ):
        return "one linear layer on the maxima"
    if head == "avgpool2x2":
        window = options.get("window", 2)
        if window == 1:
            return "one linear layer on all places"
        if size == (window, window):
            return "one linear layer on the means"
    return None


def same_functions(
    candidates: Mapping[str, Asked], size: Size, *, non_negative: bool = False
) -> list[str]:
    """A sentence for each group of candidates that are one function on maps of `size`.

    `non_negative`: the backbone's maps have no negative values.
    """
    groups: dict[str, list[str]] = {}
    for name, asked in candidates.items():
        function = function_of(asked, size, non_negative=non_negative)
        if function is not None:
            groups.setdefault(function, []).append(name)
    found = []
    for function, alike in groups.items():
        if len(alike) < 2:
            continue
        if function == ONE_PLACE:
            found.append(
                f"The feature maps are 1 × 1: {names(alike)} are the same function there. Use "
                f"larger images, or one of these heads."
            )
        else:
            found.append(
                f"{names(alike)} are the same function, {function}: they differ in their "
                f"initial weights alone. One of them is enough."
            )
    return found


def training_bytes(parameters: int, optimizer: OptimizerName = "adam") -> int:
    """Memory that a head's parameters take in training, without activations."""
    return BYTES_A_PARAMETER[optimizer] * parameters


def too_large(
    parameters: Mapping[str, int],
    available: int,
    optimizers: Mapping[str, OptimizerName] = MappingProxyType({}),
) -> list[str]:
    """A sentence for each head whose parameters alone do not fit into `available` bytes.

    Heads that are not in `optimizers` are trained by Adam.
    """
    taken = {
        name: training_bytes(count, optimizers.get(name, "adam"))
        for name, count in parameters.items()
    }
    return [
        f"{name} has {count:,} parameters, which take {_gigabytes(taken[name])} in training; "
        f"{_gigabytes(available)} are available. Leave it out, use smaller feature maps or smaller "
        f"options."
        for name, count in parameters.items()
        if taken[name] > available
    ]


def negative_inputs(
    needs_non_negative: Collection[str], smallest: float, *, normed: bool = False
) -> list[str]:
    """A sentence where heads discard what is negative and their feature maps reach below zero.

    `needs_non_negative` are the candidates whose class says so; `smallest` is the least value of
    the feature maps on some images; `normed`: after a batch norm.
    """
    heads = list(needs_non_negative)
    if smallest >= 0 or not heads:
        return []
    verb = "discards" if len(heads) == 1 else "discard"
    where = ", normalised," if normed else ""
    other = "leave out the backbone's norm" if normed else "take a backbone that ends in ReLU"
    return [
        f"The backbone's feature maps{where} have negative values (down to {smallest:.3g}), which "
        f"{names(heads)} {verb}: use lse or softpool instead, or {other}."
    ]


def too_few_seeds(seeds: int, comparisons: int, level: float) -> list[str]:
    """A sentence where no verdict is possible: the family is too large for the seeds.

    `comparisons` is the number of tests in the family, `level` the study's (0.05).
    """
    needed = seeds_needed(comparisons, level)
    if seeds >= needed:
        return []
    most = 0
    while seeds_needed(most + 1, level) <= seeds:
        most += 1
    fewer = (
        f"declare at most {most} in verdict.pairs" if most else "no family is small enough for them"
    )
    return [
        f"{comparisons} comparisons at level {level:g} need at least {needed} seeds for any "
        f"verdict; the study has {seeds}. Use --seeds {needed}, or {fewer}."
    ]


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
