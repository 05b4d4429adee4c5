"""The backbones that a study can name, and how each is built."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from headtohead.backbones.base import Backbone
from headtohead.backbones.tutorial_cnn import TutorialCNN
from headtohead.backbones.weights import load_weights, state_sha256, with_weights
from headtohead.config.backbone import ALIASES, LIBRARIES, BackboneSpec
from headtohead.core.errors import UsageError

BACKBONES: dict[str, Callable[..., Backbone]] = {"tutorial_cnn": TutorialCNN}
"""By name alone."""


def _timm(name: str, **options: Any) -> Backbone:
    from headtohead.backbones.timm import TimmBackbone  # timm is an extra, and slow to import

    return TimmBackbone(name, **options)


def _transformers(name: str, **options: Any) -> Backbone:
    from headtohead.backbones.transformers import TransformersBackbone  # as above

    return TransformersBackbone(name, **options)


def _own(name: str, **options: Any) -> Backbone:
    from headtohead.backbones.own import own_backbone

    return own_backbone(name, **options)


FAMILIES: dict[str, Callable[..., Backbone]] = dict(
    zip(LIBRARIES, (_timm, _transformers), strict=True)
)
"""By a name of the family's."""


def build_backbone(name: str, options: Mapping[str, Any] | None = None) -> Backbone:
    """A backbone by name, with random weights of PyTorch's current random state.

    `name` is one of BACKBONES, `timm:NAME`, `transformers:NAME` or `module:callable`. Raises
    UsageError for an unknown name or option, and for a package that is not installed.
    """
    known, settings = ALIASES.get(name, name), dict(options or {})
    family, colon, rest = known.partition(":")
    try:
        if colon:
            return (
                FAMILIES[family](rest, **settings)
                if family in FAMILIES
                else _own(known, **settings)
            )
        if known not in BACKBONES:
            raise UsageError(
                f"no backbone {name!r}; there are {', '.join(BACKBONES)}, timm:NAME, "
                f"transformers:NAME and module:callable."
            )
        return BACKBONES[known](**settings)
    except TypeError as error:
        raise UsageError(f"backbone {name} cannot take {settings!r}: {error}.") from None


def backbone_of(spec: BackboneSpec) -> Backbone:
    """The backbone with the weights that `spec` names; `resolve` says more of them.

    Raises UsageError, also where the weights are not those whose SHA-256 `spec` has.
    """
    return resolve(spec)[1]


def resolve(spec: BackboneSpec) -> tuple[BackboneSpec, Backbone, list[str]]:
    """`spec` with the SHA-256 of its weights, its backbone with them, and what to tell a user.

    Raises UsageError for names, options and weights that cannot be used, and for weights that are
    not those whose SHA-256 `spec` has already.
    """
    backbone = build_backbone(spec.name, spec.options)
    notes: list[str] = []
    sha256 = None
    if spec.weights == "pretrained":
        backbone.load_pretrained()
        sha256 = state_sha256(backbone)
        backbone.identity = with_weights(backbone.identity, sha256)
    elif spec.weights is not None:
        loaded = load_weights(backbone, Path(spec.weights).expanduser(), spec.weights_match)
        sha256, notes = loaded.sha256, loaded.notes()
    if spec.weights_sha256 not in (None, sha256):
        raise UsageError(
            f"weights {spec.weights!r} have changed: this study was begun with the SHA-256 "
            f"{spec.weights_sha256[:12]}…; received {(sha256 or 'none')[:12]}…. Restore the file, "
            f"or choose another --out."
        )
    found = {"weights_sha256": sha256, "architecture_sha256": backbone.architecture_sha256}
    return spec.model_copy(update=found), backbone, notes
