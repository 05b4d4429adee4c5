"""The backbones that a study can name, and how each is built."""

from collections.abc import Callable, Mapping
from typing import Any

from headtohead.backbones.base import Backbone
from headtohead.backbones.tutorial_cnn import TutorialCNN
from headtohead.backbones.weights import (
    load_weights,
    refuse_not_finite,
    state_sha256,
    with_weights,
)
from headtohead.config.backbone import ALIASES, LIBRARIES, BackboneSpec
from headtohead.core.errors import UsageError, likeliest
from headtohead.core.files import digest_of, expanded
from headtohead.core.source_code import loaded_digest

BACKBONES: dict[str, Callable[..., Backbone]] = {
    "tutorial_cnn": TutorialCNN,
}
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
        if colon and family in FAMILIES:
            return FAMILIES[family](rest, **settings)
        if colon:
            return _own(known, **settings)
        if known not in BACKBONES:
            raise UsageError(
                f"no backbone {name!r}; there are {', '.join(BACKBONES)}, timm:NAME, "
                f"transformers:NAME and module:callable.{likeliest(name, BACKBONES)}"
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

    The SHA-256 of a user's own backbone is that of its name and source, as this process has
    loaded it. Raises UsageError for names, options and weights that cannot be used, and for weights
    or an architecture that are not those whose SHA-256 `spec` has already.
    """
    source = loaded_digest(spec.name) if _is_own(spec.name) else None  # before it is imported
    backbone = build_backbone(spec.name, spec.options)
    if source is not None:
        backbone.architecture_sha256 = digest_of([spec.name, source, backbone.architecture_sha256])
    _check_architecture(spec, backbone)
    _check_normalization(spec, backbone)
    if spec.class_token:
        backbone.join_class_token()
    notes: list[str] = []
    sha256 = None
    if spec.weights == "pretrained":
        notes = backbone.load_pretrained() or []  # a user's own may return nothing
        refuse_not_finite(backbone.state_dict(), f"of {spec.name}", backbone)
        sha256 = state_sha256(backbone)
        backbone.identity = with_weights(backbone.identity, sha256)
    elif spec.weights is not None:
        loaded = load_weights(backbone, expanded(spec.weights), spec.weights_match)
        sha256, notes = loaded.sha256, loaded.notes()
    if spec.weights_sha256 not in (None, sha256):
        raise UsageError(
            f"weights {spec.weights!r} have changed: this study was begun with the SHA-256 "
            f"{spec.weights_sha256[:12]}…; received {(sha256 or 'none')[:12]}…. Restore the file, "
            f"or choose another --out."
        )
    found = {"weights_sha256": sha256, "architecture_sha256": backbone.architecture_sha256}
    return spec.model_copy(update=found), backbone, notes


def _is_own(name: str) -> bool:
    family, colon, _ = name.partition(":")
    return bool(colon) and family not in FAMILIES


def _check_architecture(spec: BackboneSpec, backbone: Backbone) -> None:
    """Raises UsageError where it is not the one that `spec` was begun with."""
    begun, found = spec.architecture_sha256, backbone.architecture_sha256
    if begun is None or begun == found:
        return
    what = "source" if _is_own(spec.name) else "configuration or preprocessing"
    raise UsageError(
        f"the {what} of backbone {spec.name} changed: this study was begun with the SHA-256 "
        f"{begun[:12]}…; received {(found or 'none')[:12]}…. Restore it, or choose another --out."
    )


def _check_normalization(spec: BackboneSpec, backbone: Backbone) -> None:
    """Refuse weights whose images nobody knows how to make, in a study that is not begun yet."""
    unknown = backbone.normalization_unknown
    if spec.weights is not None and spec.weights_sha256 is None and unknown:
        raise UsageError(
            f"backbone {spec.name} has weights, and nothing says how their images are normalised: "
            f"{unknown}."
        )
