"""`pictures.csv` tells a report which image is which row, without the prepared set."""

import lzma
from pathlib import Path

import numpy as np
import pytest

from headtohead.core.errors import UsageError
from headtohead.data.prepared import PreparedSet
from headtohead.data.split import Split
from headtohead.store.picture_table import (
    PACKED_FILE,
    PICTURES_FILE,
    VARIES,
    picture_table,
    read_pictures,
    refuse_another_split,
    write_pictures,
)

NAMES = ('cat/<script>,"x".jpg', "cat/a\nb.jpg", "dog/ä.jpg", "dog/\udce4.jpg")


def prepared(folder: Path) -> PreparedSet:
    return PreparedSet(
        folder=folder,
        digest="d" * 64,
        image_size=8,
        resize="antialias",
        classes=("cat", "dog"),
        names=NAMES,
        labels=np.array([0, 0, 1, 1]),
        groups=np.array([0, 1, 1, 3]),
        given=(None,) * 4,
        original_sizes=np.full((4, 2), 8),
        quarantined=(),
    )


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def test_every_picture_comes_back_with_its_group_and_split(tmp_path: Path) -> None:
    """Names with commas, quotes, line breaks or bytes that are no text must not shift columns."""
    table = picture_table(prepared(tmp_path), Split(rows(0, 1), rows(2), rows(3)))
    write_pictures(tmp_path, table)
    found = read_pictures(tmp_path)
    assert found is not None
    assert (found.names, found.labels, found.splits) == (table.names, table.labels, table.splits)
    assert found.splits == ("train", "train", "validation", "test")
    assert found.labels == ("cat", "cat", "dog", "dog")
    assert found.names[0] == NAMES[0]
    assert "\n" not in found.names[1]
    assert np.array_equal(found.groups, table.groups)


def test_a_study_is_not_resumed_with_other_splits(tmp_path: Path) -> None:
    """Else images that one run was tested on are what the next was trained on, in one table."""
    before = picture_table(prepared(tmp_path), Split(rows(0, 1), rows(2), rows(3)))
    refuse_another_split(tmp_path, before)
    write_pictures(tmp_path, before)
    refuse_another_split(tmp_path, before)
    other = picture_table(prepared(tmp_path), Split(rows(0, 1), rows(3), rows(2)))
    with pytest.raises(UsageError, match="other splits"):
        refuse_another_split(tmp_path, other)
    (tmp_path / PICTURES_FILE).write_text("damaged")
    refuse_another_split(tmp_path, other)


def test_a_table_that_was_packed_is_read(tmp_path: Path) -> None:
    """Else a ledger that is put by must keep megabytes of names, or loses its groups."""
    write_pictures(tmp_path, picture_table(prepared(tmp_path), None))
    plain = read_pictures(tmp_path)
    packed = lzma.compress((tmp_path / PICTURES_FILE).read_bytes())
    (tmp_path / PACKED_FILE).write_bytes(packed)
    (tmp_path / PICTURES_FILE).unlink()
    found = read_pictures(tmp_path)
    assert plain is not None
    assert found is not None
    assert (found.names, found.splits) == (plain.names, plain.splits)
    assert np.array_equal(found.groups, plain.groups)
    for damaged in (packed[:-9], packed[:30], b"row,name"):
        (tmp_path / PACKED_FILE).write_bytes(damaged)
        with pytest.raises(UsageError, match="Delete it"):
            read_pictures(tmp_path)


def test_only_duplicates_are_groups(tmp_path: Path) -> None:
    """25,000 images of their own need no entry; two that are alike need one each."""
    assert picture_table(prepared(tmp_path), None).shared_groups() == {1: 1, 2: 1}


def test_a_study_that_splits_per_seed_names_no_split(tmp_path: Path) -> None:
    """Seed 0's split beside an image would be wrong for every other seed."""
    assert set(picture_table(prepared(tmp_path), None).splits) == {VARIES}


def test_an_older_ledger_has_none_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    """A report on an older ledger must work; one on a damaged file must not guess groups."""
    assert read_pictures(tmp_path) is None
    for content in ("row,name\n0,a\n", "row,name,label,group,split\n1,a,cat,0,test\n"):
        (tmp_path / PICTURES_FILE).write_text(content)
        with pytest.raises(UsageError, match="Delete it"):
            read_pictures(tmp_path)


def test_groups_that_splits_divide_are_counted(tmp_path: Path) -> None:
    """Else a page says that no group is divided where the user's own folders divide one."""
    whole = picture_table(prepared(tmp_path), Split(rows(0), rows(1, 2), rows(3)))
    torn = picture_table(prepared(tmp_path), Split(rows(0, 1), rows(2), rows(3)))
    assert [whole.divided(), torn.divided()] == [0, 1]
    assert picture_table(prepared(tmp_path), None).divided() is None
