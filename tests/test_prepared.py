"""A prepared set on disk."""

import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtohead.core.errors import DataError
from headtohead.core.text import printable
from headtohead.data.prepared import (
    MANIFEST,
    PICTURES,
    PreparedSet,
    Quarantined,
    load_prepared,
    write_manifest,
)

PIXELS = np.arange(3 * 4 * 4 * 3, dtype=np.uint8).reshape(3, 4, 4, 3)


@pytest.fixture
def written(tmp_path: Path) -> PreparedSet:
    np.save(tmp_path / PICTURES, PIXELS)
    prepared = PreparedSet(
        folder=tmp_path,
        digest="ab" * 32,
        image_size=4,
        resize="bilinear",
        classes=("cat", "dög"),
        names=("cat/a\nb.jpg", "cat/é.jpg", "dög/1.jpg"),
        labels=np.array([0, 0, 1]),
        groups=np.array([0, 1, 0]),
        given=("train", None, "test"),
        original_sizes=np.array([[10, 20], [30, 40], [5, 6]]),
        quarantined=(Quarantined("dög/2.jpg", "dög", "truncated"),),
    )
    write_manifest(prepared, decoder="some decoder 1", sha256=["0", "1", "2"])
    return prepared


def test_what_is_written_is_read_again(written: PreparedSet) -> None:
    """Lost: labels, groups or names of a set that was prepared in another process."""
    read = load_prepared(written.folder)
    for field in ("digest", "image_size", "resize", "classes", "names", "given", "quarantined"):
        assert getattr(read, field) == getattr(written, field)
    for field in ("labels", "groups", "original_sizes"):
        np.testing.assert_array_equal(getattr(read, field), getattr(written, field))
        assert getattr(read, field).dtype == np.int64
    np.testing.assert_array_equal(read.images, PIXELS)


def test_writing_to_the_images_never_reaches_the_disk(written: PreparedSet) -> None:
    """Lost: the prepared images of every study, by one augmentation that works in place."""
    images = written.images
    with pytest.raises(ValueError, match="read-only"):
        images[:] = 7
    np.testing.assert_array_equal(load_prepared(written.folder).images, PIXELS)


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_images_larger_than_the_memory_are_opened(written: PreparedSet) -> None:
    """Lost: every set larger than the machine's memory, which Linux maps for reading alone."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    side = math.isqrt(memory // 6)  # three images of side * side * 3: 1.5 times the memory
    shape = (3, side, side, 3)
    with (written.folder / PICTURES).open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + math.prod(shape))  # a hole: it takes no space on the disk
        file.seek(-1, os.SEEK_END)
        file.write(b"\7")
    large = replace(written, image_size=side)
    assert large.images.shape == shape
    assert large.images[2, -1, -1].tolist() == [0, 0, 7]


def _change(**changes: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        content = json.loads((folder / MANIFEST).read_text())
        for name, value in changes.items():
            (content if name in content else content["pictures"])[name] = value
        (folder / MANIFEST).write_text(json.dumps(content))

    return apply


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / MANIFEST).unlink(),
        lambda folder: (folder / MANIFEST).write_text("{"),
        lambda folder: (folder / MANIFEST).write_text("[]"),
        lambda folder: (folder / MANIFEST).write_bytes(b"\xff\xfe"),
        lambda folder: (folder / PICTURES).unlink(),
        lambda folder: (folder / PICTURES).write_bytes(b""),
        lambda folder: (folder / PICTURES).write_bytes((folder / PICTURES).read_bytes()[:-9]),
        lambda folder: np.save(folder / PICTURES, PIXELS[:2]),
        lambda folder: np.save(folder / PICTURES, PIXELS.astype(np.float32)),
        _change(format=99),
        _change(labels=[0, 0, 2]),
        _change(labels=[0, 0]),
        _change(groups=[0, 1, None]),
        _change(given=["train", "holdout", None]),
        _change(original_sizes=[[1, 2], [3, 4]]),
        _change(quarantined=[["a", "b"]]),
        _change(image_size=5),
    ],
)
def test_a_damaged_set_is_refused_with_what_to_do(
    written: PreparedSet, damage: Callable[[Path], object]
) -> None:
    """Lost: hours of training on wrong labels, or a traceback that does not name the folder."""
    damage(written.folder)
    with pytest.raises(DataError, match="Delete this folder") as error:
        load_prepared(written.folder)
    assert str(written.folder) in str(error.value)


@given(st.text())
def test_printable_names_are_harmless_and_ordinary_ones_unchanged(name: str) -> None:
    """Lost: a terminal that obeys a file name."""
    assert printable(name).isprintable()
    if name.isprintable():
        assert printable(name) == name
