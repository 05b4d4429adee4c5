"""What a file is: a zip or a tar, whatever its name, or something else, which is told."""

import gzip
from pathlib import Path

import pytest

from headtohead.core.errors import DataError
from headtohead.data.archive_kinds import kind_of, refuse_other_files
from test_archives import CONTENT, PACKERS, stored


@pytest.mark.parametrize("packed", sorted(PACKERS))
def test_an_archive_is_known_by_its_content(tmp_path: Path, packed: str) -> None:
    """A download without a suffix would be called no archive."""
    archive = stored(tmp_path, PACKERS[packed](CONTENT)).rename(tmp_path / "download")
    assert kind_of(archive) == packed[:3]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"7z\xbc\xaf\x27\x1c" + bytes(30), "a 7z archive"),
        (b"Rar!\x1a\x07\x01\0" + bytes(30), "a RAR archive"),
        (gzip.compress(b"one picture" * 100, mtime=0), "a compressed file that is no tar"),
        (gzip.compress(b"short", mtime=0), "a compressed file that is no tar"),
        (b"", "an empty file"),
        (b"text", "neither a folder nor a zip or tar"),
    ],
)
def test_other_files_are_called_what_they_are(tmp_path: Path, data: bytes, expected: str) -> None:
    """A user would copy a sound file again and again because it was called corrupt."""
    archive = stored(tmp_path, data)
    with pytest.raises(DataError, match=expected):
        refuse_other_files(archive, "Give a folder.")
    for pack in PACKERS.values():
        refuse_other_files(stored(tmp_path, pack(CONTENT)), "Give a folder.")


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n" + bytes(600)])
def test_other_files_are_no_archives(tmp_path: Path, data: bytes) -> None:
    """An image given by mistake would be called a corrupt archive."""
    assert kind_of(stored(tmp_path, data)) is None
