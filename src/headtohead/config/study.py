"""A study: a question as data. Frozen models; `headtohead.config.study_files` reads them."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from headtohead.config.backbone import BackboneSpec as BackboneSpec
from headtohead.config.backbone import Options
from headtohead.config.candidates import candidates_from
from headtohead.config.execution import ExecutionSpec
from headtohead.config.images import PicturesSpec, SplitSpec
from headtohead.config.recipe import RecipeSpec, Spec
from headtohead.config.search_space import TuningSpec, settings_of
from headtohead.config.verdict import VerdictSpec
from headtohead.core.errors import brief
from headtohead.core.files import NAME, digest_of, not_utf8

DIGEST_FORMAT = 1
DEFAULT_REFERENCE = "gap"
DEFAULT_RIVALS = ("fc_dropout", "fc")

PROBLEMS = 5
"""Mistakes that one message names; the others are counted."""

Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
"""What heads and studies may be called: names of files on every system."""

ModuleClass = Annotated[str, StringConstraints(pattern=r"^[^\W\d][\w.]*:[^\W\d]\w*$")]
"""`module:Class`: something of the user's own."""


class HeadSpec(Spec):
    """A head that is compared: by name or `module:Class`, its options, recipe entries of its own.

    Its key in `heads` is what the study calls it; `head` is the head's name where that differs.
    `after` names the one of the same seed whose backbone, as it stood after its last epoch, this
    one starts from: one backbone trained by several heads in turn.
    """

    head: str | None = None
    options: Options = {}
    recipe: dict[str, Any] = {}
    after: str | None = None

    def with_settings(self, values: Mapping[str, Any]) -> Self:
        """The head with some of `TuningSpec.space`'s settings given values."""
        options, recipe = settings_of(values)
        changed = {"options": {**self.options, **options}, "recipe": merge(self.recipe, recipe)}
        return self.model_copy(update=changed)


class StudySpec(Spec):
    """The whole question.

    `data` is what `--data` takes; `seeds` is their number: 0, 1, … `probes` and `claims` are the
    user's own, each `module:Class` (`headtohead.probes.base.Probe`,
    `headtohead.claims.base.Claim`); every study has the shipped ones. `masks` is the folder of the
    images' masks, which class maps are scored against. They change no run and are not part of the
    digest. Nor is `execution`, where the runs are trained: no ledger keeps it.
    """

    name: Name = "study"
    description: str = ""
    data: str = "synthetic"
    masks: Annotated[str, StringConstraints(min_length=1)] | None = None
    pictures: PicturesSpec = PicturesSpec()
    split: SplitSpec = SplitSpec()
    backbone: BackboneSpec = BackboneSpec()
    heads: Annotated[
        dict[Name, HeadSpec], BeforeValidator(candidates_from), Field(min_length=1)
    ] = {name: HeadSpec() for name in ("fc", "fc_dropout", "gap")}
    seeds: Annotated[int, Field(ge=1, le=10_000)] = 7
    recipe: RecipeSpec = RecipeSpec()
    verdict: VerdictSpec = VerdictSpec()
    tuning: TuningSpec | None = None
    probes: tuple[ModuleClass, ...] = ()
    claims: tuple[ModuleClass, ...] = ()
    execution: ExecutionSpec = ExecutionSpec()

    @model_serializer(mode="wrap")
    def _without_default_execution(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = dump(self)
        if self.execution == ExecutionSpec():
            content.pop("execution", None)
        return content

    @field_validator("data")
    @classmethod
    def _data_named(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is empty: name a folder, an archive, cats_vs_dogs or synthetic")
        if not_utf8(value):
            raise ValueError(
                "has a name that is not UTF-8: rename the folder or file, or link to it"
            )
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for role in ("reference", "claims_against", "until_decided"):
            head = getattr(self.verdict, role)
            if head is not None and head not in self.heads:
                raise ValueError(
                    f"verdict.{role} {head!r} is an unknown head; choose from "
                    f"{', '.join(self.heads)}"
                )
        against = self.verdict.claims_against
        if against is not None and against == self.reference:
            raise ValueError(
                f"verdict.claims_against is the reference itself; received {against!r} for both"
            )
        if self.verdict.until_decided == self.reference:
            raise ValueError(
                f"verdict.until_decided is the reference itself; received {self.reference!r}"
            )
        self._check_family()
        for name in self.heads:
            self._check_succession(name)
            try:
                recipe = self.recipe_for(name)
            except ValidationError as error:
                raise ValueError(f"heads.{name}.recipe: {problems(error)}") from error
            self._check_augmentation(recipe)
        if self.tuning is not None:
            self._check_tuning(self.tuning)
        return self

    def _check_family(self) -> None:
        known: set[frozenset[str]] = set()
        for pair in self.family if self.verdict.pairs is not None else ():
            if unknown := [head for head in pair if head not in self.heads]:
                raise ValueError(
                    f"verdict.pairs {unknown[0]!r} is an unknown head; choose from "
                    f"{', '.join(self.heads)}"
                )
            if pair[0] == pair[1]:
                raise ValueError(f"verdict.pairs compares {pair[0]!r} with itself")
            if frozenset(pair) in known:
                raise ValueError(f"verdict.pairs names {pair[0]} and {pair[1]} more than once")
            known.add(frozenset(pair))

    def _check_tuning(self, tuning: TuningSpec) -> None:
        if unknown := [name for name in tuning.options if name not in self.heads]:
            raise ValueError(
                f"tuning.options {unknown[0]!r} is an unknown head; choose from "
                f"{', '.join(self.heads)}"
            )
        if self.split.mode != "fixed":
            raise ValueError(
                f"tuning needs one test split that no trial sees: split.mode fixed; received "
                f"{self.split.mode}"
            )
        for name, head in self.heads.items():
            if head.after is not None:
                raise ValueError(f"heads.{name} starts after {head.after} and cannot be tuned")
            if not (space := tuning.space(name)):
                raise ValueError(f"tuning searches nothing for the head {name}")
            for setting, domain in space.items():
                for value in domain.checked():
                    own = head.with_settings({setting: value}).recipe
                    try:
                        recipe = RecipeSpec.model_validate(merge(self.recipe.model_dump(), own))
                    except ValidationError as error:
                        raise ValueError(f"tuning.recipe: {problems(error)}") from error
                    self._check_augmentation(recipe)

    def _check_augmentation(self, recipe: RecipeSpec) -> None:
        if self.backbone.frozen and (recipe.augment.crop or recipe.augment.color):
            raise ValueError(
                f"augment takes flip alone with a frozen backbone, whose features are computed "
                f"once; received crop={recipe.augment.crop:g}, color={recipe.augment.color:g}. "
                f"Train the backbone (backbone.train: all or last:N), or leave them out"
            )

    def _check_succession(self, name: str) -> None:
        line = [name]
        while (before := self.heads[line[-1]].after) is not None:
            if before not in self.heads:
                raise ValueError(
                    f"heads.{line[-1]}.after {before!r} is an unknown head; choose from "
                    f"{', '.join(self.heads)}"
                )
            if before in line:
                raise ValueError(f"heads that start after one another: {' after '.join(line)}")
            line.append(before)

    @property
    def reference(self) -> str:
        """The head that others are compared with: the study's, else `gap`, else the first.

        Never one chosen by results.
        """
        if self.verdict.reference is not None:
            return self.verdict.reference
        return DEFAULT_REFERENCE if DEFAULT_REFERENCE in self.heads else next(iter(self.heads))

    @property
    def claims_against(self) -> str | None:
        """The head that the claims are made against: the study's, else `fc_dropout`, `fc`, another.

        None where the reference is alone. Never one chosen by results.
        """
        if self.verdict.claims_against is not None:
            return self.verdict.claims_against
        others = [head for head in (*DEFAULT_RIVALS, *self.heads) if head in self.heads]
        return next((head for head in others if head != self.reference), None)

    @property
    def family(self) -> tuple[tuple[str, str], ...]:
        """The pairs of heads that get verdicts, as one family; the reference is first in its own.

        A sequential design (`until_decided`) decides one of them.
        """
        reference, declared = self.reference, self.verdict.pairs
        if declared is None:
            return tuple((reference, head) for head in self.heads if head != reference)
        pairs = [(reference, item) if isinstance(item, str) else item for item in declared]
        return tuple((b, a) if b == reference else (a, b) for a, b in pairs)

    @property
    def heads_without_verdict(self) -> list[str]:
        """Heads that are in no pair of the family, in the study's order."""
        judged = {head for pair in self.family for head in pair}
        declared = self.verdict.pairs is not None
        return [head for head in self.heads if declared and head not in judged]

    def recipe_for(self, head: str) -> RecipeSpec:
        """The study's recipe with the entries that `head` has of its own."""
        own = self.heads[head].recipe
        return RecipeSpec.model_validate(merge(self.recipe.model_dump(), own))

    def where_it_runs_aside(self) -> Self:
        """The study without what it says of its execution."""
        return self.model_copy(update={"execution": ExecutionSpec()})

    @property
    def views(self) -> int:
        """How often a frozen backbone sees each image: 2, mirrored too, where any head flips."""
        return 2 if any(self.recipe_for(head).augment.flip for head in self.heads) else 1

    def for_images(self, train: int) -> Self:
        """The study for `train` training images: its recipe's `min_steps` as epochs."""
        return self.model_copy(update={"recipe": self.recipe.for_images(train)})

    def digest(self, prepared_digest: str) -> str:
        """Identity of everything that changes a run, apart from its head and seed."""
        return digest_of(
            {
                "format": DIGEST_FORMAT,
                "prepared": prepared_digest,
                "split": self.split.identity(),
                "backbone": self.backbone.identity(),
                "recipe": self.recipe.identity(),
            }
        )

    def run_key(self, study_digest: str, head: str, seed: int) -> str:
        """Identity of one run: the study's digest, the head as it is trained, and the seed."""
        spec = self.heads[head]
        content = {
            "study": study_digest,
            "name": head,
            "head": spec.head or head,
            "options": spec.options,
            "recipe": self.recipe_for(head).identity(),
            "seed": seed,
        }
        if spec.after is not None:
            content["after"] = self.run_key(study_digest, spec.after, seed)
        return digest_of(content)[:32]


def prepared_text(study: StudySpec) -> str:
    """How a study prepares images, in words."""
    side = study.pictures.image_size
    return f"{side} × {side} pixels, {study.pictures.resize}, no crop, aspect not kept"


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with `over` on top, mapping by mapping."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        nested = isinstance(value, dict) and isinstance(below, dict)
        merged[key] = merge(below, value) if nested else value  # type: ignore[arg-type]
    return merged


def problems(error: ValidationError) -> str:
    """The first of a validation's complaints in one line, each with its field and what it got."""
    lines = []
    found = error.errors(include_url=False)
    for item in found[:PROBLEMS]:
        field = brief(".".join(map(str, item["loc"])))
        message = brief(item["msg"].removeprefix("Value error, "), 300)
        received = f"; received {brief(repr(item['input']))}"
        own = item["type"] == "value_error"  # says itself what it received
        lines.append(f"{field + ': ' if field else ''}{message}{'' if own else received}")
    if len(found) > PROBLEMS:
        lines.append(f"and {len(found) - PROBLEMS} more")
    return "; ".join(lines)
