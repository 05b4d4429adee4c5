"""Splitting a prepared set."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headtohead.core.errors import DataError, UsageError
from headtohead.data.duplicates import regrouped
from headtohead.data.prepared import PreparedSet
from headtohead.data.split import Split, in_stored_order, leaks, mislabelled, split

FRACTIONS = (0.8, 0.1, 0.1)


def prepared(
    labels: list[int],
    groups: list[int] | None = None,
    splits: Sequence[str | None] | None = None,
    names: list[str] | None = None,
) -> PreparedSet:
    count = len(labels)
    return PreparedSet(
        folder=Path("unused"),
        digest="0" * 64,
        image_size=8,
        resize="antialias",
        classes=tuple(f"class-{number}" for number in range(max(labels) + 1)),
        names=tuple(names or (f"picture-{row:05}.jpg" for row in range(count))),
        labels=np.array(labels, np.int64),
        groups=np.array(range(count) if groups is None else groups, np.int64),
        given=tuple(splits or [None] * count),
        original_sizes=np.full((count, 2), 8, np.int64),
        quarantined=(),
    )


def test_identical_images_under_two_labels_are_found(tmp_path: Path) -> None:
    """A winner would be named on labels that contradict each other, whatever is grouped."""
    images = np.random.default_rng(0).integers(0, 255, (6, 8, 8, 3), dtype=np.uint8)
    images[5] = images[0]
    np.save(tmp_path / "pictures.npy", images)
    near = replace(prepared([0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 2, 0]), folder=tmp_path)
    assert mislabelled(near, "near") == [(0, 5), (1, 2, 3)]
    for kept, groups, found in (
        ("exact", [0, 1, 2, 3, 4, 0], [(0, 5)]),
        ("off", [0, 1, 2, 3, 4, 5], [(0, 5)]),
        ("near", near.groups.tolist(), [(0, 5), (1, 2, 3)]),
    ):
        loosened = replace(near, groups=regrouped(images, near.groups, kept))
        assert loosened.groups.tolist() == groups
        assert mislabelled(loosened, kept) == found


def test_a_fixed_camera_can_be_split_and_the_error_says_how() -> None:
    """A study of one part under one camera would be refused with no way out."""
    alike = prepared([0] * 10 + [1] * 10, [0] * 10 + [1] * 10)
    with pytest.raises(DataError, match=r"split: \{duplicates: exact\}.*off"):
        split(alike, fractions=(0.8, 0.1, 0.1), seed=0)
    apart = replace(alike, groups=np.arange(20))
    assert [len(part) for part in parts(split(apart, fractions=(0.8, 0.1, 0.1), seed=0))] == [
        *(16, 2, 2)
    ]
    with pytest.raises(DataError) as caught:
        split(prepared([0] * 10 + [1] * 2), fractions=(0.8, 0.1, 0.1), seed=0)
    assert "duplicates:" not in str(caught.value)


def parts(result: Split) -> list[list[int]]:
    return [part.tolist() for part in (result.train, result.validation, result.test)]


def names_of(pictures: PreparedSet, result: Split) -> list[set[str]]:
    return [{pictures.names[row] for row in part} for part in parts(result)]


@st.composite
def grouped(draw: st.DrawFn) -> PreparedSet:
    """Two to four classes with singles, groups up to ten and groups across classes."""
    classes = draw(st.integers(2, 4))
    labels: list[int] = []
    groups: list[int] = []
    for label in range(classes):
        singles = draw(st.integers(6, 60))
        sizes = draw(st.lists(st.integers(2, 10), max_size=4))
        for group, size in enumerate([1] * singles + sizes):
            labels += [label] * size
            groups += [1000 * label + group] * size
    for number in range(draw(st.integers(0, 3))):
        labels += [number % classes, (number + 1) % classes]
        groups += [100_000 + number] * 2
    return prepared(labels, groups)


@given(grouped(), st.integers(0, 2**31))
def test_every_picture_is_in_one_split_and_groups_stay_whole(
    pictures: PreparedSet, seed: int
) -> None:
    """Lost: test accuracy of images the network was trained on, or images never used."""
    result = split(pictures, fractions=FRACTIONS, seed=seed)
    assert sorted(row for part in parts(result) for row in part) == list(range(len(pictures.names)))
    for part in parts(result):
        assert part == sorted(part)
    assert leaks(pictures, result) == []


@given(grouped(), st.integers(0, 2**31))
def test_each_class_is_divided_by_the_fractions(pictures: PreparedSet, seed: int) -> None:
    """Lost: comparable accuracies; a split with another class balance measures something else."""
    result = split(pictures, fractions=FRACTIONS, seed=seed)
    for number in range(len(pictures.classes)):
        inside = pictures.groups[pictures.labels == number]
        total, (_, sizes) = len(inside), np.unique(inside, return_counts=True)
        # Few single images leave whole groups of up to ten to choose from.
        allowed = 2 if (sizes == 1).sum() >= 0.2 * total + 5 else 10
        for part, fraction in zip(parts(result), FRACTIONS, strict=True):
            count = int((pictures.labels[part] == number).sum())
            assert count >= 1
            assert abs(count - max(1, total * fraction)) <= allowed


@given(grouped(), st.integers(0, 2**31), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(
    pictures: PreparedSet, seed: int, random: Any
) -> None:
    """Lost: the same split for the same images on another file system."""
    order = list(range(len(pictures.names)))
    random.shuffle(order)
    relabelled = {group: -number for number, group in enumerate(set(pictures.groups.tolist()))}
    shuffled = prepared(
        pictures.labels[order].tolist(),
        [relabelled[group] for group in pictures.groups[order].tolist()],
        names=[pictures.names[row] for row in order],
    )
    one = names_of(pictures, split(pictures, fractions=FRACTIONS, seed=seed))
    assert one == names_of(shuffled, split(shuffled, fractions=FRACTIONS, seed=seed))


@given(st.integers(0, 2**31), st.integers(0, 399))
def test_removing_a_picture_moves_few_others(seed: int, removed: int) -> None:
    """Lost: comparability of a study after one broken image was deleted."""
    labels = [row % 2 for row in range(400)]
    names = [f"{row:03}" for row in range(400)]
    keep = [row for row in range(400) if row != removed]
    whole = prepared(labels, names=names)
    less = prepared([labels[row] for row in keep], names=[names[row] for row in keep])
    before = names_of(whole, split(whole, fractions=FRACTIONS, seed=seed))
    after = names_of(less, split(less, fractions=FRACTIONS, seed=seed))
    moved = sum(len(a - b - {names[removed]}) for a, b in zip(before, after, strict=True))
    assert moved <= 3


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=3, max_size=12),
    st.sampled_from([FRACTIONS, (0.34, 0.33, 0.33), (0.1, 0.45, 0.45)]),
)
def test_small_sets_are_split_wherever_three_groups_of_each_class_exist(
    units: list[list[int]], fractions: tuple[float, float, float]
) -> None:
    """Lost: a small data set that could be split is refused, or a split lacks a class."""
    labels = [label for unit in units for label in unit]
    assume(set(labels) == set(range(max(labels) + 1)))
    groups = [number for number, unit in enumerate(units) for _ in unit]
    pictures = prepared(labels, groups)
    pure = Counter(unit[0] for unit in units if len(set(unit)) == 1)
    mixed = any(len(set(unit)) > 1 for unit in units)
    try:
        result = split(pictures, fractions=fractions, seed=3)
    except DataError:
        assert mixed or min(pure[label] for label in set(labels)) < 3
    else:
        for part in parts(result):
            assert set(pictures.labels[part]) == set(labels)


def test_another_seed_gives_another_split_and_the_same_seed_the_same() -> None:
    """Lost: `split: per-seed` would replicate one split, a fixed one would not be fixed."""
    pictures = prepared([row % 2 for row in range(200)])
    one, same, other = (
        parts(split(pictures, fractions=FRACTIONS, seed=seed)) for seed in (5, 5, 6)
    )
    assert one == same
    assert len(set(one[2]) & set(other[2])) < 15


def test_splits_given_by_the_user_are_kept() -> None:
    """Lost: a published benchmark's test split."""
    pictures = prepared([0, 1] * 6, splits=["train"] * 4 + ["validation"] * 4 + ["test"] * 4)
    assert parts(split(pictures, fractions=FRACTIONS, seed=0)) == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
    ]


@pytest.mark.parametrize("missing", ["validation", "test"])
def test_a_split_that_was_not_given_is_carved_out_of_train(missing: str) -> None:
    """Lost: a data set with train and test alone, the most usual kind."""
    other = "test" if missing == "validation" else "validation"
    pictures = prepared([0, 1] * 60, splits=["train"] * 100 + [other] * 20)
    result = split(pictures, fractions=(0.7, 0.1, 0.2), seed=1)
    assert getattr(result, other).tolist() == list(range(100, 120))
    carved = getattr(result, missing)
    share = {"validation": 0.1, "test": 0.2}[missing]
    assert Counter(pictures.labels[carved].tolist()) == {0: 50 * share, 1: 50 * share}
    assert sorted([*result.train.tolist(), *carved.tolist()]) == list(range(100))


@pytest.mark.parametrize("seed", range(5))
def test_no_carved_test_image_looks_like_a_given_validation_image(seed: int) -> None:
    """Heads are chosen on validation: they would be judged on the images they were chosen by."""
    labels = [0, 1] * 40 + [0, 1] * 10
    groups = [*range(80), *range(20)]  # each validation image is a training image, too
    pictures = prepared(labels, groups, ["train"] * 80 + ["validation"] * 20)
    result = split(pictures, fractions=FRACTIONS, seed=seed)
    assert len(result.test) == 8
    assert min(result.test) >= 20
    assert {places for row in leaks(pictures, result) for places in row} == set(range(20)) | set(
        range(80, 100)
    )
    few = prepared([0, 1] * 4, [0, 1, 2, 3, 0, 1, 2, 3], ["train"] * 4 + ["validation"] * 4)
    assert len(split(few, fractions=FRACTIONS, seed=seed).test) == 2  # there are no others


def test_duplicates_across_given_splits_are_reported() -> None:
    """Lost: the warning that the user's own test split contains training images."""
    pictures = prepared(
        [0, 1] * 6,
        [0, 1, 2, 3, 0, 5, 6, 7, 2, 9, 9, 11],
        ["train"] * 4 + ["validation"] * 4 + ["test"] * 4,
    )
    result = split(pictures, fractions=FRACTIONS, seed=0)
    assert leaks(pictures, result) == [(0, 4), (2, 8)]


def test_a_class_too_small_is_named_with_its_count_and_the_minimum() -> None:
    """Lost: which class to add images to."""
    with pytest.raises(DataError, match=r"'class-1' .* 2 .* 3"):
        split(prepared([0] * 20 + [1] * 2), fractions=FRACTIONS, seed=0)
    with pytest.raises(DataError, match=r"4 images \(all near-duplicates"):
        split(prepared([0] * 20 + [1] * 4, [*range(20), *[99] * 4]), fractions=FRACTIONS, seed=0)
    with pytest.raises(DataError, match=r"4 images \(2 that are not near"):
        split(
            prepared([0] * 20 + [1] * 4, [*range(20), *[98, 98, 99, 99]]),
            fractions=FRACTIONS,
            seed=0,
        )


def test_a_class_that_a_given_split_lacks_is_told_as_that() -> None:
    """Lost: where images are missing; a class of a thousand images would be called too small."""
    labels, whole = [0] * 6 + [1] * 6, ["train"] * 4 + ["test"] * 2
    lacking = prepared(labels, splits=[*whole, *["train"] * 6])
    with pytest.raises(DataError, match=r"'class-1' has no usable image in the test split"):
        split(lacking, fractions=FRACTIONS, seed=0)
    uncarved = prepared(labels, splits=[*whole, "train", *["test"] * 5])
    with pytest.raises(DataError, match=r"1 image in the train .* validation\. .* 2 distinct"):
        split(uncarved, fractions=FRACTIONS, seed=0)


@pytest.mark.parametrize("fractions", [(0.8, 0.2, 0.0), (0.8, 0.1, 0.2), (1.2, -0.1, -0.1)])
def test_fractions_that_are_none_are_refused(fractions: tuple[float, float, float]) -> None:
    """Lost: a study on an empty test split."""
    with pytest.raises(UsageError, match="together 1"):
        split(prepared([0, 1] * 10), fractions=fractions, seed=0)


def test_the_stored_order_mixes_the_classes_whatever_order_files_are_listed_in() -> None:
    """Else a window of 1,000 shuffles cats among cats first, and dogs long after."""
    labels = [0] * 200 + [1] * 200
    names = [f"{'cat' if label == 0 else 'dog'}/{row}.jpg" for row, label in enumerate(labels)]
    listed = prepared(labels, names=names)
    stored = in_stored_order(split(listed, fractions=FRACTIONS, seed=0), listed)
    first = listed.labels[stored.train[:64]]
    assert 16 <= first.sum() <= 48
    backwards = prepared(labels[::-1], names=names[::-1])
    other = in_stored_order(split(backwards, fractions=FRACTIONS, seed=0), backwards)
    assert [listed.names[row] for row in stored.train] == [
        backwards.names[row] for row in other.train
    ]
