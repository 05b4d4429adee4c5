"""Sets of images from the hubs: read as the hubs' own libraries wrote them."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from headtohead.cli import main
from headtohead.core.errors import DataError
from headtohead.data.long_tasks import Progress
from headtohead.data.sources import Source, open_source
from quiet import silent

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}

datasets = pytest.importorskip("datasets")
tfds = pytest.importorskip("tensorflow_datasets")

CLASSES = ["cat", "dog"]


def jpeg(number: int, side: int = 40) -> bytes:
    """An image unlike the others, as a camera would store it."""
    pixels = np.random.default_rng(number).integers(0, 256, (5, 5, 3), np.uint8)
    picture = Image.fromarray(pixels).resize((side, side + 3), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def rows(first: int, count: int, classes: int = 2) -> dict[str, list[Any]]:
    pictures = [{"bytes": jpeg(number), "path": None} for number in range(first, first + count)]
    return {"image": pictures, "labels": [number % classes for number in range(count)]}


def features(**more: object) -> Any:
    return datasets.Features(
        {"image": datasets.Image(), "labels": datasets.ClassLabel(names=CLASSES)} | more
    )


def two_of_each(folder: Path) -> str:
    """A set of Hugging Face with two columns of images and two of classes, as SRC."""
    kinds = features(mask=datasets.Image(), coarse=datasets.ClassLabel(names=["pet", "other"]))
    columns = rows(0, 12) | {"mask": rows(500, 12)["image"], "coarse": [0] * 6 + [1] * 6}
    datasets.Dataset.from_dict(columns, features=kinds).save_to_disk(folder)
    return f"hf:{folder}"


def hugging_face(first: int, count: int) -> Any:
    return datasets.Dataset.from_dict(rows(first, count), features=features())


class Pets(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc, name-defined]
    """A set as TensorFlow Datasets defines them."""

    VERSION = tfds.core.Version("1.2.3")
    FIRST = 0

    def described(self) -> dict[str, object]:
        return {
            "image": tfds.features.Image(),
            "image/filename": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=CLASSES),
        }

    def example(self, number: int) -> dict[str, object]:
        return {
            "image": io.BytesIO(jpeg(number)),
            "image/filename": f"{number}.jpg",
            "label": number % 2,
        }

    def _info(self) -> Any:
        described = tfds.features.FeaturesDict(self.described())
        return tfds.core.DatasetInfo(builder=self, features=described, **self.roles())

    def roles(self) -> dict[str, tuple[str, str]]:
        return {}

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator[object]]:
        parts = {"train": (self.FIRST, 24), "test": (self.FIRST + 100, 6)}
        return {name: self._generate_examples(*part) for name, part in parts.items()}

    def _generate_examples(self, first: int, count: int) -> Iterator[tuple[int, object]]:
        for number in range(first, first + count):
            yield number, self.example(number)


class Bitmaps(Pets):
    """Images that all have as many bytes."""

    name = "bitmaps"

    def example(self, number: int) -> dict[str, object]:
        same = {"image": io.BytesIO(bitmap(number)), "image/filename": "same"}
        return super().example(number) | same


class Masked(Pets):
    """Two columns of images and two of classes, as oxford_iiit_pet has them."""

    name = "masked"

    def described(self) -> dict[str, object]:
        return super().described() | {
            "mask": tfds.features.Image(),
            "species": tfds.features.ClassLabel(names=["pet", "other"]),
        }

    def example(self, number: int) -> dict[str, object]:
        mask = {"mask": io.BytesIO(jpeg(number + 500)), "species": int(number % 3 == 0)}
        return super().example(number) | mask


class Supervised(Masked):
    """The same, and the set says what is learned from what."""

    name = "supervised"

    def roles(self) -> dict[str, tuple[str, str]]:
        return {"supervised_keys": ("image", "label")}


def bitmap(number: int) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(jpeg(number))).save(file, "BMP")
    return file.getvalue()


def built(builder: type[Pets], folder: Path) -> Path:
    """Where TensorFlow Datasets has written a set."""
    found = builder(data_dir=folder)
    found.download_and_prepare()
    return Path(found.data_dir)


@pytest.fixture(scope="module")
def prepared_by_tfds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a set that TensorFlow Datasets has written."""
    return built(Pets, tmp_path_factory.mktemp("tfds"))


def opened(source: str, cache: Path, progress: Progress = silent) -> Source:
    return open_source(source, cache=cache, progress=progress)


def contents(source: Source, split: str | None) -> dict[str, set[bytes]]:
    """Class → the images' bytes."""
    return {
        label: {
            file.path.read_bytes()
            for file in source.files
            if file.label == label and file.split == split
        }
        for label in source.classes
    }


def test_a_set_of_tensorflow_datasets_keeps_bytes_classes_and_splits(
    prepared_by_tfds: Path, tmp_path: Path
) -> None:
    """Else other images than the hub's are compared, or its test split is trained on."""
    source = opened(f"tfds:{prepared_by_tfds}", tmp_path)
    assert source.classes == ("cat", "dog")
    for split, first, count in (("train", 0, 24), ("test", 100, 6)):
        found = contents(source, split)
        assert found["cat"] == {jpeg(number) for number in range(first, first + count, 2)}
        assert found["dog"] == {jpeg(number) for number in range(first + 1, first + count, 2)}


def test_a_set_of_hugging_face_keeps_bytes_and_classes(tmp_path: Path) -> None:
    """Else other images than the hub's are compared."""
    hugging_face(0, 20).save_to_disk(tmp_path / "saved")
    source = opened(f"hf:{tmp_path / 'saved'}", tmp_path / "cache")
    found = contents(source, None)
    assert found["cat"] == {jpeg(number) for number in range(0, 20, 2)}
    assert found["dog"] == {jpeg(number) for number in range(1, 20, 2)}


def test_splits_of_hugging_face_are_kept_and_others_left(tmp_path: Path) -> None:
    """Else a test split is trained on, or an unlabelled extra one is."""
    parts = {"train": (0, 12), "valid": (20, 4), "test": (40, 6), "extra": (60, 2)}
    whole = datasets.DatasetDict({name: hugging_face(*part) for name, part in parts.items()})
    whole.save_to_disk(tmp_path / "saved")
    source = opened(f"hf:{tmp_path / 'saved'}", tmp_path / "cache")
    assert {file.split for file in source.files} == {"train", "validation", "test"}
    assert sum(map(len, contents(source, "validation").values())) == 4
    assert len(source.files) == 22


def test_a_folder_that_hugging_face_reads_is_a_set(tmp_path: Path) -> None:
    """Parquet files with images, as the hub stores them."""
    (tmp_path / "set").mkdir()
    hugging_face(0, 10).to_parquet(tmp_path / "set" / "train-00000-of-00001.parquet")
    source = opened(f"hf:{tmp_path / 'set'}", tmp_path / "cache")
    assert contents(source, None)["cat"] == {jpeg(number) for number in range(0, 10, 2)}


def test_a_set_is_written_once_and_again_when_it_changes(tmp_path: Path) -> None:
    """Else every study waits for it, or an old set is taken for the new one."""
    told: list[str] = []

    def listening(what: str, done: int, total: int) -> None:
        told.append(what)

    hugging_face(0, 10).save_to_disk(tmp_path / "saved")
    name = f"hf:{tmp_path / 'saved'}"
    first = opened(name, tmp_path / "cache", listening)
    assert "unpacking images" in told
    told.clear()
    assert opened(name, tmp_path / "cache", listening) == first
    assert "unpacking images" not in told
    hugging_face(50, 12).save_to_disk(tmp_path / "other")
    (tmp_path / "saved").rename(tmp_path / "old")
    (tmp_path / "other").rename(tmp_path / "saved")
    assert len(opened(name, tmp_path / "cache", listening).files) == 12


def test_a_set_of_tensorflow_datasets_that_is_built_anew_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else images of before are trained on; name, version, counts and sizes are the same."""
    place = built(Bitmaps, tmp_path / "old")
    name = f"tfds:{place}"
    first = opened(name, tmp_path / "cache")
    assert opened(name, tmp_path / "cache") == first
    place.rename(tmp_path / "gone")
    monkeypatch.setattr(Bitmaps, "FIRST", 1000)
    built(Bitmaps, tmp_path / "new").rename(place)
    again = contents(opened(name, tmp_path / "cache"), "train")
    assert again["cat"] == {bitmap(number) for number in range(1000, 1024, 2)}


def test_the_set_s_own_word_for_what_is_learned_is_taken(tmp_path: Path) -> None:
    """Else a set with masks or with coarse classes beside fine ones cannot be used."""
    found = contents(opened(f"tfds:{built(Supervised, tmp_path)}", tmp_path / "cache"), "train")
    assert found["cat"] == {jpeg(number) for number in range(0, 24, 2)}
    assert found["dog"] == {jpeg(number) for number in range(1, 24, 2)}


@pytest.mark.parametrize("builder", [Supervised, Masked])
def test_columns_of_tensorflow_datasets_are_chosen_by_name(
    builder: type[Pets], tmp_path: Path
) -> None:
    """Over the set's own word, too."""
    source = f"tfds:{built(builder, tmp_path)}#species,mask"
    found = contents(opened(source, tmp_path / "cache"), "train")
    assert found["other"] == {jpeg(number + 500) for number in range(0, 24, 3)}
    assert len(found["pet"]) == 16


def test_columns_of_hugging_face_are_chosen_by_name(tmp_path: Path) -> None:
    """And each choice is a set of its own: a cache of one is not taken for the other."""
    source, cache = two_of_each(tmp_path / "saved#1"), tmp_path / "cache"
    fine = contents(opened(f"{source}#labels, image", cache), None)
    coarse = contents(opened(f"{source}#image,coarse", cache), None)
    masks = contents(opened(f"{source}#coarse,mask", cache), None)
    assert fine["cat"] == {jpeg(number) for number in range(0, 12, 2)}
    assert coarse["pet"] == {jpeg(number) for number in range(6)}
    assert masks["pet"] == {jpeg(number) for number in range(500, 506)}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("", "of images it has image, mask, of classes labels, coarse"),
        ("#labels", "asked for labels.*#image"),
        ("#image,labels,coarse", "asked for image, labels, coarse"),
        ("#image,labels,colour", "asked for image, labels, colour"),
    ],
)
def test_a_choice_that_is_left_open_is_told_with_the_columns(
    asked: str, said: str, tmp_path: Path
) -> None:
    """Else the user learns neither what there is nor how to say which."""
    source = two_of_each(tmp_path / "saved")
    with pytest.raises(DataError, match=said):
        opened(source + asked, tmp_path / "cache")


@pytest.mark.parametrize("parts", [{"train": 0}, {"train": 0, "test": 0}, {"train": 0, "test": 6}])
def test_a_set_without_pictures_to_train_on_is_refused(
    parts: dict[str, int], tmp_path: Path
) -> None:
    """Else an empty set is called a fault of the disk, or the test split is trained on."""
    whole = datasets.DatasetDict({name: hugging_face(0, n) for name, n in parts.items()})
    whole.save_to_disk(tmp_path / "saved", num_shards=dict.fromkeys(parts, 1))
    with pytest.raises(DataError, match=r"no images in a split named train.*train \(0 images"):
        opened(f"hf:{tmp_path / 'saved'}", tmp_path / "cache")


def test_class_names_cannot_leave_the_cache(tmp_path: Path) -> None:
    """Else a set from the network writes where it likes."""
    names = ["../../evil", "a/b", "a_b"]
    kinds = datasets.Features(
        {"image": datasets.Image(), "labels": datasets.ClassLabel(names=names)}
    )
    hostile = datasets.Dataset.from_dict(rows(0, 9, classes=3), features=kinds)
    hostile.save_to_disk(tmp_path / "saved")
    source = opened(f"hf:{tmp_path / 'saved'}", tmp_path / "cache")
    assert len(source.classes) == 3
    assert all(file.path.is_relative_to(tmp_path / "cache") for file in source.files)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"image": ["a", "b"], "labels": ["x", "y"]}, "of images it has none"),
        ({"image": rows(0, 2)["image"], "labels": ["x", "y"]}, "of classes none"),
    ],
)
def test_a_set_without_pictures_or_classes_is_refused(
    columns: dict[str, list[object]], said: str, tmp_path: Path
) -> None:
    """Else something else than what the user meant is learned."""
    kinds = datasets.Features(
        {
            "image": datasets.Value("string") if "images" in said else datasets.Image(),
            "labels": datasets.Value("string"),
        }
    )
    datasets.Dataset.from_dict(columns, features=kinds).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=said):
        opened(f"hf:{tmp_path / 'saved'}", tmp_path / "cache")


def test_pictures_without_a_class_are_refused(tmp_path: Path) -> None:
    """Hubs mark hidden labels with -1: never the last class."""
    for number, hidden in enumerate((-1, None)):
        columns = rows(0, 4) | {"labels": [0, 1, hidden, 0]}
        saved = tmp_path / f"saved-{number}"
        datasets.Dataset.from_dict(columns, features=features()).save_to_disk(saved)
        with pytest.raises(DataError, match="image 2 of the split train has no class"):
            opened(f"hf:{saved}", tmp_path / "cache")


def test_a_row_without_an_image_is_a_file_that_cannot_be_decoded(tmp_path: Path) -> None:
    """Else a set with one gap ends in a stack trace; left out, nobody would hear of it."""
    columns = rows(0, 4)
    columns["image"][3] = None
    datasets.Dataset.from_dict(columns, features=features()).save_to_disk(tmp_path / "saved")
    source = opened(f"hf:{tmp_path / 'saved'}", tmp_path / "cache")
    assert [file.path.stat().st_size > 0 for file in source.files].count(False) == 1
    assert len(source.files) == 4


def test_a_split_that_is_left_out_is_told(tmp_path: Path) -> None:
    """Else most images of some sets (`extra` of the house numbers) are missing in silence."""
    parts = {name: hugging_face(100 * number, 4) for number, name in enumerate(("train", "extra"))}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    source = opened(f"hf:{tmp_path / 'saved'}", tmp_path / "cache")
    assert len(source.files) == 4
    assert [entry.name for entry in source.passed_over] == ["extra"]


def test_a_set_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Else a slip in the name ends in a library's stack trace."""
    for name in ("hf:nobody/no-such-set", "tfds:no_such_set_anywhere"):
        with pytest.raises(DataError, match="could not be loaded"):
            opened(name, tmp_path)


def test_the_command_takes_a_hub_s_set(prepared_by_tfds: Path, tmp_path: Path) -> None:
    """From the name to the count of usable images, as a user asks for it."""
    told = CliRunner().invoke(
        main,
        ["data", "check", f"tfds:{prepared_by_tfds}", "--cache", str(tmp_path)],
        catch_exceptions=False,
    )
    assert told.exit_code == 0, told.output
    assert "30" in told.output
