"""The backbone of a study as data: which, with which weights, and how much of it is trained."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    JsonValue,
    SerializerFunctionWrapHandler,
    StringConstraints,
    field_validator,
    model_serializer,
    model_validator,
)

from headtohead.config.recipe import Spec


def _tuples_as_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples_as_lists(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tuples_as_lists(item) for item in value]
    return value


# What YAML and JSON can hold alike: options are written to both, and are part of digests.
Options = Annotated[dict[str, JsonValue], BeforeValidator(_tuples_as_lists)]

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

ALIASES = {"article": "tutorial_cnn"}
"""Names of version 0.1 and the present ones: digests keep the old, and study files may name it."""

_OLD_NAMES = {present: old for old, present in ALIASES.items()}

LIBRARIES = ("timm", "transformers")
"""Families of backbones, `FAMILY:NAME`; any other `module:callable` is code of the user's own."""


class BackboneSpec(Spec):
    """The backbone by name, its options, its first weights and how much of it is trained.

    `weights` is a file, `pretrained` (the library's own) or `random`; a file's tensors are matched
    with the backbone's by their `name` or their `order` (`weights_match`). `train` is `all`, `none`
    or `last:N` (stages); where it is not named, `none` with weights and `all` with random ones
    (`training`). `features` is the type that a frozen backbone's features are kept in. `norm` puts
    a batch norm without weights of its own between the feature maps and every head. `class_token`
    joins a transformer's class token to the features of each cell: maps of twice as many channels.
    The two SHA-256 are not for you to give: `headtohead.backbones.table.resolve` fills them in
    before a digest is taken, of the weights, and of an architecture that is a file, or a source of
    the user's own.
    """

    name: str = "tutorial_cnn"
    options: Options = {}
    weights: str | None = None
    weights_match: Literal["name", "order"] = "name"
    train: Annotated[str, StringConstraints(pattern=r"^(all|none|last:[1-9][0-9]*)$")] | None = None
    features: Literal["float16", "float32"] = "float16"
    norm: bool = False
    class_token: bool = False
    weights_sha256: Sha256 | None = None
    architecture_sha256: Sha256 | None = None

    @field_validator("name")
    @classmethod
    def _by_its_present_name(cls, name: str) -> str:
        return ALIASES.get(name, name)

    @field_validator("weights")
    @classmethod
    def _random_is_the_default(cls, weights: str | None) -> str | None:
        return None if weights == "random" else weights

    @model_serializer(mode="wrap")
    def _without_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Studies that say nothing of weights are written as version 0.1 wrote them."""
        content: dict[str, Any] = dump(self)
        kept = {"name", "options"}
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        return {k: v for k, v in content.items() if k in kept or v != defaults[k]}

    @model_validator(mode="after")
    def _features_are_kept(self) -> Self:
        if self.features != "float16" and not self.frozen:
            raise ValueError(
                f"features {self.features} are those of a frozen backbone (train: none); this one "
                f"is trained: {self.training}"
            )
        return self

    @property
    def frozen(self) -> bool:
        """Whether nothing of it is trained, so that its features are computed once."""
        return self.training == "none"

    @property
    def training(self) -> str:
        """How much of it is trained: `all`, `none` or `last:N`."""
        return self.train or ("all" if self.weights is None else "none")

    @property
    def stages(self) -> int | None:
        """How many of the last stages are trained; None for all of them, 0 for none."""
        if self.training == "all":
            return None
        return 0 if self.training == "none" else int(self.training.partition(":")[2])

    def unresolved(self) -> Self:
        """As a study file says it, without what was filled in."""
        return self.model_copy(update={"weights_sha256": None, "architecture_sha256": None})

    def identity(self) -> dict[str, Any]:
        """What of the backbone changes a run: part of digests. A file's path is none of it.

        Raises ValueError where weights or an architecture were not resolved.
        """
        content = self.trunk()
        if self.training != "all":
            content["train"] = self.training
        if self.features != "float16":
            content["features"] = self.features
        if self.norm:
            content["norm"] = True
        return content

    def trunk(self) -> dict[str, Any]:
        """What decides its feature maps before any training. Raises as `identity` does."""
        if self.weights is not None and self.weights_sha256 is None:
            raise ValueError(f"backbone.weights {self.weights!r} were not read: no digest of them")
        name = _OLD_NAMES.get(self.name, self.name)
        if self.architecture_sha256 is not None:  # a name says nothing of what is in a file
            name = f"{name.partition(':')[0]}:{self.architecture_sha256}"
        content: dict[str, Any] = {"name": name, "options": self.options}
        if self.weights is not None:
            content["weights"] = self.weights_sha256
            if self.weights_match != "name":
                content["weights_match"] = self.weights_match
        if self.class_token:
            content["class_token"] = True
        return content
