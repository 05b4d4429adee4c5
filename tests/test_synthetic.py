"""The drawn cats and dogs: same bytes for everyone, fair between the classes, hard enough."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.distance import pdist
from scipy.stats import ks_2samp
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headtohead.core.errors import StorageError, UsageError
from headtohead.data.selection import select
from headtohead.data.sources import PictureFile
from headtohead.data.synthetic import source, synthetic_source
from headtohead.data.synthetic.photograph import named, photograph
from quiet import silent

COUNT = 260


@dataclass(frozen=True)
class Drawn:
    """The images of one folder, measured once for every test."""

    pictures: Path
    progress: list[tuple[str, int, int]]
    files: list[Path]
    dogs: NDArray[np.bool_]
    sizes: NDArray[np.int64]
    formats: list[str]
    colours: NDArray[np.float64]
    areas: NDArray[np.float64]
    thumbnails: NDArray[np.float64]
    grey: NDArray[np.float64]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    progress: list[tuple[str, int, int]] = []
    pictures = synthetic_source(
        cache=tmp_path_factory.mktemp("cache"),
        progress=lambda *step: progress.append(step),
        count=COUNT,
    )
    files = sorted(pictures.glob("*/*"))
    sizes, formats, colours, areas, thumbnails, grey = [], [], [], [], [], []
    for file in files:
        with Image.open(file) as image:
            formats.append(str(image.format))
            sizes.append(image.size)
            rgb = image.convert("RGB")
        colours.append(np.asarray(rgb).mean((0, 1)))
        thumbnails.append(np.asarray(rgb.resize((8, 8), Image.Resampling.BOX)).ravel())
        small = rgb.convert("L").resize((48, 48), Image.Resampling.BOX)
        grey.append(np.asarray(small).ravel())
        areas.append((mask_of(file) == 1).mean())
    return Drawn(
        pictures,
        progress,
        files,
        np.array([file.parent.name == "dog" for file in files]),
        np.array(sizes),
        formats,
        np.array(colours),
        np.array(areas),
        np.array(thumbnails, dtype=np.float64),
        np.array(grey, dtype=np.float64),
    )


def mask_of(picture: Path) -> NDArray[np.uint8]:
    masks = picture.parents[2] / "masks" / picture.parent.name
    with Image.open(masks / f"{picture.stem}.png") as mask:
        return np.asarray(mask)


def test_several_processes_write_the_bytes_that_each_picture_has_alone(drawn: Drawn) -> None:
    """Otherwise two users, or one with more cores, would study different images."""
    for index in (0, 1, 2, 211, COUNT - 1):
        alone = photograph(0, index)
        file = drawn.pictures / alone.label / f"{alone.stem}{alone.suffix}"
        mask = drawn.pictures.parent / "masks" / alone.label / f"{alone.stem}.png"
        assert file.read_bytes() == alone.picture
        assert mask.read_bytes() == alone.mask


def test_another_seed_draws_other_pictures() -> None:
    """Otherwise a second sample of the task would be the first."""
    assert photograph(0, 4).picture != photograph(1, 4).picture


def test_classes_are_complete_and_equal(drawn: Drawn) -> None:
    """A missing image would shift every split; progress that stops short looks like a hang."""
    assert len(drawn.files) == COUNT
    assert drawn.dogs.sum() == COUNT // 2
    assert drawn.progress[-1] == ("drawing images", COUNT, COUNT)
    assert [done for _, done, _ in drawn.progress] == list(range(1, COUNT + 1))


def test_files_are_real_jpegs_and_pngs_of_many_sizes(drawn: Drawn) -> None:
    """The default data must exercise decoding and resizing as photographs do."""
    assert set(drawn.formats) == {"JPEG", "PNG"}
    assert all(
        (file.suffix == ".png") == (kind == "PNG")
        for file, kind in zip(drawn.files, drawn.formats, strict=True)
    )
    assert len(np.unique(drawn.sizes, axis=0)) > 0.9 * COUNT
    landscape = (drawn.sizes[:, 0] > drawn.sizes[:, 1]).mean()
    assert 0.3 < landscape < 0.8


@settings(derandomize=True)
@given(seed=st.integers(0, 2**63 - 1), index=st.integers(0, 10**6))
def test_every_picture_shows_an_animal_where_its_mask_says(seed: int, index: int) -> None:
    """An empty, misshapen or full mask would make the class maps' scores meaningless."""
    drawing = photograph(seed, index)
    with Image.open(BytesIO(drawing.picture)) as image, Image.open(BytesIO(drawing.mask)) as mask:
        assert mask.size == image.size
        assert 120 <= min(image.size) <= max(image.size) <= 420
        values = np.asarray(mask)
        image.load()
    assert set(np.unique(values)) == {1, 2}
    assert 0.02 < (values == 1).mean() < 0.8
    assert drawing.label == ("cat", "dog")[index % 2]


def test_the_masks_border_is_the_animals_border(drawn: Drawn) -> None:
    """A displaced mask would credit class maps that look beside the animal."""
    ratios = []
    for file in drawn.files[::10]:
        with Image.open(file) as image:
            pixels = np.asarray(image.convert("L"), dtype=np.float64)
        step = np.abs(np.diff(pixels, axis=1))
        edge = np.diff(mask_of(file).astype(int), axis=1) != 0
        ratios.append(step[edge].mean() / step[edge[:, ::-1]].mean())
    assert np.median(ratios) > 1.5


def test_nothing_but_shape_tells_the_classes_apart(drawn: Drawn) -> None:
    """A difference in size, format, colour or area would be learnt instead of cats and dogs."""
    lengths = np.array([file.stat().st_size for file in drawn.files])
    png = np.array([kind == "PNG" for kind in drawn.formats])
    columns = [*drawn.sizes.T, *drawn.colours.T, drawn.areas, lengths]
    for values in columns:
        assert ks_2samp(values[drawn.dogs], values[~drawn.dogs]).pvalue > 1e-3
    assert png[drawn.dogs].sum() == png[~drawn.dogs].sum() > 0


def test_thumbnails_do_not_give_the_class_away(drawn: Drawn) -> None:
    """If 8 × 8 pixels and a linear model sufficed, no head could show what it is worth."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=500))
    scores = cross_val_score(model, drawn.thumbnails, drawn.dogs, cv=5)
    assert scores.mean() < 0.65


def test_no_two_pictures_are_nearly_the_same(drawn: Drawn) -> None:
    """Near-duplicates would be grouped into one split, or leak from training into the test."""
    assert pdist(drawn.grey, "cityblock").min() / drawn.grey.shape[1] > 8


def test_pictures_are_drawn_once(drawn: Drawn) -> None:
    """Drawing again would cost half a minute in each study and change files in use."""
    before = {file: file.stat().st_mtime_ns for file in drawn.files}
    calls: list[int] = []
    again = synthetic_source(
        cache=drawn.pictures.parents[2],
        progress=lambda what, done, total: calls.append(done),
        count=COUNT,
    )
    assert again == drawn.pictures
    assert calls == []
    assert before == {file: file.stat().st_mtime_ns for file in sorted(again.glob("*/*"))}


def test_another_count_or_seed_has_its_own_folder(tmp_path: Path) -> None:
    """A study on 4 images must not find the folder that another left with 2."""
    folders = {
        synthetic_source(cache=tmp_path, progress=silent, count=count, seed=seed)
        for count, seed in ((2, 0), (4, 0), (2, 1))
    }
    assert sorted(len(list(folder.glob("*/*"))) for folder in folders) == [2, 2, 4]


def test_a_limit_draws_what_its_study_uses_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the first study draws twice the images, or others than those that its digest names."""
    monkeypatch.setattr(source, "FEWEST", 2)
    few = synthetic_source(cache=tmp_path, progress=silent, count=12, limit=5)
    files = {path.relative_to(few).as_posix(): path.read_bytes() for path in few.rglob("*.*")}
    whole = [
        PictureFile(Path(name), name, label, None)
        for label, stem, suffix in map(named, range(12))
        for name in (f"{label}/{stem}{suffix}",)
    ]
    assert sorted(files) == [file.name for file in select(whole, 5)]
    index = next(index for index in range(12) if "{}/{}{}".format(*named(index)) in files)
    drawn = photograph(0, index)
    assert files[f"{drawn.label}/{drawn.stem}{drawn.suffix}"] == drawn.picture
    masks = {path.stem for path in few.with_name("masks").rglob("*.png")}
    assert masks == {Path(name).stem for name in files}


DRAW = """
import sys
from pathlib import Path
from headtohead.data.synthetic import synthetic_source
def progress(what, done, total):
    print(done, flush=True)
synthetic_source(cache=Path(sys.argv[1]), progress=progress, count=40)
"""


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_gone(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc to find children")
def test_killed_midway_leaves_no_process_and_nothing_half_finished(tmp_path: Path) -> None:
    """Half a folder taken for the whole would silently shrink the data of every later study."""
    paths = os.pathsep.join(str(entry) for entry in sys.path if entry)
    parent = subprocess.Popen(
        [sys.executable, "-c", DRAW, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert parent.stdout is not None
    with parent.stdout as lines:
        lines.readline()
        workers = children(parent.pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert workers
    deadline = time.monotonic() + 30
    while not all(map(is_gone, workers)):
        assert time.monotonic() < deadline, f"still drawing: {json.dumps(workers)}"
        time.sleep(0.05)
    assert not list(tmp_path.glob("sources/synthetic-v*-40-0/pictures"))
    pictures = synthetic_source(cache=tmp_path, progress=silent, count=40)
    assert len(list(pictures.glob("*/*"))) == 40
    left = {entry.name for entry in (tmp_path / "sources").iterdir()}
    name = pictures.parent.name
    assert left <= {name, f"{name}.lock", f"{name}.files.json"}


def test_drawn_pictures_deleted_one_by_one_are_drawn_again(tmp_path: Path) -> None:
    """After a purge of the cache a smaller set would be used without a word."""
    pictures = synthetic_source(cache=tmp_path, progress=silent, count=2)
    files = {path: path.read_bytes() for path in pictures.parent.rglob("*.*")}
    for lost in (next(pictures.glob("cat/*")), next(pictures.glob("../masks/dog/*"))):
        lost.unlink()
        assert synthetic_source(cache=tmp_path, progress=silent, count=2) == pictures
        assert {path: path.read_bytes() for path in pictures.parent.rglob("*.*")} == files


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (0, 0), (-3, 0), (10, -1)])
def test_impossible_requests_are_usage_errors(tmp_path: Path, count: int, seed: int) -> None:
    """The user should read what to change, not a traceback."""
    with pytest.raises(UsageError, match=f"received count {count}, seed {seed}"):
        synthetic_source(cache=tmp_path, progress=silent, count=count, seed=seed)


def test_a_cache_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    """The user should read which folder cannot be written."""
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(StorageError, match="name another cache folder"):
        synthetic_source(cache=tmp_path / "cache", progress=silent, count=2)
