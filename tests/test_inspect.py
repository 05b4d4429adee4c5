"""Looking at the data: the check and the contact sheet."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headtohead.data.inspect import _heading, check, contact_sheet, render_check
from headtohead.data.prepared import PICTURES, PreparedSet, Quarantined
from headtohead.data.sources import PictureFile, Source
from stated import stated

SIDE = 30


@pytest.fixture
def source(tmp_path: Path) -> Source:
    names = [f"cat/{number}.jpg" for number in range(6)]
    names += ["dog/1.jpg", "dog/2\x1b[31m\n.jpg", "dog/bad.jpg"]
    files = [PictureFile(tmp_path / name, name, name.split("/")[0], None) for name in names]
    return Source(tmp_path, ("cat", "dog"), tuple(files))


@pytest.fixture
def prepared(source: Source, tmp_path: Path) -> PreparedSet:
    """Six cats and two dogs; cats 0 and 1 are one image, cat 2 and dog 1 another."""
    names = tuple(file.name for file in source.files[:-1])
    pixels = np.arange(8, dtype=np.uint8)[:, None, None, None] * 20
    np.save(tmp_path / PICTURES, np.broadcast_to(pixels, (8, SIDE, SIDE, 3)))
    return PreparedSet(
        folder=tmp_path,
        digest="cd" * 32,
        image_size=SIDE,
        resize="antialias",
        classes=("cat", "dog"),
        names=names,
        labels=np.array([0] * 6 + [1] * 2),
        groups=np.array([0, 0, 1, 2, 3, 4, 1, 5]),
        given=("train", "test", "train", "train", "train", "test", "train", "test"),
        original_sizes=np.array([[100 + 10 * row, 200 + row % 3] for row in range(8)]),
        quarantined=(Quarantined("dog/bad.jpg", "dog", "truncated"),),
    )


def test_the_check_counts_and_measures(source: Source, prepared: PreparedSet) -> None:
    """Lost: what a user must know before trusting an accuracy on these images."""
    found = check(source, prepared)
    counts = [(c.label, c.found, c.usable, c.quarantined, c.given) for c in found.classes]
    assert counts == [
        ("cat", 6, 6, 0, {"train": 4, "test": 2}),
        ("dog", 3, 2, 1, {"train": 1, "test": 1}),
    ]
    assert (found.heights.least, found.heights.median, found.heights.greatest) == (100, 135, 170)
    assert (found.widths.least, found.widths.greatest, found.distinct_sizes) == (200, 202, 8)
    assert (found.largest_share, found.imbalance) == (0.75, 3)
    assert [group.names for group in found.duplicates] == [
        ("cat/0.jpg", "cat/1.jpg"),
        ("cat/2.jpg", "dog/1.jpg"),
    ]
    assert [group.names for group in found.across_classes] == [("cat/2.jpg", "dog/1.jpg")]
    assert [group.names for group in found.leaks] == [("cat/0.jpg", "cat/1.jpg")]


def test_the_dictionary_is_json_with_everything(source: Source, prepared: PreparedSet) -> None:
    """Lost: `--json` for programs."""
    content = json.loads(json.dumps(check(source, prepared).to_dict()))
    assert content["quarantined"] == [
        {"name": "dog/bad.jpg", "label": "dog", "reason": "truncated"}
    ]
    assert content["leaks"][0]["names"] == ["cat/0.jpg", "cat/1.jpg"]
    assert content["widths"] == {"least": 200, "median": 201.0, "greatest": 202}


def test_the_text_says_all_of_it_and_no_file_name_reaches_the_terminal_raw(
    source: Source, prepared: PreparedSet
) -> None:
    """Lost: a finding; or a terminal that a file name can command."""
    groups = prepared.groups.copy()
    groups[7] = 0
    text = render_check(check(source, replace(prepared, groups=groups)))
    assert "\x1b" not in text
    for expected in (
        "8 usable images of 9 files",
        "200 to 202 pixels, median 201",
        "75.0% of the images are of the largest class, 3 times",
        r"cat/0.jpg = cat/1.jpg = dog/2\x1b[31m\n.jpg",
        "2 near-duplicate groups",
        "2 of them across classes",
        "1 of them across the splits you gave",
        "dog/bad.jpg: truncated",
    ):
        assert expected in text
    rows = [line.split() for line in text.splitlines()]
    assert ["cat", "6", "6", "0", "4", "2"] in rows
    assert ["dog", "3", "2", "1", "1", "1"] in rows


def test_one_of_a_thing_is_told_as_one(source: Source, prepared: PreparedSet) -> None:
    """Else the first command that a user types answers in broken English."""
    found = check(source, prepared)
    few = found.duplicates[:1]
    one = replace(found, usable=1, found=1, distinct_sizes=1, imbalance=1.0, duplicates=few)
    text = render_check(one)
    assert "1 usable image of 1 file" in text
    assert "1 usable images" not in text
    assert "1 different size\n" in text
    assert "as many as" in text
    assert "1 near-duplicate group (" in text
    assert "\n1 file quarantined" in text


def test_long_lists_are_cut_in_the_text(source: Source, prepared: PreparedSet) -> None:
    """Lost: the counts, scrolled away by a thousand bad files."""
    bad = tuple(Quarantined(f"dog/{number}.jpg", "dog", "empty file") for number in range(500))
    text = render_check(check(source, replace(prepared, quarantined=bad)))
    assert "500 files quarantined" in text
    assert "and 480 more" in text
    assert text.count("empty file") == 20


def test_the_sheet_shows_the_pictures_of_each_class(prepared: PreparedSet) -> None:
    """Lost: seeing what the network is given."""
    sheet = np.asarray(contact_sheet(prepared, columns=3, rows=1))
    greys, counts = np.unique(sheet.reshape(-1, 3), axis=0, return_counts=True)
    large = {
        tuple(grey.tolist()) for grey, count in zip(greys, counts, strict=True) if count > 7000
    }
    shown = {value for value, *_ in large} - {255}
    assert len(shown & {row * 20 for row in range(6)}) == 3  # of the six cats
    assert shown >= {120, 140}  # both dogs
    same = contact_sheet(prepared, columns=3, rows=1)
    np.testing.assert_array_equal(sheet, np.asarray(same))


def test_captions_stay_within_their_picture(prepared: PreparedSet) -> None:
    """Lost: legible captions, where file names are long."""
    narrow = contact_sheet(prepared, columns=4, rows=2)
    names = tuple(f"cat/{'long' * 30}{row}.jpg" for row in range(8))
    long = contact_sheet(replace(prepared, names=names), columns=4, rows=2)
    assert long.size == narrow.size
    gaps = np.asarray(long)[40:, 8 + 120 : 8 + 128]  # between the first and second column
    assert (gaps[: 120 + 2 * 16] == 255).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda prepared: replace(prepared, labels=np.zeros(8, np.int64)),  # a class of none
        lambda prepared: replace(
            prepared, classes=tuple(f"class {number}" for number in range(900))
        ),
    ],
)
def test_any_number_of_classes_makes_a_sheet(
    prepared: PreparedSet, change: Callable[[PreparedSet], PreparedSet]
) -> None:
    """Lost: a sheet that can be opened, for data sets of very many classes."""
    sheet = contact_sheet(change(prepared))
    assert sheet.height < 5000


def test_files_that_a_limit_leaves_out_are_counted(source: Source, prepared: PreparedSet) -> None:
    """Lost: where two of nine files are that are neither usable nor quarantined."""
    few = replace(prepared, quarantined=())
    assert check(source, few).left_out == 1
    assert "Limit:   1 file left out" in render_check(check(source, few))
    assert check(source, prepared).left_out == 0
    assert "Limit:" not in render_check(check(source, prepared))


def test_a_set_that_cannot_be_split_says_why(source: Source, prepared: PreparedSet) -> None:
    """Lost: that `compare` will refuse the images, which a user hears only after the check."""
    found = check(source, replace(prepared, given=(None,) * 8))
    assert (found.split, "'dog'" in found.no_split) == ({}, True)
    assert f"Split:   none for `compare`: {found.no_split}" in render_check(found)


def test_a_folder_without_classes_has_no_split_and_no_balance(
    source: Source, prepared: PreparedSet
) -> None:
    """Else the check promises a split in `compare`, which refuses such a folder."""
    files = tuple(replace(file, label="") for file in source.files)
    flat = replace(source, classes=("",), files=files)
    found = check(flat, replace(prepared, classes=("",), labels=np.zeros(8, int), quarantined=()))
    text = render_check(found)
    assert found.split == {}
    assert "no class folders" in found.no_split
    assert "Balance" not in text


@pytest.mark.parametrize(
    ("places", "dependent"),
    [
        (("train", "validation"), ["validation"]),
        (("train", "test"), ["test"]),
        (("validation", "test"), ["test"]),
        (("train", "validation", "test"), ["validation", "test"]),
    ],
)
def test_the_split_that_a_duplicate_spoils_is_named(
    source: Source, prepared: PreparedSet, places: tuple[str, ...], dependent: list[str]
) -> None:
    """Else a test split is called dependent that is not, or one that is stays unnamed."""
    given = (*places, *["train", "validation", "test", "train", "test"])[:8]
    given = (*given, *["validation"] * (8 - len(given)))
    groups = np.array([0] * len(places) + list(range(1, 9 - len(places))))
    text = render_check(check(source, replace(prepared, given=given, groups=groups)))
    kept, told = [line for line in text.splitlines() if "across" in line]
    assert "one split" in kept
    assert stated(told, "train", "validation", "test") == ["1", *dependent]


def test_a_sheet_without_classes_has_no_empty_name(prepared: PreparedSet) -> None:
    """Else the first thing on it is a colon."""
    flat = replace(prepared, classes=("",), labels=np.zeros(8, np.int64))
    assert _heading(flat, 0).startswith("8 images, from ")
    assert _heading(prepared, 1).startswith("dog: 2 images, from ")


def test_a_sheet_of_large_images_can_be_opened(prepared: PreparedSet) -> None:
    """Else 40 classes at 1,024 pixels are a picture of 3 GB, which no JPEG can hold."""
    large = np.zeros((8, 300, 300, 3), np.uint8)
    np.save(prepared.folder / PICTURES, large)
    sheet = contact_sheet(replace(prepared, image_size=300), columns=2, rows=1)
    assert sheet.width == 2 * (256 + 8) + 8
    assert sheet.height < 2 * 350
