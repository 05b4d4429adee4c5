"""Writing files so that they are whole or absent, and knowing them again by their content."""

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from headtohead.core.errors import StorageError, UsageError, brief

NAME = r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}"
"""What may be the name of a file or folder, and part of an id, on every system."""


def expanded(path: str | Path) -> Path:
    """`path` with `~` as the user's home, `~name` as another's.

    Raises UsageError where there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(
            f"no home folder is known for {brief(repr(str(path)))}: write the path in full."
        ) from None


def not_utf8(path: str) -> bool:
    """Whether a name in `path` is bytes that are no text: reports and weights cannot hold it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return True
    return False


def write_atomic(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Write `content` to `path` through a synced temporary sibling, creating folders as needed.

    Without `sync` it is whole or absent for every process, but a power failure may leave it empty:
    for what is soon made again, and checked when it is read. Raises StorageError where the disk is
    full or the folder may not be written; what stood at `path` before is then untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as handle:
            handle.write(content)
            handle.flush()
            if sync:
                os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # it may never have come to be
            temporary.unlink()
        raise storage_error(path, error) from error


def csv_bytes(lines: Iterable[Iterable[object]]) -> bytes:
    """`lines` as CSV in UTF-8; of a name that is no text the bytes are written with a backslash."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(lines)
    return buffer.getvalue().encode("utf-8", "backslashreplace")


def append_line(path: Path, line: str, *, sync: bool = True) -> None:
    """Append one line to `path`; `sync` and errors are those of `write_atomic`."""
    try:
        with path.open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")
            handle.flush()
            if sync:
                os.fsync(handle.fileno())
    except OSError as error:
        raise storage_error(path, error) from error


def sync_file(path: Path) -> None:
    """Have what was written to `path` outlast a power failure. Raises StorageError."""
    try:
        with path.open("rb+") as handle:
            os.fsync(handle.fileno())
    except OSError as error:
        raise storage_error(path, error) from error


def check_out(out: Path) -> None:
    """That a folder `out` can be made, or is there and may be written; makes nothing.

    Raises UsageError where a file stands in its way, and StorageError.
    """
    try:
        whole = out.absolute()
        if not_utf8(str(whole)):
            raise UsageError(
                f"--out {brief(str(out))}: the name of the folder, or of one above it, is not "
                f"UTF-8; name another."
            )
        present = next(path for path in (whole, *whole.parents) if path.exists())
        if not present.is_dir():
            raise UsageError(f"--out {brief(str(out))}: {present.name} is a file; name a folder.")
        if not os.access(present, os.W_OK | os.X_OK):
            read_only = hasattr(os, "statvfs") and os.statvfs(present).f_flag & os.ST_RDONLY
            number = errno.EROFS if read_only else errno.EACCES
            raise OSError(number, os.strerror(number))
    except OSError as error:
        raise storage_error(out, error) from error


def see_suffix(out: Path, what: str, *suffixes: str) -> None:
    """Raises UsageError where the name of `out` ends in none of `suffixes`: it would mislead."""
    if out.suffix.lower() not in suffixes:
        name = out.name.split(".")[0] or "out"
        raise UsageError(
            f"--out {brief(str(out))}: the name of {what} ends in {', '.join(suffixes)}; name it "
            f"{brief(name)}{suffixes[0]}."
        )


def see_readable(path: Path) -> None:
    """That a file may be read, for libraries that say of one that may not that it is not there.

    Of a folder they say it. Raises FileNotFoundError where there is none, and StorageError.
    """
    try:
        with path.open("rb"):
            return
    except FileNotFoundError:
        raise
    except IsADirectoryError:
        return
    except OSError as error:
        raise unreadable(path, error) from error


def storage_error(path: Path, error: OSError) -> StorageError:
    """The clear form of an operating-system error met while writing `path`."""
    reason = error.strerror or str(error)
    return StorageError(
        f"cannot write {brief(str(path), 200)}: {reason}. Free some space or choose a "
        f"folder that may be written (--out, or HEADTOHEAD_CACHE for the cache)."
    )


def unreadable(path: Path | str, error: OSError) -> StorageError:
    """The clear form of an operating-system error met while reading `path`."""
    reason = error.strerror or str(error)
    return StorageError(
        f"cannot read {brief(repr(str(error.filename or path)), 200)}: {reason}. Allow reading it, "
        f"or name another."
    )


def sha256_of_bytes(content: bytes) -> str:
    """SHA-256 of `content`, as hex."""
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, as hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest_of(value: Any) -> str:
    """SHA-256, as hex, of a JSON-like value in canonical form (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
