"""Decoding in several processes, and going on with what an earlier attempt left."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headtohead.core.errors import RunError, StorageError
from headtohead.data import decode_pool
from headtohead.data.decode_pool import RECORDS, Decoded, fill
from headtohead.data.prepared import PICTURES
from headtohead.data.rowfile import keep_rows, layout, open_rows


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_pool, "CHUNK", 4)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Ten files of one colour each; number 5 is no image."""
    found = [tmp_path / f"{number}.png" for number in range(10)]
    for number, path in enumerate(found):
        Image.new("RGB", (6 + number, 5), (number, 2 * number, 100)).save(path)
    found[5].write_bytes(b"no picture")
    return found


def decode(folder: Path, paths: list[Path], started_at: list[int] | None = None) -> Decoded:
    reports: list[int] = []
    decoded = fill(
        folder,
        paths,
        image_size=3,
        resize="antialias",
        workers=2,
        progress=lambda _, done, __: reports.append(done),
    )
    assert reports[-1] == len(paths)
    if started_at is not None:
        started_at.append(reports[0])
    return decoded


def check(folder: Path, decoded: Decoded) -> None:
    assert decoded.reasons == {5: "not an image"}
    assert decoded.usable.tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert decoded.sizes[7].tolist() == [5, 13]
    rows = open_rows(folder / PICTURES)
    for number in decoded.usable:
        assert (rows[number] == (number, 2 * number, 100)).all()


def _drop_last_record(folder: Path) -> None:
    lines = (folder / RECORDS).read_text().splitlines(keepends=True)
    (folder / RECORDS).write_text("".join(lines[:-1]) + lines[-1][:5])


def _other_header(folder: Path) -> None:
    lines = (folder / RECORDS).read_text().splitlines(keepends=True)
    (folder / RECORDS).write_text(json.dumps({"format": 0}) + "\n" + "".join(lines[1:]))


def _cut_array(folder: Path) -> None:
    content = (folder / PICTURES).read_bytes()
    (folder / PICTURES).write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("accident", "kept"),
    [
        (lambda folder: None, 10),
        (_drop_last_record, 6),
        (_other_header, 0),
        (_cut_array, 0),
        (lambda folder: (folder / PICTURES).unlink(), 0),
        (lambda folder: (folder / RECORDS).unlink(), 0),
        (lambda folder: (folder / RECORDS).write_bytes(b"\xff\n"), 0),
    ],
)
def test_only_whole_records_of_a_whole_array_are_gone_on_with(
    tmp_path: Path, paths: list[Path], accident: Callable[[Path], None], kept: int
) -> None:
    """Lost: black images in the prepared set after a power cut, or all the work before it."""
    folder = tmp_path / "part"
    check(folder, decode(folder, paths))
    accident(folder)
    started_at: list[int] = []
    check(folder, decode(folder, paths, started_at))
    # The chunks 0-3, 4-7 and 8-9 are recorded in the order in which they were finished.
    assert started_at == [kept] or (kept == 6 and started_at in ([6], [8]))


def test_a_kill_after_compacting_costs_nothing(tmp_path: Path, paths: list[Path]) -> None:
    """Lost: all decoding again, when the kill came at the very end."""
    folder = tmp_path / "part"
    usable = decode(folder, paths).usable
    keep_rows(folder / PICTURES, usable)
    before = open_rows(folder / PICTURES).copy()
    started_at: list[int] = []
    assert decode(folder, paths, started_at).usable.tolist() == usable.tolist()
    assert started_at == [10]
    np.testing.assert_array_equal(open_rows(folder / PICTURES), before)


def test_a_worker_that_cannot_write_says_why(
    tmp_path: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost: the reason, when the disk fails while images are written."""
    # A negative place in the file is refused by the system, as a failing disk would be.
    monkeypatch.setattr(decode_pool, "layout", lambda path: (layout(path)[0], -(2**40)))
    with pytest.raises(StorageError, match=r"pictures.npy: .*run the same"):
        decode(tmp_path / "part", paths)


DEADLY = """
import os, signal
from PIL import Image

opened = Image.open

def open_or_die(file, **options):
    if file.getvalue() == b"deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return opened(file, **options)

Image.open = open_or_die
"""


def test_a_worker_that_dies_at_a_picture_names_it(
    tmp_path: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost: which of sixty-four files to move away when one of them crashes the decoder."""
    (tmp_path / "sitecustomize.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(tmp_path)
    for number in (6, 5):  # the second time the first attempt's files are still there
        paths[number].write_bytes(b"deadly")
        with pytest.raises(RunError, match=rf"SIGKILL .* at .*/{number}\.png"):
            fill(
                tmp_path / "part",
                paths,
                image_size=3,
                resize="antialias",
                workers=1,
                progress=lambda *_: None,
            )
