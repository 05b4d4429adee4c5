"""The backbones that a study can name, and how each is built."""

from collections.abc import Callable, Mapping
from typing import Any

from headtohead.backbones.base import Backbone
from headtohead.backbones.tutorial_cnn import TutorialCNN
from headtohead.core.errors import UsageError

BACKBONES: dict[str, Callable[..., Backbone]] = {"tutorial_cnn": TutorialCNN}

ALIASES = {"article": "tutorial_cnn"}
"""Names of earlier versions."""


def build_backbone(name: str, options: Mapping[str, Any] | None = None) -> Backbone:
    """A backbone by name. Raises UsageError for an unknown name or option."""
    known = ALIASES.get(name, name)
    if known not in BACKBONES:
        raise UsageError(f"no backbone {name!r}; there are {', '.join(BACKBONES)}.")
    try:
        return BACKBONES[known](**(options or {}))
    except TypeError as error:
        raise UsageError(f"backbone {name} cannot take {dict(options or {})!r}: {error}.") from None
