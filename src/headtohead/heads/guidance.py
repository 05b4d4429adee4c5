"""What can be said of heads before hours are spent: pure functions, numbers in, sentences out.

Imports no torch: the caller builds the heads, or reads their sizes, and asks.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from headtohead.config.recipe import OptimizerName
from headtohead.core.text import counted, names
from headtohead.stats.family import seeds_needed

Size = tuple[int, int]

BYTES_A_PARAMETER: Mapping[OptimizerName, int] = {"adam": 16, "adamw": 16, "sgd": 12}
"""In training, in float32: the weight, its gradient, and what the optimizer keeps of it.

Adam keeps two averages, SGD one, its velocity, with a momentum of 0 too.
"""

ONE_PLACE = "one linear layer on the only place"


@dataclass(frozen=True)
class Said:
    """What a candidate's head says of itself on its maps: see `headtohead.heads.base.Head`."""

    linear_at_one_place: bool
    needs_non_negative: bool
    linear_on: str | None


def function_of(said: Said, size: Size, *, non_negative: bool = False) -> str | None:
    """What a head computes on maps of `size`, in words that equal functions share.

    Equal up to the values of their weights: what one can learn the other can. None where nothing
    shorter is known than the head itself.
    """
    fits = non_negative or not said.needs_non_negative
    if size == (1, 1) and said.linear_at_one_place and fits:
        return ONE_PLACE
    return None if said.linear_on is None else f"one linear layer on {said.linear_on}"


def functions_of(
    candidates: Mapping[str, Said], size: Size, *, non_negative: bool = False
) -> dict[str, str]:
    """Candidate → what it computes on maps of `size`, where that is known: see `function_of`.

    `non_negative`: the backbone's maps have no negative values.
    """
    found = {
        name: function_of(said, size, non_negative=non_negative)
        for name, said in candidates.items()
    }
    return {name: function for name, function in found.items() if function is not None}


def same_functions(functions: Mapping[str, str]) -> list[str]:
    """A sentence for each group of candidates that are one function, of `functions_of`."""
    groups: dict[str, list[str]] = {}
    for name, function in functions.items():
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
    if not smallest < 0 or not heads:  # NaN is no negative value
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
    fewer = f", or declare at most {most} in verdict.pairs" if most else ""
    verb = "takes" if comparisons == 1 else "take"
    return [
        f"{counted(comparisons, 'comparison')} at level {level:g} {verb} at least {needed} seeds "
        f"for any verdict; the study has {seeds}. Use --seeds {needed}{fewer}."
    ]


def too_early_looks(looks: Sequence[int], able: Sequence[int], level: float) -> list[str]:
    """A sentence where none of the `looks` can decide: too few pairs at the last of them.

    `able` are those that can (`headtohead.stats.sequential.Design.able`); `level` is the study's.
    """
    if able:
        return []
    least = seeds_needed(1, level)
    return [
        f"No look can decide: {counted(looks[-1], 'pair')} at the last one, where level {level:g} "
        f"takes at least {least}. Let verdict.looks end with {least} or more."
    ]


def _gigabytes(count: int) -> str:
    gigabytes = count / 1e9
    return f"{gigabytes:,.0f} GB" if gigabytes >= 100 else f"{gigabytes:.3g} GB"
