"""Which images a study has, how they are prepared and how they are split."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from headtohead.config.recipe import Spec

Fraction = Annotated[float, Field(ge=0, le=1)]

LARGEST = 1024
"""Side in pixels of prepared images at most."""


class PicturesSpec(Spec):
    """How images become the prepared set: squares of `image_size` pixels a side.

    `resize` is `antialias`, or `bilinear` without antialias as in the tutorial. At most `limit`
    images are used, of each class in proportion. `max_unreadable` is the share of all files that
    may be unreadable; of one class's a quarter may be, or that share where it is larger.
    """

    image_size: Annotated[int, Field(ge=8, le=LARGEST)] = 100
    resize: Literal["antialias", "bilinear"] = "antialias"
    limit: Annotated[int, Field(ge=1)] | None = None
    max_unreadable: Fraction = 0.05


class SplitSpec(Spec):
    """Shares of the three splits.

    `mode` is `fixed`, one split for all seeds, or `per-seed`, another one for each; `seed` decides
    by chance which image is in which split. Splits that a folder gives are kept.
    `duplicates` says which images stay in one split: `near` those that look nearly the same,
    `exact` those of the same pixels, `off` none (for scenes that one fixed camera took).
    """

    train: Annotated[float, Field(gt=0, lt=1)] = 0.8
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    test: Annotated[float, Field(gt=0, lt=1)] = 0.1
    mode: Literal["fixed", "per-seed"] = "fixed"
    seed: int = 0
    duplicates: Literal["near", "exact", "off"] = "near"

    @field_validator("duplicates", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: Any) -> Any:
        return "off" if value is False else value  # YAML reads a bare `off` as false

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        total = sum(self.shares)
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, validation and test must add up to 1; they give {total:g}")
        return self

    @property
    def shares(self) -> tuple[float, float, float]:
        """Of train, validation and test."""
        return self.train, self.validation, self.test

    def identity(self) -> dict[str, Any]:
        """What of it is part of a study's digest: a later field only where it is not default."""
        content = self.model_dump()
        if self.duplicates == "near":
            del content["duplicates"]
        return content

    def seed_for(self, seed: int) -> int:
        """The seed of the split that replicate `seed` is trained on."""
        return self.seed if self.mode == "fixed" else self.seed + seed
