"""The array file while it is being made."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtohead.core.errors import StorageError
from headtohead.data import rowfile
from headtohead.data.rowfile import keep_rows, layout, open_rows, reserve


def test_a_reserved_file_is_a_whole_array_of_zeros(tmp_path: Path) -> None:
    """Lost: space that turns out to be missing after an hour of decoding."""
    path = tmp_path / "rows.npy"
    reserve(path, (50, 8, 8, 3))
    assert not np.load(path).any()
    assert np.load(path).shape == (50, 8, 8, 3)
    assert path.stat().st_blocks * 512 >= 50 * 8 * 8 * 3
    shape, offset = layout(path)
    assert shape == (50, 8, 8, 3)
    assert path.stat().st_size == offset + 50 * 8 * 8 * 3


@given(st.integers(0, 30), st.data())
def test_exactly_the_rows_to_keep_are_kept(
    tmp_path_factory: pytest.TempPathFactory, count: int, data: st.DataObject
) -> None:
    """Lost: images under the labels of others, wherever a file was quarantined."""
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, max(0, count - 1))))), np.int64)
    rows = rows[rows < count]
    pixels = np.random.default_rng(count).integers(0, 256, (count, 3, 3, 3), np.uint8)
    path = tmp_path_factory.mktemp("rows") / "rows.npy"
    np.save(path, pixels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rowfile, "_COPY_BYTES", 60)  # two rows at a time
        keep_rows(path, rows)
        np.testing.assert_array_equal(open_rows(path), pixels[rows])
        keep_rows(path, np.arange(len(rows)))  # a second call changes nothing
    np.testing.assert_array_equal(open_rows(path), pixels[rows])
    assert [entry.name for entry in path.parent.iterdir()] == ["rows.npy"]


def test_more_than_the_disk_holds_is_refused_before_writing(tmp_path: Path) -> None:
    """Lost: a full disk, for every other program too."""
    with pytest.raises(StorageError, match=r"[\d,]+ MiB, [\d,]+ MiB"):
        reserve(tmp_path / "rows.npy", (2**40, 100, 100, 3))
    assert list(tmp_path.iterdir()) == []


def test_a_limit_of_the_system_is_an_error_and_no_crash(tmp_path: Path) -> None:
    """Lost: quotas found by a killed process (SIGBUS) and not by a message."""
    code = (
        "import sys; from pathlib import Path; from headtohead.data.rowfile import reserve\n"
        "try: reserve(Path(sys.argv[1]), (1000, 100, 100, 3))\n"
        "except OSError as error: print('refused', error.errno)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "rows.npy")],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6)),
    )
    assert done.stdout.startswith("refused")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x93NUMPY\x01\x00v\x00{"])
def test_what_is_no_array_is_told_apart(tmp_path: Path, content: bytes) -> None:
    """Lost: going on after a kill, with a file that was cut short."""
    path = tmp_path / "rows.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError):
        layout(path)
    np.save(path, np.zeros((4, 2, 2, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="whole"):
        layout(path)
