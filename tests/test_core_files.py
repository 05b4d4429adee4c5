"""Files that are whole or absent, and digests that know content again."""

import json
import math
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtohead.core.errors import StorageError, UsageError
from headtohead.core.files import (
    append_line,
    check_out,
    digest_of,
    expanded,
    sha256_of,
    write_atomic,
)

AS_NOBODY = """
import os, sys
from pathlib import Path
from headtohead.core.errors import StorageError
from headtohead.core.files import check_out
if os.geteuid() == 0:
    os.setuid(65534)  # the superuser may write everywhere
try:
    check_out(Path(sys.argv[1]))
except StorageError as error:
    print(error)
"""


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_what_was_written_is_there_and_nothing_else(tmp_path: Path) -> None:
    """Else results get lost, or folders fill with temporary files."""
    path = tmp_path / "new" / "folder" / "run.json"
    write_atomic(path, b"first")
    write_atomic(path, b"second")
    assert path.read_bytes() == b"second"
    assert names_in(path.parent) == ["run.json"]


def test_a_folder_in_the_way_is_named_and_left(tmp_path: Path) -> None:
    """Else a failed write leaves rubbish behind or takes away what stood there."""
    (tmp_path / "run.json").mkdir()
    (tmp_path / "run.json" / "kept").touch()
    with pytest.raises(StorageError, match=r"run\.json: .*choose a folder"):
        write_atomic(tmp_path / "run.json", b"new")
    assert names_in(tmp_path) == ["run.json"]
    assert names_in(tmp_path / "run.json") == ["kept"]


@pytest.mark.parametrize("below", ["run.json", "deep/run.json"])
def test_a_file_in_a_folders_place_is_named(tmp_path: Path, below: str) -> None:
    """Else `--out` below a file ends in a traceback."""
    file = tmp_path / "file"
    file.write_text("kept", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot write"):
        write_atomic(file / below, b"new")
    with pytest.raises(StorageError, match="cannot write"):
        append_line(file / below, "new")
    assert file.read_text(encoding="utf-8") == "kept"


@pytest.mark.parametrize("below", ["out", "locked/out", "locked"])
def test_a_folder_that_may_not_be_written_is_told_before_the_work(below: str) -> None:
    """Else every image is decoded first, and the study then ends."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are their user's alone
        root = Path(name)
        (root / "locked").mkdir()
        check_out(root / below)
        (root / "locked").chmod(0o555)
        root.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, root / below],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        root.chmod(0o755)
        (root / "locked").chmod(0o755)
    assert done.stdout.startswith(f"cannot write {root / below}: Permission denied.")


def test_a_file_in_the_way_of_a_folder_is_told_before_the_work(tmp_path: Path) -> None:
    """Else `plan` tells hours of work that `compare` then refuses."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=": file is a file"):
        check_out(tmp_path / "file" / "deep" / "out")
    check_out(tmp_path / "new" / "out")
    assert names_in(tmp_path) == ["file"]


def test_a_folder_whose_name_is_no_text_is_refused_before_the_work(tmp_path: Path) -> None:
    """Else all runs are trained, and the weights of none can be opened."""
    check_out(tmp_path / "café")
    for out in (tmp_path / "caf\udce9", tmp_path / "caf\udce9" / "study"):
        with pytest.raises(UsageError, match="not UTF-8"):
            check_out(out)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a /proc, which takes no files")
def test_a_folder_that_takes_no_files_is_named() -> None:
    """Else a read-only disk ends in a traceback; the superuser, too, cannot write here."""
    for path in (Path("/proc/run.json"), Path("/proc/self/new/run.json")):
        with pytest.raises(StorageError, match="cannot write"):
            write_atomic(path, b"new")
        with pytest.raises(StorageError, match="cannot write"):
            append_line(path, "new")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is full")
def test_a_full_disk_is_named() -> None:
    """Else a full disk ends a study of hours with a traceback."""
    with pytest.raises(StorageError, match=r"No space .*\. Free"):
        append_line(Path("/dev/full"), "one more epoch")


LIMITED = """
import resource, signal, sys
from pathlib import Path
from headtohead.core.errors import StorageError, UsageError
from headtohead.core.files import write_atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomic(Path(sys.argv[1]), b"x" * 5000)
except StorageError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX's")
def test_a_write_that_breaks_off_leaves_the_old_content(tmp_path: Path) -> None:
    """Else a disk that fills up in mid-write takes the last good checkpoint with it."""
    path = tmp_path / "resume.safetensors"
    path.write_bytes(b"old")
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True
    )
    assert "cannot write" in result.stdout
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["resume.safetensors"]


ENDLESS = """
import sys
from pathlib import Path
from headtohead.core.files import write_atomic
while True:
    for letter in b"ab":
        write_atomic(Path(sys.argv[1]), bytes([letter]) * 2_000_000)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    """Else a kill leaves half a checkpoint that looks like one."""
    path = tmp_path / "best.safetensors"
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)]) as writer:
            while not path.exists() and writer.poll() is None:
                time.sleep(0.01)
            writer.send_signal(signal.SIGKILL)
        content = path.read_bytes()
        assert len(content) == 2_000_000
        assert len(set(content)) == 1
        path.unlink()


def test_lines_are_appended(tmp_path: Path) -> None:
    """Else an epoch's record replaces those before it."""
    path = tmp_path / "history.jsonl"
    append_line(path, "erste")
    append_line(path, "zweite ä")
    assert path.read_text(encoding="utf-8") == "erste\nzweite ä\n"


def test_sha256_is_sha256(tmp_path: Path) -> None:
    """Else no other tool can check the sums that run.json lists."""
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(path) == expected


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)  # fmt: skip


@given(value=st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
def test_a_digest_knows_content_and_not_order(value: dict[str, Any]) -> None:
    """Else the same study, its fields in another order or read from a file, trains again."""
    turned = dict(reversed(value.items()))
    assert digest_of(turned) == digest_of(value) == digest_of(json.loads(json.dumps(value)))


@given(first=VALUES, second=VALUES)
def test_other_content_has_another_digest(first: Any, second: Any) -> None:
    """Else two studies share one folder."""
    assert (digest_of(first) == digest_of(second)) == (
        json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    )


def test_a_digest_of_nan_is_refused() -> None:
    """Else a value that does not equal itself identifies a study."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of({"rate": math.nan})


def test_writers_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    """Else two processes that write one file leave a mixture of both."""
    code = ENDLESS.replace("while True", "for _ in range(30)")
    path = tmp_path / "study.yaml"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(set(path.read_bytes())) == 1
    assert names_in(tmp_path) == ["study.yaml"]
    assert path.stat().st_size == 2_000_000


def test_home_is_meant_by_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder called `~` would appear where --out was written with an equals sign."""
    monkeypatch.setenv("HOME", "/home/somebody")
    assert expanded("~/runs") == Path("/home/somebody/runs")
    assert expanded(Path("a/~")) == Path("a/~")
    with pytest.raises(UsageError, match="~nobodyknows/x"):
        expanded("~nobodyknows/x")
