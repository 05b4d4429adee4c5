"""Archives from strangers are extracted whole inside their folder, or refused without a trace."""

import contextlib
import gzip
import io
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtohead.core.errors import DataError, HeadToHeadError, StorageError
from headtohead.data.archives import (
    Limits,
    extract,
    extracted_folder,
)
from quiet import silent

CONTENT = {"Cat/1.jpg": b"one" * 500, "Cat/deep/2.jpg": b"two", "Dog/3.jpg": b"three"}


def zipped(content: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return file.getvalue()


def tarred(content: dict[str, bytes], mode: str = "w:") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()


PACKERS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda content: tarred(content, "w:gz"),
    "tar.bz2": lambda content: tarred(content, "w:bz2"),
    "tar.xz": lambda content: tarred(content, "w:xz"),
}


def found(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def stored(tmp_path: Path, data: bytes) -> Path:
    archive = tmp_path / "archive"
    archive.write_bytes(data)
    return archive


def refusal(tmp_path: Path, data: bytes, limits: Limits | None = None) -> str:
    """The message of the DataError; nothing but the lock may be left behind."""
    archive = stored(tmp_path, data)
    cache = tmp_path / "cache"
    with pytest.raises(DataError) as caught:
        extract(archive, cache=cache, progress=silent, limits=limits or Limits())
    left = [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == []
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "cache"}
    return str(caught.value)


@pytest.mark.parametrize("kind", PACKERS)
def test_members_come_out_as_they_went_in_and_once(tmp_path: Path, kind: str) -> None:
    """Images would be lost or changed, or a large archive extracted again for every study."""
    archive = stored(tmp_path, PACKERS[kind](CONTENT))
    reports: list[tuple[str, int, int]] = []
    folder = extract(
        archive, cache=tmp_path / "cache", progress=lambda *report: reports.append(report)
    )
    assert found(folder) == CONTENT
    assert folder.parent == tmp_path / "cache" / "sources"
    assert len(folder.name) == 16
    assert reports[-1] == (
        "extracting archive, in bytes",
        archive.stat().st_size,
        archive.stat().st_size,
    )
    (folder / "Dog/3.jpg").write_bytes(b"kept!")  # of the same size
    again = extract(archive, cache=tmp_path / "cache", progress=silent)
    assert again == folder
    assert found(again)["Dog/3.jpg"] == b"kept!"


@pytest.mark.parametrize("encoding", ["utf-8", "cp437"])
def test_umlauts_of_a_zip_without_the_utf8_flag_are_read(tmp_path: Path, encoding: str) -> None:
    """A class `Kühe` packed by macOS or `zip` would be called `K├╝he` in every table."""
    name = "Kühe".encode(encoding)
    plain = "x" * len(name)
    packed = zipped({f"{plain}/1.jpg": b"one"}).replace(plain.encode(), name)
    folder = extract(stored(tmp_path, packed), cache=tmp_path / "cache", progress=silent)
    assert found(folder) == {"Kühe/1.jpg": b"one"}


def test_a_killed_extraction_is_begun_anew(tmp_path: Path) -> None:
    """A half of the images would be taken for all of them."""
    archive = stored(tmp_path, zipped(CONTENT))
    left = extracted_folder(tmp_path, "ab" * 32).with_name("ab" * 8 + ".partial")
    (left / "Cat").mkdir(parents=True)
    (left / "Cat/1.jpg").write_bytes(b"half")
    folder = extract(archive, cache=tmp_path, progress=silent, sha256="ab" * 32)
    assert found(folder) == CONTENT
    assert not left.exists()


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    "name", ["../evil.jpg", "Cat/../../evil.jpg", "/evil.jpg", "C:/evil.jpg", "..\\evil.jpg"]
)
def test_members_that_leave_the_folder_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    """An archive could overwrite any file of the user's."""
    assert "outside its folder" in refusal(tmp_path, PACKERS[kind]({name: b"evil"}))


@given(parts=st.lists(st.sampled_from(["..", ".", "a", "", "\\", "C:", "\n", "é"]), min_size=1))
def test_no_name_writes_outside(tmp_path: Path, parts: list[str]) -> None:
    """A spelling of "above" that nobody thought of would open the user's files."""
    shutil.rmtree(tmp_path / "case", ignore_errors=True)
    case = tmp_path / "case"
    case.mkdir()
    archive = stored(case, tarred({"/".join(parts): b"x"}))
    with contextlib.suppress(DataError):
        extract(archive, cache=case / "cache", progress=silent)
    inside = {path for path in case.rglob("*") if path.is_file() and path.suffix != ".lock"}
    sources = case / "cache" / "sources"
    assert all(path == archive or path.is_relative_to(sources) for path in inside)
    assert {path.name for path in tmp_path.iterdir()} == {"case"}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    """A link to /etc would make later members be written there."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("Cat")
        entry.type, entry.linkname = kind, "/etc"
        archive.addfile(entry)
    assert "a link or a device" in refusal(tmp_path, file.getvalue())


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    """As in a tar."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        entry = zipfile.ZipInfo("Cat")
        entry.create_system = 3
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc")
    assert "a link or a device" in refusal(tmp_path, file.getvalue())


@pytest.mark.parametrize("kind", PACKERS)
def test_bombs_are_refused(tmp_path: Path, kind: str) -> None:
    """A small download would fill the disk."""
    bomb = PACKERS[kind]({f"Cat/{number}.bmp": bytes(2**20) for number in range(4)})
    many = PACKERS[kind]({f"Cat/{number}.jpg": b"" for number in range(40)})
    assert "1,000,000 bytes" in refusal(tmp_path, bomb, Limits(total_bytes=1_000_000))
    assert "30 members" in refusal(tmp_path, many, Limits(members=30))
    if kind != "tar":  # which does not compress
        tight = Limits(ratio=50, ratio_from_bytes=2**20)
        assert "50 times" in refusal(tmp_path, bomb, tight)


def test_empty_files_count_for_what_they_take(tmp_path: Path) -> None:
    """A million empty members in a few kilobytes would use up the disk's file entries."""
    many = PACKERS["tar.xz"]({f"{number}": b"" for number in range(2000)})
    assert "times its size" in refusal(tmp_path, many, Limits(ratio_from_bytes=2**20))


def test_a_header_that_lies_about_its_size_is_caught(tmp_path: Path) -> None:
    """Limits that trust headers stop nobody who writes them."""
    data = bytearray(zipped({"Cat/1.bmp": bytes(2**21)}))
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = (100).to_bytes(4, "little")
    assert "corrupt" in refusal(tmp_path, bytes(data), Limits(total_bytes=2**20))


def test_a_tar_header_cannot_ask_for_all_memory(tmp_path: Path) -> None:
    """An extended header of gigabytes is read at once by tarfile."""
    entry = tarfile.TarInfo("long")
    entry.type, entry.size = tarfile.XHDTYPE, 2**33
    data = gzip.compress(entry.tobuf(tarfile.GNU_FORMAT) + bytes(2**20), mtime=0)
    assert "a header of" in refusal(tmp_path, data)


@pytest.mark.parametrize("kind", PACKERS)
def test_an_archive_cut_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    """A broken download would be taken for a small set of images."""
    data = PACKERS[kind](CONTENT)
    end = len(data) if kind != "tar" else 512 * 2 * 3 + 1500 - 1500 % 512  # after: only zeros
    for length in {10, end // 2, end - 5}:
        message = refusal(tmp_path, data[:length])
        assert "a corrupt or incomplete archive" in message


def test_a_tar_cut_between_two_members_is_refused(tmp_path: Path) -> None:
    """For tarfile alone that is the end, and the second class would be missing."""
    only_first = {"Cat/1.jpg": CONTENT["Cat/1.jpg"]}
    both = tarred(CONTENT)
    cut = 512 + 1536
    assert both[:cut] == tarred(only_first)[:cut]
    assert "corrupt" in refusal(tmp_path, both[:cut])
    assert "corrupt" in refusal(tmp_path, both[:cut] + b"garbage" * 512)


@given(
    kind=st.sampled_from(sorted(PACKERS)),
    flips=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=5),
)
def test_damage_anywhere_never_ends_in_a_traceback(
    tmp_path: Path, kind: str, flips: list[tuple[int, int]]
) -> None:
    """A damaged archive would show the user the program's inside instead of what to do."""
    shutil.rmtree(tmp_path / "case", ignore_errors=True)
    (tmp_path / "case").mkdir()
    data = bytearray(PACKERS[kind](CONTENT))
    for place, value in flips:
        data[place % len(data)] = value
    archive = stored(tmp_path / "case", bytes(data))
    try:
        extract(archive, cache=tmp_path / "case/cache", progress=silent)
    except HeadToHeadError as error:
        assert str(archive) in str(error)  # noqa: PT017 - whether it fails depends on the damage


def test_an_encrypted_archive_is_refused_with_advice(tmp_path: Path) -> None:
    """Waiting for a password nobody can give, or a traceback."""
    data = bytearray(zipped({"Cat/1.jpg": b"secret"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.rindex(signature) + offset] |= 1
    assert "an encrypted archive" in refusal(tmp_path, bytes(data))


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    """One image would silently replace another, as where upper and lower case are one."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for data in (b"first", b"second"):
            entry = tarfile.TarInfo("Cat/1.jpg")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    assert "cannot be stored" in refusal(tmp_path, file.getvalue())
    assert "cannot be stored" in refusal(tmp_path, zipped({"Cat": b"file", "Cat/1.jpg": b"in it"}))


def test_a_disk_that_is_too_small_is_said_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Minutes of extracting would end in a full disk."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10_000, 9_000, 1_000))
    for kind in ("zip", "tar"):
        archive = stored(tmp_path, PACKERS[kind](CONTENT))
        with pytest.raises(StorageError, match="1,000 are"):
            extract(archive, cache=tmp_path / "cache", progress=silent)


def test_a_cache_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    """A traceback instead of the advice to choose another cache folder."""
    archive = stored(tmp_path, zipped(CONTENT))
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    with pytest.raises(StorageError, match="another cache folder"):
        extract(archive, cache=tmp_path / "cache", progress=silent)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_name_like_a_drive_is_no_attack(tmp_path: Path, kind: str) -> None:
    """The owner of a class named `a: first` would be told not to trust their own archive."""
    message = refusal(tmp_path, PACKERS[kind]({"a: first/1.jpg": b"x"}))
    assert "'a:'" in message
    assert "Do not trust" not in message


def test_a_tar_that_ends_in_a_zip_is_read_as_a_tar(tmp_path: Path) -> None:
    """The folder inside would be mistaken for the whole."""
    inner = zipped({"inner.jpg": b"x"})
    archive = stored(tmp_path, tarred({"Cat/1.jpg": b"y", "last.zip": inner})[: 512 * 5])
    archive.write_bytes(archive.read_bytes() + bytes(1024))
    assert set(found(extract(archive, cache=tmp_path / "c", progress=silent))) == {
        "Cat/1.jpg",
        "last.zip",
    }
