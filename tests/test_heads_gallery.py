"""docs/heads.md is the table of heads, and its figures are there."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from headtohead.heads.table import HEADS

ROOT = Path(__file__).parent.parent
MOST = 150_000
"""Bytes of all figures."""


@pytest.fixture(scope="module")
def gallery() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "tools" / "heads_gallery.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_table_says(gallery: ModuleType) -> None:
    """Else the docs list heads that are gone. Draw it anew: python tools/heads_gallery.py."""
    assert (ROOT / "docs" / "heads.md").read_text(encoding="utf-8") == gallery.page()


def test_every_head_has_a_small_picture(gallery: ModuleType) -> None:
    """Else the page has a hole, or a clone grows by it."""
    folder = ROOT / "docs" / gallery.PICTURES
    assert {path.stem for path in folder.glob("*.png")} == {*HEADS, "input"}
    assert sum(path.stat().st_size for path in folder.iterdir()) < MOST
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            assert image.size == (70, 70)


def test_the_pictures_show_what_pools_look_at(gallery: ModuleType) -> None:
    """Else a reader takes the maximum for a mean."""
    assert gallery.weights_of("gap") == pytest.approx(np.ones((7, 7)))
    strongest = gallery.weights_of("gmp")
    assert np.unravel_index(strongest.argmax(), strongest.shape) == (2, 2)
    assert np.count_nonzero(strongest) < 20
