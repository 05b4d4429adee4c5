"""Which folders are splits, which are classes, and what is refused because it cannot be told."""

import unicodedata
from pathlib import Path

import pytest

from headtohead.core.errors import DataError
from headtohead.data.hubs import _folder_names
from headtohead.data.layout import split_of
from headtohead.data.sources import Source, open_source


def opened(root: Path, *names: str) -> Source:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"picture")
    return open_source(root, cache=root / "cache", progress=lambda *_: None)


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", "train Training training_set trainset TRAIN-SET trainval train2017 images_train"),
        ("validation", "val valid validation dev eval val_images Val2017 dev_set evaluation"),
        ("test", "test testing test_set testset test1 Test.Data test_images_512"),
        (None, "cat invalid trains trainer attest contest devil values 1 set split1 images"),
    ],
)
def test_usual_names_of_splits_are_known(split: str | None, names: str) -> None:
    """A test split would become a class; or a class a split."""
    assert {name: split_of(name) for name in names.split()} == dict.fromkeys(names.split(), split)


@pytest.mark.parametrize(
    ("one", "other", "split"),
    [
        ("training_set", "test_set", "test"),
        ("train", "dev", "validation"),
        ("trainval", "test1", "test"),
    ],
)
def test_splits_under_usual_names_are_taken_as_given(
    tmp_path: Path, one: str, other: str, split: str
) -> None:
    """The splits would be trained on as two classes."""
    source = opened(tmp_path, *(f"{s}/{c}/1.jpg" for s in (one, other) for c in ("cat", "dog")))
    assert source.classes == ("cat", "dog")
    assert source.split_folders == {"train": one, split: other}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train/cat/1", "train/dog/1", "test1/1.jpg"), "A test split without classes"),
        (("train/cat/1", "train/dog/1", "holdout/cat/1", "holdout/dog/1"), "named like a split"),
        (("train/1.jpg", "unlabelled/1.jpg"), "named like a split"),
        (("train/a/1", "train/b/1", "x/1", "y/1"), "named like a split"),
        (("fold0/cat/1", "fold0/dog/1", "fold1/cat/1", "fold1/dog/1"), "all hold the same folders"),
        (("images/a/1", "images/b/1", "masks/a/1", "masks/b/1"), "all hold the same folders"),
        (("images/a/1", "images/b/1", "masks/1.png"), "look like images and what belongs to them"),
        (("JPEGImages/1.jpg", "Annotations/1.xml"), "look like images and what belongs to them"),
        (("fold_1/1.jpg", "fold_2/1.jpg"), "look like parts of one set"),
        (("cat/train/1", "cat/test/1", "dog/train/1", "dog/test/1"), "splits within classes"),
    ],
)
def test_what_cannot_be_told_is_refused(
    tmp_path: Path, names: tuple[str, ...], expected: str
) -> None:
    """Folds, masks or splits would be trained on as classes, without a word."""
    with pytest.raises(DataError, match=expected) as caught:
        opened(tmp_path, *names)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "names",
    [
        ("bus/1.jpg", "car/1.jpg", "train/1.jpg"),
        ("valid/1.jpg", "invalid/1.jpg"),
        ("cat/images/1.jpg", "dog/images/1.jpg"),
        ("cat/indoor/1.jpg", "cat/outdoor/1.jpg", "dog/1.jpg"),
    ],
)
def test_classes_stay_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    """A set with a class `train`, or folders within its classes, could not be used."""
    source = opened(tmp_path, *names)
    assert source.classes == tuple(sorted({name.split("/")[0] for name in names}))
    assert source.split_folders == {}
    assert len(source.files) == len(names)


def test_names_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    """A reader would see 'café' refused beside 'café'."""
    one, other = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    with pytest.raises(DataError, match=r"\bcomposed .* decomposed") as caught:
        opened(tmp_path / "a", *(f"train/{c}/1" for c in (one, "x")), f"test/{other}/1", "test/x/1")
    assert ascii(one) in str(caught.value)
    assert ascii(other) in str(caught.value)
    with pytest.raises(DataError, match="look alike"):
        opened(tmp_path / "b", f"{one}/1.jpg", f"{other}/1.jpg")
    with pytest.raises(DataError, match="upper and lower case"):
        opened(tmp_path / "c", "train/Cat/1", "train/x/1", "test/cat/1", "test/x/1")


def test_a_split_of_one_class_is_told_what_a_split_needs(tmp_path: Path) -> None:
    """Else whoever gave two splits is told to make folders of classes, which are there."""
    with pytest.raises(DataError, match="every split the same class folders"):
        opened(tmp_path, "train/a/1", "train/b/1", "test/a/1")
    (tmp_path / "half/val").mkdir(parents=True)
    with pytest.raises(DataError, match=r"an empty folder: .*val.* or remove it"):
        opened(tmp_path / "half", "train/a/1", "train/b/1")
    with pytest.raises(DataError, match="one subfolder of images per class"):
        opened(tmp_path / "one", "a/1")


@pytest.mark.parametrize(
    "classes", [("a/b", "a b", "a:b"), ("a 2", "A", "a"), ("a 3", "A", "x", "a"), ("", ".", "..")]
)
def test_each_class_of_a_hub_has_a_folder_of_its_own(classes: tuple[str, ...]) -> None:
    """Else the images of two classes get one label, and nobody is told."""
    found = _folder_names(classes)
    assert len({name.casefold() for name in found}) == len(classes)
    assert all(name and "/" not in name and not name.startswith(".") for name in found)
