"""Sets of pictures from the hubs: read as the hubs' own libraries wrote them."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from headtohead.cli import main
from headtohead.data.progress import Progress
from headtohead.data.sources import Source, open_source
from headtohead.errors import DataError

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}

datasets = pytest.importorskip("datasets")
tfds = pytest.importorskip("tensorflow_datasets")

CLASSES = ["cat", "dog"]


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def jpeg(number: int, side: int = 40) -> bytes:
    """A picture unlike the others, as a camera would store it."""
    pixels = np.random.default_rng(number).integers(0, 256, (5, 5, 3), np.uint8)
    picture = Image.fromarray(pixels).resize((side, side + 3), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def rows(first: int, count: int, classes: int = 2) -> dict[str, list[object]]:
    pictures = [{"bytes": jpeg(number), "path": None} for number in range(first, first + count)]
    return {"image": pictures, "labels": [number % classes for number in range(count)]}


def features(**more: object) -> "datasets.Features":
    return datasets.Features(
        {"image": datasets.Image(), "labels": datasets.ClassLabel(names=CLASSES)} | more
    )


def hugging_face(first: int, count: int) -> "datasets.Dataset":
    return datasets.Dataset.from_dict(rows(first, count), features=features())


class Pets(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
    """A set as TensorFlow Datasets defines them."""

    VERSION = tfds.core.Version("1.2.3")

    def _info(self) -> "tfds.core.DatasetInfo":
        described = {
            "image": tfds.features.Image(),
            "image/filename": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=CLASSES),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(described))

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator[object]]:
        return {"train": self._generate_examples(0, 24), "test": self._generate_examples(100, 6)}

    def _generate_examples(self, first: int, count: int) -> Iterator[tuple[int, object]]:
        for number in range(first, first + count):
            yield (
                number,
                {
                    "image": io.BytesIO(jpeg(number)),
                    "image/filename": f"{number}.jpg",
                    "label": number % 2,
                },
            )


@pytest.fixture(scope="module")
def prepared_by_tfds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a set that TensorFlow Datasets has written."""
    folder = tmp_path_factory.mktemp("tfds")
    builder = Pets(data_dir=folder)
    builder.download_and_prepare()
    return Path(builder.data_dir)


def opened(source: str, cache: Path, progress: Progress = silent) -> Source:
    return open_source(source, cache=cache, progress=progress)


def contents(source: Source, split: str | None) -> dict[str, set[bytes]]:
    """Class → the pictures' bytes."""
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
    """Else other pictures than the hub's are compared, or its test split is trained on."""
    source = opened(f"tfds:{prepared_by_tfds}", tmp_path)
    assert source.classes == ("cat", "dog")
    for split, first, count in (("train", 0, 24), ("test", 100, 6)):
        found = contents(source, split)
        assert found["cat"] == {jpeg(number) for number in range(first, first + count, 2)}
        assert found["dog"] == {jpeg(number) for number in range(first + 1, first + count, 2)}


def test_a_set_of_hugging_face_keeps_bytes_and_classes(tmp_path: Path) -> None:
    """Else other pictures than the hub's are compared."""
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
    """Parquet files with pictures, as the hub stores them."""
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
    assert "unpacking pictures" in told
    told.clear()
    assert opened(name, tmp_path / "cache", listening) == first
    assert "unpacking pictures" not in told
    hugging_face(50, 12).save_to_disk(tmp_path / "other")
    (tmp_path / "saved").rename(tmp_path / "old")
    (tmp_path / "other").rename(tmp_path / "saved")
    assert len(opened(name, tmp_path / "cache", listening).files) == 12


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
        ({"image": ["a", "b"], "labels": ["x", "y"]}, "one column with a picture"),
        ({"image": rows(0, 2)["image"], "labels": ["x", "y"]}, "one column with a class"),
    ],
)
def test_a_set_without_pictures_or_classes_is_refused(
    columns: dict[str, list[object]], said: str, tmp_path: Path
) -> None:
    """Else something else than what the user meant is learned."""
    kinds = datasets.Features(
        {
            "image": datasets.Value("string") if said.endswith("picture") else datasets.Image(),
            "labels": datasets.Value("string"),
        }
    )
    datasets.Dataset.from_dict(columns, features=kinds).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=said):
        opened(f"hf:{tmp_path / 'saved'}", tmp_path / "cache")


def test_pictures_without_a_class_are_refused(tmp_path: Path) -> None:
    """Hubs mark hidden labels with -1: never the last class."""
    columns = rows(0, 4) | {"labels": [0, 1, -1, 0]}
    datasets.Dataset.from_dict(columns, features=features()).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match="picture 2 of the split train has no class"):
        opened(f"hf:{tmp_path / 'saved'}", tmp_path / "cache")


def test_a_set_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Else a slip in the name ends in a library's stack trace."""
    for name in ("hf:nobody/no-such-set", "tfds:no_such_set_anywhere"):
        with pytest.raises(DataError, match="cannot be had"):
            opened(name, tmp_path)


def test_the_command_takes_a_hub_s_set(prepared_by_tfds: Path, tmp_path: Path) -> None:
    """From the name to the count of usable pictures, as a user asks for it."""
    told = CliRunner().invoke(
        main,
        ["data", "check", f"tfds:{prepared_by_tfds}", "--cache", str(tmp_path)],
        catch_exceptions=False,
    )
    assert told.exit_code == 0, told.output
    assert "30" in told.output
