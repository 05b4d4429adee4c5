"""What `headtohead tune` searches, as data: a part of a study."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    RootModel,
    Tag,
    field_validator,
    model_validator,
)

from headtohead.config.recipe import Spec

OPTION = "option."
"""Begins the name of a setting that is an option of the head; others are parts of its recipe."""

EACH = 64
"""So many whole numbers of a range are each checked before a search; of more, the ends."""

Number = Annotated[int, Field(strict=True)] | float  # whole numbers stay whole


class Range(Spec):
    """Every number from `low` to `high`, or every whole one where both are whole.

    With `log` every factor is as likely as another: 0.001 to 0.01 as 0.01 to 0.1.
    """

    low: Number
    high: Number
    log: bool = False

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if self.low >= self.high:
            raise ValueError(
                f"a range goes from low up to high; received {self.low} to {self.high}"
            )
        if self.log and self.low <= 0:
            raise ValueError(f"low must be above 0 on a logarithmic scale; received {self.low}")
        return self

    def checked(self) -> tuple[int | float, ...]:
        """The values that are checked before a search: every whole one where they are few.

        Else both ends; of numbers that are not whole one between, too, for a setting that takes
        whole ones alone takes the ends.
        """
        low, high = self.low, self.high
        if not (isinstance(low, int) and isinstance(high, int)):
            return low, float(f"{low + (high - low) / math.pi:.6g}"), high
        return tuple(range(low, high + 1)) if high - low < EACH else (low, high)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


class Choices(RootModel[Annotated[tuple[JsonValue, ...], Field(min_length=1)]]):
    """One of some values, without an order."""

    model_config = ConfigDict(frozen=True)

    @field_validator("root")
    @classmethod
    def _distinct(cls, values: tuple[JsonValue, ...]) -> tuple[JsonValue, ...]:
        if any(value in values[:place] for place, value in enumerate(values)):
            raise ValueError(f"a value is there twice; received {list(values)!r}")
        return values

    def checked(self) -> tuple[JsonValue, ...]:
        """The values that are checked before a search: all."""
        return self.root

    def __contains__(self, value: object) -> bool:
        return value in self.root


def _kind(value: Any) -> str:
    return "range" if isinstance(value, dict | Range) else "choices"


Domain = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")], Discriminator(_kind)
]
"""The values that one setting may take: `{low: …, high: …}`, or a list."""


class AugmentSpace(Spec):
    """Settings of a recipe's `augment` that are searched; one that is None is not."""

    flip: Domain | None = None
    crop: Domain | None = None
    color: Domain | None = None


class RecipeSpace(Spec):
    """Settings of every head's recipe that are searched; one that is None is not."""

    learning_rate: Domain | None = None
    weight_decay: Domain | None = None
    batch_size: Domain | None = None
    augment: AugmentSpace = AugmentSpace()


class TuningSpec(Spec):
    """A search for each head's settings, the same number of trials for each.

    A trial trains the head with some settings for `epochs`, once for each of so many `seeds`, and
    scores its validation accuracy. `recipe` is searched for every head, `options` maps a head to
    what is searched among its own. A setting has Choices, a list of the values to try, or a Range.
    Trained weights are deleted unless `keep_weights`.
    """

    trials: Annotated[int, Field(ge=1, le=10_000)] = 12
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 5
    seeds: Annotated[int, Field(ge=1, le=100)] = 1
    recipe: RecipeSpace = RecipeSpace()
    options: dict[str, dict[str, Domain]] = Field(default_factory=dict)
    keep_weights: bool = False

    def space(self, head: str) -> dict[str, Range | Choices]:
        """What is searched for `head`: setting (`augment.flip`, `option.dropout`) → its values."""
        own = self.options.get(head, {})
        return {**_flat(self.recipe), **{OPTION + name: own[name] for name in own}}


def _flat(part: Spec, prefix: str = "") -> dict[str, Range | Choices]:
    found: dict[str, Range | Choices] = {}
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, AugmentSpace):
            found |= _flat(value, f"{name}.")
        elif value is not None:
            found[prefix + name] = value
    return found


def settings_of(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values by the names of `TuningSpec.space` → the head's options, and entries of its recipe."""
    options: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    for name, value in values.items():
        if name.startswith(OPTION):
            options[name.removeprefix(OPTION)] = value
        else:
            *parts, last = name.split(".")
            place = recipe
            for part in parts:
                place = place.setdefault(part, {})
            place[last] = value
    return options, recipe
