"""The tutorial's network: images → feature maps of the size that heads are built for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headtohead.backbones.table import build_backbone
from headtohead.core.errors import UsageError


@given(
    widths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    image_size=st.integers(1, 70),
)
def test_maps_have_the_size_that_was_promised(widths: list[int], image_size: int) -> None:
    """Else heads are built for maps that never come, or small images end in a traceback."""
    backbone = build_backbone("tutorial_cnn", {"widths": widths})
    if image_size < backbone.smallest_image():
        with pytest.raises(UsageError, match=f"received {image_size}, needs at least"):
            backbone.map_size(image_size)
        return
    size = backbone.map_size(image_size)
    features = backbone(torch.rand(2, 3, image_size, image_size))
    assert features.shape == (2, backbone.channels, *size) == (2, widths[-1], *size)


def test_the_smallest_image_is_the_smallest() -> None:
    """Else the message sends a user to a size that fails too, or to a needlessly large one."""
    backbone = build_backbone("tutorial_cnn")
    smallest = backbone.smallest_image()
    assert backbone.map_size(smallest) == (1, 1)
    with pytest.raises(UsageError):
        backbone.map_size(smallest - 1)


def test_the_article_leaves_64_maps_of_10_by_10() -> None:
    """Else `fc` has another number of weights than the article's model."""
    backbone = build_backbone("tutorial_cnn")
    assert (backbone.channels, *backbone.map_size(100)) == (64, 10, 10)


def test_pictures_are_left_alone() -> None:
    """Else the in-place ReLU reaches back into the batch, and a second head sees other images."""
    pictures = torch.rand(2, 3, 30, 30) - 0.5
    before = pictures.clone()
    build_backbone("tutorial_cnn")(pictures)
    assert torch.equal(pictures, before)
