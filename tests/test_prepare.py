"""Preparing a source's images, with real processes that are really killed."""

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from headtohead.core.errors import DataError, StorageError, UsageError
from headtohead.data.decode import decode_file
from headtohead.data.decode_pool import RECORDS
from headtohead.data.prepare import lost_line, prepare, unreadable_per_class
from headtohead.data.prepared import PreparedSet
from headtohead.data.resize import resize
from headtohead.data.sources import Source, open_source
from stated import stated

REPOSITORY = Path(__file__).parents[1]
DATA = REPOSITORY.parent / "shared/data"

# As a user would write it: no `if __name__ == "__main__"`.
SCRIPT = """
import sys
from pathlib import Path
from headtohead.data.prepare import prepare
from headtohead.data.sources import open_source

def progress(doing, done, total):
    print(doing, done, total, flush=True)

source = open_source(Path(sys.argv[1]), cache=Path(sys.argv[2]), progress=progress)
prepared = prepare(source, image_size=48, resize="antialias", limit=None, max_unreadable=0.05,
                   cache=Path(sys.argv[2]), workers=2, progress=progress)
print("prepared", prepared.folder)
"""


class Reports(list[tuple[str, int, int]]):
    """What was reported as progress."""

    def __call__(self, doing: str, done: int, total: int) -> None:
        self.append((doing, done, total))

    def of(self, doing: str) -> list[int]:
        return [done for what, done, _ in self if what == doing]


def open_folder(folder: Path) -> Source:
    return open_source(folder, cache=folder.parent, progress=lambda *_: None)


def run(folder: Path, cache: Path, reports: Reports | None = None, **options: Any) -> PreparedSet:
    chosen: dict[str, Any] = {
        "image_size": 20,
        "resize": "antialias",
        "limit": None,
        "max_unreadable": 0.05,
        "workers": 2,
        **options,
    }
    report = Reports() if reports is None else reports
    return prepare(open_folder(folder), cache=cache, progress=report, **chosen)


def draw(path: Path, seed: int, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC).save(
        path, "PNG", compress_level=1
    )


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def odd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 images of different sizes, three files that are none, and a name with a newline."""
    folder = tmp_path_factory.mktemp("odd") / "pictures"
    for number in range(150):
        label = "cat" if number % 3 else "dög"
        draw(folder / label / f"{number:03}.jpg", number, (20 + number % 7, 15 + number % 11))
    draw(folder / "cat" / "new\nline.jpg", 999, (30, 30))
    whole = (folder / "cat" / "001.jpg").read_bytes()
    (folder / "cat" / "002.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "dög" / "003.jpg").write_bytes(b"")
    (folder / "dög" / "gone.jpg").symlink_to(folder / "nothing")
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 images large enough that preparing them can be interrupted."""
    folder = tmp_path_factory.mktemp("many") / "pictures"
    for number in range(40):
        draw(folder / ("cat", "dog")[number % 2] / f"{number:03}.png", number, (400, 300))
        for copy in range(9):
            original = folder / ("cat", "dog")[number % 2] / f"{number:03}.png"
            original.with_stem(f"{number:03}-{copy}").symlink_to(original)
    return folder


def test_every_row_is_the_picture_of_its_name(odd_folder: Path, tmp_path: Path) -> None:
    """Lost: training on images under wrong labels, most likely beside a quarantined file."""
    prepared = run(odd_folder, tmp_path)
    assert len(prepared.names) == 149
    assert list(prepared.names) == sorted(prepared.names)
    images = prepared.images
    assert images.shape == (149, 20, 20, 3)
    for row, name in enumerate(prepared.names):
        picture = decode_file(odd_folder / name)
        np.testing.assert_array_equal(images[row], resize(picture, (20, 20), "antialias"))
        assert prepared.original_sizes[row].tolist() == list(picture.shape[:2])
        assert prepared.classes[prepared.labels[row]] == name.split("/")[0]
    assert [bad.name for bad in prepared.quarantined] == [
        "cat/002.jpg",
        "dög/003.jpg",
        "dög/gone.jpg",
    ]
    assert [bad.reason for bad in prepared.quarantined] == [
        "truncated",
        "empty file",
        "gone (no such file, or a link to nothing)",
    ]
    assert names_in(prepared.folder) == ["manifest.json", "pictures.npy"]


def test_the_same_pictures_are_decoded_once(odd_folder: Path, tmp_path: Path) -> None:
    """Lost: the minutes that the cache is there to save; or another cache's worth of disk."""
    first = run(odd_folder, tmp_path, workers=1)
    reports = Reports()
    second = run(odd_folder, tmp_path, reports)
    assert (first.digest, first.names, first.folder) == (
        second.digest,
        second.names,
        second.folder,
    )
    assert not reports.of("decoding images")
    assert run(odd_folder, tmp_path, resize="bilinear").digest != first.digest
    assert run(odd_folder, tmp_path, limit=60).digest != first.digest


def test_one_worker_and_three_prepare_the_same(odd_folder: Path, tmp_path: Path) -> None:
    """Lost: equal results on machines with different numbers of cores."""
    one, three = (run(odd_folder, tmp_path / str(count), workers=count) for count in (1, 3))
    assert names_in(one.folder) == names_in(three.folder) != []
    for name in names_in(one.folder):
        assert (one.folder / name).read_bytes() == (three.folder / name).read_bytes()


def test_too_many_undecodable_files_stop_with_examples(odd_folder: Path, tmp_path: Path) -> None:
    """Lost: training on what happened to be readable; or decoding again to allow more."""
    match = r"3 of 152 files .* cat/002.jpg \(truncated\); dög/003.jpg \(empty file\).*max_unread"
    with pytest.raises(DataError, match=match):
        run(odd_folder, tmp_path, max_unreadable=0.01)
    reports = Reports()
    assert len(run(odd_folder, tmp_path, reports, max_unreadable=0.02).names) == 149
    assert not reports.of("decoding images")


def test_most_of_one_class_unreadable_is_refused(tmp_path: Path) -> None:
    """Lost: a class of which a few files are left, among thousands of another's."""
    for number in range(40):
        draw(tmp_path / f"pictures/cat/{number}.png", number, (20, 20))
    for number in range(7):
        draw(tmp_path / f"pictures/dog/{number}.png", 100 + number, (20, 20))
    (tmp_path / "pictures/dog/a.json").write_text("{}")
    (tmp_path / "pictures/dog/b.jpg").write_text("<html>")
    prepared = run(tmp_path / "pictures", tmp_path / "cache")  # 2 of 9
    assert unreadable_per_class(prepared) == {"dog": 2}
    assert stated(lost_line({"dog": 2}, prepared) or "", "dog") == ["2", "dog", "2", "9"]
    (tmp_path / "pictures/dog/c.json").write_text("{}")
    for name in "01":
        (tmp_path / f"pictures/dog/{name}.png").unlink()
    match = r"^3 of the 8 files of class 'dog' .* \(2 are \.json files.*--max-unreadable 0\.38"
    with pytest.raises(DataError, match=match):
        run(tmp_path / "pictures", tmp_path / "cache", max_unreadable=0.1)
    assert len(run(tmp_path / "pictures", tmp_path / "cache", max_unreadable=0.38).names) == 45


@pytest.mark.parametrize("whole", [True, False])
def test_a_class_without_a_usable_picture_is_named(tmp_path: Path, whole: bool) -> None:
    """Lost: a study of two classes that only has one."""
    for label in ("cat", "dog"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        (tmp_path / "pictures" / label / "1.jpg").write_bytes(b"no picture")
    if whole:
        draw(tmp_path / "pictures/cat/2.png", 1, (20, 20))
    missing = "dog" if whole else "cat"
    with pytest.raises(DataError, match=rf"class '{missing}'.*{missing}/1.jpg \(not an image\)"):
        run(tmp_path / "pictures", tmp_path / "cache", max_unreadable=1.0)


def test_a_limit_that_leaves_a_class_without_images_is_refused(
    odd_folder: Path, tmp_path: Path
) -> None:
    """Else a class is missing, and the study is of other classes than its folder has."""
    with pytest.raises(UsageError, match="limit 1: there are 2 classes"):
        run(odd_folder, tmp_path, limit=1)


def test_a_cache_that_cannot_be_written_is_a_storage_error(
    odd_folder: Path, tmp_path: Path
) -> None:
    """Lost: a traceback where the cache folder is a file, or read-only."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="another cache folder"):
        run(odd_folder, tmp_path / "file")


def test_a_full_disk_is_a_storage_error_and_leaves_nothing(many: Path, tmp_path: Path) -> None:
    """Lost: a disk left full by an attempt that could not succeed."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(many), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6)),
        check=False,
    )
    assert "StorageError: cannot prepare images" in done.stderr
    assert not list((tmp_path / "prepared").glob("*.part"))


@pytest.fixture(scope="module")
def undisturbed(many: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    return run(many, tmp_path_factory.mktemp("undisturbed"), image_size=48)


@contextlib.contextmanager
def started(folder: Path, cache: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(cache)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def workers_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.is_file():
        pytest.skip("needs Linux to list a process's children")
    return [int(child) for child in children.read_text().split()]


def wait_until(condition: Callable[[], object]) -> None:
    """Poll; the deadline only ends a hopeless wait."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited a minute in vain"
        time.sleep(0.005)


def records(cache: Path) -> int:
    """Finished chunks of the one attempt in `cache`."""
    return sum(
        path.read_bytes().count(b"\n") - 1 for path in cache.glob(f"prepared/*.part/{RECORDS}")
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_preparation_leaves_no_orphan_and_is_gone_on_with(
    many: Path, undisturbed: PreparedSet, tmp_path: Path, how: signal.Signals
) -> None:
    """Lost: an hour's decoding at every interruption; processes that nobody stops."""
    with started(many, tmp_path) as process:
        wait_until(lambda: records(tmp_path) >= 1)
        workers = workers_of(process.pid)
        assert len(workers) == 2
        process.send_signal(how)
        process.wait()
        wait_until(lambda: not any(Path(f"/proc/{pid}/fd").exists() for pid in workers))
    finished = records(tmp_path)
    assert 1 <= finished < 7
    part = next((tmp_path / "prepared").glob("*.part"))
    with (part / RECORDS).open("a") as file:
        file.write("[6, [[300, 4")  # as a kill in the middle of a write leaves it
    reports = Reports()
    resumed = run(many, tmp_path, reports, image_size=48)
    assert reports.of("decoding images")[0] >= 64 * (finished - 1)
    for name in ("manifest.json", "pictures.npy"):
        assert (resumed.folder / name).read_bytes() == (undisturbed.folder / name).read_bytes()
    assert names_in(resumed.folder) == ["manifest.json", "pictures.npy"]


def test_a_killed_worker_is_an_error_that_names_its_picture(many: Path, tmp_path: Path) -> None:
    """Lost: waiting without end for a worker that the system has killed."""
    with started(many, tmp_path) as process:
        wait_until(lambda: records(tmp_path) >= 1)
        workers = workers_of(process.pid)
        os.kill(workers[0], signal.SIGKILL)
        _, errors = process.communicate()
    assert re.search("RunError: .*SIGKILL", errors)
    assert str(many) in errors
    wait_until(lambda: not any(Path(f"/proc/{pid}/fd").exists() for pid in workers))
    assert len(run(many, tmp_path, image_size=48).names) == 400


def test_two_processes_at_once_decode_once(many: Path, tmp_path: Path) -> None:
    """Lost: twice the work and two writers on one file, when two studies start together."""
    with started(many, tmp_path) as one, started(many, tmp_path) as other:
        outputs = [process.communicate()[0] for process in (one, other)]
    assert [process.returncode for process in (one, other)] == [0, 0]
    folders = {output.splitlines()[-1] for output in outputs}
    assert len(folders) == 1
    assert sum("decoding images 400 400" in output for output in outputs) == 1
    assert any("waiting for another process" in output for output in outputs)


def test_attempts_left_long_ago_are_swept_away(odd_folder: Path, tmp_path: Path) -> None:
    """Lost: gigabytes of cache that no study will ever use."""
    prepared = tmp_path / "prepared"
    for name, age in (("old", 30 * 24 * 3600), ("young", 60)):
        (prepared / f"{name}.part").mkdir(parents=True)
        file = prepared / f"{name}.part" / "pictures.npy"
        file.write_bytes(b"")
        os.utime(file, (time.time() - age,) * 2)
    run(odd_folder, tmp_path)
    assert [path.name for path in prepared.glob("*.part")] == ["young.part"]


def test_what_goes_from_another_attempt_meanwhile_ends_nothing(
    odd_folder: Path, tmp_path: Path
) -> None:
    """Lost: a study that begins when another's images are just complete."""
    other = tmp_path / "prepared" / "other.part"
    other.mkdir(parents=True)
    (other / "worker-0.log").symlink_to("gone")  # listed, and not there when it is looked at
    assert run(odd_folder, tmp_path).names
    assert other.is_dir()


def test_real_photographs_are_all_usable(tmp_path: Path) -> None:
    """Lost: photographs without the JFIF marker, or a GIF named .jpg."""
    if not (DATA / "petimages_sample").is_dir():
        pytest.skip(f"needs the photographs in {DATA}")
    prepared = run(DATA / "petimages_sample", tmp_path, image_size=50)
    assert (len(prepared.names), prepared.quarantined) == (400, ())
    assert np.bincount(prepared.labels).tolist() == [200, 200]


def test_odd_files_are_decoded_or_quarantined(tmp_path: Path) -> None:
    """Lost: the whole data set, to one odd file in it."""
    odd = sorted((DATA / "odd_images").glob("*"))
    if not odd:
        pytest.skip(f"needs the files in {DATA / 'odd_images'}")
    for number, path in enumerate(odd):
        link = tmp_path / "pictures" / "ab"[number % 2] / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    prepared = run(tmp_path / "pictures", tmp_path / "cache", max_unreadable=1.0)
    assert len(prepared.names) + len(prepared.quarantined) == len(odd)
    reasons = {Path(bad.name).name: bad.reason for bad in prepared.quarantined}
    assert reasons["made_truncated_half_cat.jpg"] == "truncated"
    content = json.loads((prepared.folder / "manifest.json").read_text())
    assert len(content["pictures"]["sha256"][0]) == 64


def test_a_file_that_goes_while_images_are_decoded_is_not_missing_for_ever(tmp_path: Path) -> None:
    """Else the set without it is found again when the file is back, under the same digest."""
    for number in range(4):
        draw(tmp_path / f"data/{'ab'[number % 2]}/{number}.png", number, (24, 24))
    away, place = tmp_path / "away", tmp_path / "data/a/0.png"
    with pytest.raises(DataError, match=r"1 file could be read .* a/0\.png \(gone"):
        run(tmp_path / "data", tmp_path / "cache", agree=lambda _: place.rename(away))
    away.rename(place)
    found = run(tmp_path / "data", tmp_path / "cache")
    assert (len(found.names), found.quarantined) == (4, ())


def test_where_nothing_can_be_read_nothing_is_to_be_allowed(tmp_path: Path) -> None:
    """Else a user allows all of it, and waits for a set without an image."""
    for name in ("a/1.jpg", "b/1.jpg"):
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        (tmp_path / "data" / name).write_text("no image")
    with pytest.raises(DataError, match="2 of 2 files") as caught:
        run(tmp_path / "data", tmp_path / "cache")
    assert "max-unreadable" not in str(caught.value)
