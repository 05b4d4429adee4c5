"""Extract an archive that nobody vouches for: inside its folder, within limits, whole or not.

Members are written by this module rather than by `extractall`, so that limits hold for what is
really written, not for what headers promise. Archives within archives are not opened.
"""

import errno
import hashlib
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, cast

from headtohead.core.errors import DataError, StorageError
from headtohead.core.system import ANOTHER_CACHE
from headtohead.core.text import printable
from headtohead.data.archive_kinds import CORRUPT, decompressed, kind_of
from headtohead.data.inventory import PARTIAL, loss, make_whole
from headtohead.data.long_tasks import Progress, taking_turns

_CHUNK = 2**20
_BLOCK = 4096  # what an empty file takes on most disks
_MOST_AT_ONCE = 64 * 2**20
_IN_UTF8 = 0x800  # zipfile reads names without this flag as code page 437
_UNWRITABLE_NAMES = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EILSEQ)


@dataclass(frozen=True)
class Limits:
    """What an archive may become. Photographs hardly compress: their ratio is near 1."""

    total_bytes: int = 256 * 2**30
    members: int = 4_000_000
    ratio: float = 100.0
    """Bytes on disk per byte of archive …"""
    ratio_from_bytes: int = 2**30
    """… checked above so many bytes on disk: drawings may compress better, if they are few."""


_LIMITS = Limits()


def extracted_folder(cache: Path, sha256: str) -> Path:
    """Where the archive of this checksum is, or will be, extracted."""
    return cache / "sources" / sha256[:16]


def extract(
    archive: Path,
    *,
    cache: Path,
    progress: Progress,
    sha256: str | None = None,
    limits: Limits = _LIMITS,
) -> Path:
    """The folder with the members of `archive`, extracted whole, once, and reused from then on.

    A folder in the cache that has lost files since is made again.
    `sha256` is the archive's checksum where the caller has just verified it.

    Raises `DataError` where the archive is corrupt, encrypted, over `limits`, or has members that
    leave its folder or are links or devices; `StorageError` where the disk is too small or may
    not be read or written. Nothing is left behind then.
    """
    try:
        folder = extracted_folder(cache, sha256 or _digest(archive, progress))
        if loss(folder) is None:
            return folder
        lock = folder.with_name(f"{folder.name}.lock")
        name = printable(archive.name)
        with taking_turns(lock, f"extracting {name}", progress):
            fill = partial(_extract_into, _Writer(archive, limits, progress))
            make_whole(folder, f"the folder of {name}", fill, progress)
    except CORRUPT as error:
        raise _corrupt(archive, error) from error
    except OSError as error:
        raise _not_extracted(archive, cache, error) from error
    return folder


def _not_extracted(archive: Path, cache: Path, error: OSError) -> DataError | StorageError:
    """What a failure to read or write says: of the archive, of a member's name, or of the disk."""
    if error.errno is None:  # gzip's and bz2's way to say it
        return _corrupt(archive, error)
    if error.errno in _UNWRITABLE_NAMES:
        member = str(error.filename).rpartition(PARTIAL)[2].partition("/")[2] or "."
        return DataError(
            f"{str(archive)!r} has a member that cannot be stored ({error.strerror}: "
            f"{member!r}). Extract it by hand and give the folder."
        )
    return StorageError(
        f"cannot extract {str(archive)!r} to {str(cache)!r}: {error.strerror or error}. "
        f"Free the disk, allow reading and writing, or choose {ANOTHER_CACHE}."
    )


def _corrupt(archive: Path, error: Exception) -> DataError:
    return DataError(
        f"a corrupt or incomplete archive: {str(archive)!r} ({type(error).__name__}: {error}). "
        "Download or copy it again."
    )


def _digest(archive: Path, progress: Progress) -> str:
    digest, done, total = hashlib.sha256(), 0, archive.stat().st_size
    with archive.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress(f"checking {printable(archive.name)}, in bytes", done, total)
    return digest.hexdigest()


@dataclass(frozen=True)
class _Entry:
    """One entry of an archive, of either kind."""

    name: str
    is_folder: bool
    position: int
    """Bytes of the archive before it, about; for progress."""
    open: Callable[[], IO[bytes]]


@dataclass
class _Writer:
    """Writes members below a folder and counts what they take."""

    archive: Path
    limits: Limits
    progress: Progress
    members: int = 0
    on_disk: int = 0

    def check(self, members: int, on_disk: int) -> None:
        """Refuse, while it happens or in advance, to become larger than the limits."""
        limits, size = self.limits, self.archive.stat().st_size
        over = None
        if members > limits.members:
            over = f"more than {limits.members:,} members"
        elif on_disk > limits.total_bytes:
            over = f"more than {limits.total_bytes:,} bytes when extracted"
        elif on_disk > limits.ratio_from_bytes and on_disk > limits.ratio * size:
            over = f"more than {limits.ratio:g} times its size when extracted"
        if over:
            raise DataError(
                f"refused as an archive bomb: {str(self.archive)!r} ({over}). "
                "If it is not one, extract it by hand and give the folder."
            )

    def check_space(self, needed: int, folder: Path) -> None:
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise StorageError(
                f"{str(self.archive)!r} needs {needed:,} bytes when extracted and {free:,} are "
                f"free in {str(folder)!r}. Free the disk, or choose {ANOTHER_CACHE}."
            )

    def write(self, member: _Entry, root: Path) -> None:
        path = _inside(root, member.name, self.archive)
        self.members += 1
        self.on_disk += _BLOCK
        self.check(self.members, self.on_disk)
        if member.is_folder:
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, path.open("xb") as target:
            while chunk := source.read(_CHUNK):
                self.on_disk += len(chunk)
                self.check(self.members, self.on_disk)
                target.write(chunk)


def _extract_into(writer: _Writer, folder: Path) -> None:
    archive = writer.archive
    total, doing = archive.stat().st_size, f"extracting {printable(archive.name)}, in bytes"
    kind = kind_of(archive)
    if kind is None:
        raise tarfile.ReadError("neither zip nor tar")
    members_of = _zip_members if kind == "zip" else _tar_members
    for member in members_of(archive, writer, folder):
        writer.write(member, folder)
        writer.progress(doing, member.position, total)
    writer.progress(doing, total, total)


def _zip_members(archive: Path, writer: _Writer, folder: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as file:
        entries = file.infolist()
        needed = sum(entry.file_size for entry in entries)
        writer.check(len(entries), needed)
        writer.check_space(needed, folder)
        position = 0
        for entry in entries:
            if entry.flag_bits & 1:
                raise DataError(
                    f"an encrypted archive: {str(archive)!r}. "
                    "Extract it by hand and give the folder."
                )
            # Unix permissions and kind lie in the upper half; zips from elsewhere have none.
            name = _zip_name(entry)
            if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _special(name, archive)
            position += entry.compress_size
            is_folder = name.endswith(("/", "\\"))
            if is_folder and entry.file_size:
                raise DataError(
                    f"refused {str(archive)!r}: its member {name!r} is a folder with "
                    "content. Pack it again, or extract it by hand and give the folder."
                )
            yield _Entry(name, is_folder, position, partial(file.open, entry))


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """The member's name: `zip` and macOS write UTF-8 without the flag that says so."""
    if entry.flag_bits & _IN_UTF8:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode()
    except UnicodeError:
        return entry.filename


class _Guard:
    """A stream whose reader cannot be talked into one huge read by a header."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.last = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MOST_AT_ONCE:
            raise tarfile.ReadError(f"a header of {size} bytes")
        self.last = self._stream.read(size)
        return self.last

    def seek(self, place: int) -> int:
        return self._stream.seek(place)

    def tell(self) -> int:
        return self._stream.tell()


def _tar_members(archive: Path, writer: _Writer, folder: Path) -> Iterator[_Entry]:
    with archive.open("rb") as file:
        stream = decompressed(file)
        # A tar is never much smaller than its members; a compressed one is at least its own size.
        writer.check_space(archive.stat().st_size, folder)
        guard = _Guard(stream)
        with tarfile.open(fileobj=cast(IO[bytes], guard), mode="r:") as tar:
            while (entry := tar.next()) is not None:
                if not (entry.isreg() or entry.isdir()):
                    raise _special(entry.name, archive)
                content = cast(Callable[[], IO[bytes]], partial(tar.extractfile, entry))
                yield _Entry(entry.name, entry.isdir(), file.tell(), content)
                tar.members = []  # type: ignore[attr-defined]  # it would keep them all
        _check_end(guard, stream)


def _check_end(guard: _Guard, stream: IO[bytes]) -> None:
    """For tarfile, a broken header, or a cut between two members, is the end."""
    if guard.last != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("unexpected end of data")
    rest = 0
    while chunk := stream.read(_CHUNK):  # a compressed stream has its checksum at the end
        rest += len(chunk)
        if rest > _MOST_AT_ONCE:
            raise tarfile.ReadError("data after the end")


def _special(name: str, archive: Path) -> DataError:
    return DataError(
        f"refused {str(archive)!r}: its member {name!r} is a link or a device. "
        "If you trust it, extract it by hand and give the folder."
    )


def _inside(root: Path, name: str, archive: Path) -> Path:
    """`root / name`; refused where that could lie elsewhere on any platform."""
    parts = name.replace("\\", "/").split("/")
    drive = re.match(r"[A-Za-z]:", name)
    if drive and not re.match(r"[A-Za-z]:[/\\]", name) and len(name) > 2:
        raise DataError(
            f"refused {str(archive)!r}: its member {name!r} begins like a drive of Windows "
            f"({drive[0]!r}), where it would be written elsewhere. Rename the folder in the "
            "archive, or extract it by hand and give the folder."
        )
    if not parts[0] or drive or ".." in parts:
        raise DataError(
            f"refused {str(archive)!r}: its member {name!r} would be written outside its folder. "
            "Do not trust this archive."
        )
    return root.joinpath(*(part for part in parts if part not in ("", ".")))
