"""What a study decides, and by which rule: named before it runs."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from headtohead.config.candidates import candidate_from
from headtohead.config.recipe import Spec
from headtohead.core.errors import brief

Metric: TypeAlias = Literal["test_accuracy", "balanced_accuracy", "macro_f1"]
"""What verdicts may be about, on the test split: `headtohead.stats.metrics` defines them."""


class VerdictSpec(Spec):
    """What is decided, named before the study runs.

    `metric` is the primary metric, on the test split; `margin` is by how much "at least as good"
    may be worse, as a share (0.01 is a point), and `level` the chance, at most, that any of the
    family's comparisons gets a verdict where there is no difference. The best epoch, the winner and
    the seed that ships are chosen by validation accuracy whatever the metric is. `reference` is the
    head that the others are compared with: by default `gap`, or else the first. `claims_against` is
    the head that the reference's claims are made against: by default `fc_dropout`, else `fc`, else
    the next one. `pairs` is the family of comparisons that get verdicts: a name stands for the
    reference against that head, a list of two for these; by default it is the reference against
    every other head. `target` is the validation accuracy that "trains faster" asks the time to; by
    default one is taken from the reference, for an estimate. `until_decided` names the one head
    that is compared with the reference sequentially: seeds are added up to each of the `looks`
    (pairs at each, ascending, the last the most) until one decides. `spending` says how the level
    is divided among them: `pocock` about evenly, `obrien-fleming` hardly any for the first ones.
    """

    metric: Metric = "test_accuracy"
    reference: str | None = None
    claims_against: str | None = None
    pairs: Annotated[tuple[str | tuple[str, str], ...], Field(min_length=1)] | None = None
    target: Annotated[float, Field(gt=0, lt=1)] | None = None
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.01
    level: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    until_decided: str | None = None
    looks: Annotated[tuple[Annotated[int, Field(ge=2, le=1000)], ...], Field(min_length=1)] = (
        *(7, 10, 14, 20),
    )
    spending: Literal["pocock", "obrien-fleming"] = "pocock"

    @field_validator("reference", "claims_against", "until_decided")
    @classmethod
    def _by_candidate(cls, head: str | None) -> str | None:
        return None if head is None else candidate_from(head)[0]

    @field_validator("pairs")
    @classmethod
    def _pairs_by_candidate(
        cls, pairs: tuple[str | tuple[str, str], ...] | None
    ) -> tuple[str | tuple[str, str], ...] | None:
        if pairs is None:
            return None
        return tuple(
            candidate_from(item)[0]
            if isinstance(item, str)
            else (candidate_from(item[0])[0], candidate_from(item[1])[0])
            for item in pairs
        )

    @model_validator(mode="after")
    def _one_design(self) -> Self:
        if self.pairs is not None and self.until_decided is not None:
            raise ValueError(
                f"until_decided {self.until_decided!r} is the only comparison of a sequential "
                f"study; received pairs, too. Leave one of them out"
            )
        return self

    @field_validator("looks")
    @classmethod
    def _ascending(cls, looks: tuple[int, ...]) -> tuple[int, ...]:
        if sorted(set(looks)) != list(looks):
            raise ValueError(f"looks must ascend; received {brief(', '.join(map(str, looks)))}")
        return looks
