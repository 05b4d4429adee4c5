"""Backbones by name: what a study can name, and what is said of a name it cannot."""

import pytest

from headtohead.backbones.catalog import ALIASES, BACKBONES, build_backbone
from headtohead.core.errors import UsageError


@pytest.mark.parametrize("name", [*BACKBONES, *ALIASES])
def test_every_backbone_builds_without_options(name: str) -> None:
    """Else a shipped name cannot be used as it is listed."""
    backbone = build_backbone(name)
    assert backbone.channels > 0
    assert backbone.identity


def test_an_old_name_is_the_same_backbone() -> None:
    """Else studies of version 0.1 train another network."""
    assert build_backbone("article").identity == build_backbone("tutorial_cnn").identity


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    """Else a slip in a study file ends in a traceback."""
    with pytest.raises(UsageError, match=r"'resnet'.*tutorial_cnn"):
        build_backbone("resnet")
