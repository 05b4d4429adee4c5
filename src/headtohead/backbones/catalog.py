"""The backbones that a study can name, and how each is built."""

from collections.abc import Callable, Mapping
from typing import Any

from headtohead.backbones.base import Backbone
from headtohead.backbones.tutorial_cnn import TutorialCNN
from headtohead.core.errors import UsageError

BACKBONES: dict[str, Callable[..., Backbone]] = {"tutorial_cnn": TutorialCNN}
"""By name alone."""

ALIASES = {"article": "tutorial_cnn"}
"""Names of earlier versions."""


def _timm(name: str, **options: Any) -> Backbone:
    from headtohead.backbones.timm import TimmBackbone  # timm is an extra, and slow to import

    return TimmBackbone(name, **options)


def _transformers(name: str, **options: Any) -> Backbone:
    from headtohead.backbones.transformers import TransformersBackbone  # as above

    return TransformersBackbone(name, **options)


def _own(name: str, **options: Any) -> Backbone:
    from headtohead.backbones.own import own_backbone

    return own_backbone(name, **options)


FAMILIES: dict[str, Callable[..., Backbone]] = {"timm": _timm, "transformers": _transformers}
"""By a name of the family's, `FAMILY:NAME`; any other `module:callable` is the user's own."""


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
