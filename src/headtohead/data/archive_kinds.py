"""What a file is, by its content: a zip or a tar, which are read, or something else."""

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Literal, cast

from headtohead.core.errors import DataError

_ZIP_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06")
_COMPRESSIONS: dict[bytes, Callable[[IO[bytes]], IO[bytes]]] = {
    b"\x1f\x8b": lambda file: cast(IO[bytes], gzip.GzipFile(fileobj=file)),
    b"BZh": lambda file: cast(IO[bytes], bz2.BZ2File(file)),
    b"\xfd7zXZ\0": lambda file: cast(IO[bytes], lzma.LZMAFile(file)),  # noqa: SIM115
}
_OTHER_ARCHIVES = (
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "RAR"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"\x04\x22\x4d\x18", "LZ4"),
    (b"\x1f\x9d", "compress (.Z)"),
)
CORRUPT = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    struct.error,
    NotImplementedError,  # zipfile: a compression that it does not know
    ValueError,
    MemoryError,
)
"""What the readers of archives raise where one is damaged."""


def kind_of(path: Path) -> Literal["zip", "tar"] | None:
    """What the file `path` is, or at least begins like, whatever its suffix.

    A zip may lie in a tar's end, so tar comes first. Raises `OSError` where it cannot be read.
    """
    with path.open("rb") as file:
        beginning = file.read(8)
    if beginning.startswith(tuple(_COMPRESSIONS)):
        return "tar"
    if beginning.startswith(_ZIP_BEGINNINGS):
        return "zip"
    try:
        if tarfile.is_tarfile(path):
            return "tar"
    except CORRUPT:
        return None
    return "zip" if zipfile.is_zipfile(path) else None


def decompressed(file: IO[bytes]) -> IO[bytes]:
    """What is in `file`, which is itself where it is not compressed."""
    beginning = file.read(8)
    file.seek(0)
    for start, decompress in _COMPRESSIONS.items():
        if beginning.startswith(start):
            return decompress(file)
    return file


def refuse_other_files(path: Path, layout: str) -> None:
    """Raise `DataError` where the file `path` is no zip or tar, saying what it is instead.

    `layout` says what should be given. Raises `OSError` where it cannot be read.
    """
    if kind_of(path) is None:
        with path.open("rb") as file:
            beginning = file.read(8)
        if not beginning:
            raise DataError(f"an empty file: {str(path)!r}. Download or copy it again.")
        kind = next((name for start, name in _OTHER_ARCHIVES if beginning.startswith(start)), None)
        if kind is not None:
            raise DataError(
                f"a {kind} archive, which is not read: {str(path)!r}. Extract it and give the "
                "folder, or pack it as a zip or tar."
            )
        raise DataError(f"neither a folder nor a zip or tar: {str(path)!r}. {layout}")
    if _is_compressed(path) and not _holds_tar(path):
        raise DataError(
            f"a compressed file that is no tar: {str(path)!r} (a single file, or damaged). "
            f"Extract it by hand. {layout}"
        )


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8).startswith(tuple(_COMPRESSIONS))


def _holds_tar(path: Path) -> bool:
    """Whether what is compressed in `path` begins like a tar; True where it cannot be read."""
    with path.open("rb") as file:
        try:
            header = decompressed(file).read(tarfile.BLOCKSIZE)
        except (*CORRUPT, OSError):
            return True  # corrupt: extracting says how
    if not any(header):  # an empty tar; of an empty file, extracting says that it is cut
        return True
    if len(header) < tarfile.BLOCKSIZE:
        return False
    try:
        tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True
