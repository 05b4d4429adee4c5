"""Download one known file: resumed where it broke off, retried, checked.

pooch keeps the file, verifies its SHA-256 and puts it in place atomically; this module gives it a
downloader that continues a partial file.
"""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from headtohead.core.errors import DataError, StorageError
from headtohead.core.system import ANOTHER_CACHE
from headtohead.data.long_tasks import Progress, taking_turns

_CHUNK = 2**15  # a chunk that a broken connection leaves incomplete is lost
_WORTH_ANOTHER_TRY = 2**18  # bytes; a connection that brought so many was not in vain
_TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds of silence
_WORTH_RETRYING = frozenset({408, 425, 429})  # HTTP statuses, beside all of 500 and above


@dataclass(frozen=True)
class Remote:
    """A file on the network whose content is known."""

    url: str
    file_name: str
    size: int
    """Bytes."""
    sha256: str


CATS_VS_DOGS = Remote(
    url="https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/"
    "kagglecatsanddogs_5340.zip",
    file_name="kagglecatsanddogs_5340.zip",
    size=824_887_076,
    sha256="b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
)
"""25,000 photographs of cats and dogs (Asirra; Microsoft Research, research use)."""


class _InterruptedError(Exception):
    """An answer that may well be better next time."""


class _RefusedError(Exception):
    """What asking again will not change."""


@dataclass(frozen=True)
class Patience:
    """How often in a row to try in vain, and the pause after the first time (it doubles)."""

    attempts: int = 6
    pause_seconds: float = 1.0


def fetch(
    remote: Remote, folder: Path, progress: Progress, patience: Patience | None = None
) -> Path:
    """`folder / remote.file_name`, downloaded unless it is there and right.

    What was received before an interruption lies beside it as `….part` and is continued.

    Raises `DataError` where the network, the address or the content fails (it says where to put
    the file by hand) and `StorageError` where the disk is full or may not be written.
    """
    target = folder / remote.file_name
    with taking_turns(folder / f"{remote.file_name}.lock", "downloading", progress):
        try:
            _retrieve(remote, target, progress, patience or Patience())
        except _RefusedError as error:
            raise _by_hand(remote, target, str(error)) from error
        except OSError as error:
            raise StorageError(
                f"cannot store {str(target)!r}: {error.strerror or error}. "
                f"Free the disk, allow writing there, or choose {ANOTHER_CACHE}."
            ) from error
    return target


def _by_hand(remote: Remote, target: Path, reason: str) -> DataError:
    there = " (the file there now has another checksum)" if target.exists() else ""
    return DataError(
        f"could not download {remote.file_name}: {reason}. Get it from {remote.url} another way "
        f"and put it at {str(target)!r}{there}, or give it as --data path/to/{remote.file_name}"
    )


def _retrieve(remote: Remote, target: Path, progress: Progress, patience: Patience) -> None:
    """Through pooch; once more from nothing where what was continued came out wrong."""
    part = target.with_name(f"{target.name}.part")
    attempts = 2 if _size(part) else 1
    for attempt in range(1, attempts + 1):
        try:
            with _quiet_pooch():
                pooch.retrieve(
                    remote.url,
                    known_hash=f"sha256:{remote.sha256}",
                    fname=target.name,
                    path=target.parent,
                    downloader=_Downloader(remote, part, progress, patience),
                )
        except ValueError as error:  # pooch's way to say that the checksum differs
            if attempt == attempts:
                raise _RefusedError("what arrived has another checksum") from error
        else:
            return


@contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Progress is ours to show; pooch's log lines would tear it."""
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@dataclass(frozen=True)
class _Downloader:
    """What pooch calls to fill its temporary file."""

    remote: Remote
    part: Path
    progress: Progress
    patience: Patience

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        if _size(self.part) > self.remote.size:
            self.part.unlink()
        self._check_space()
        in_vain = 0
        while _size(self.part) != self.remote.size:
            before = _size(self.part)
            try:
                self._continue(url, before)
            except (_InterruptedError, requests.RequestException) as error:
                in_vain = 0 if _size(self.part) >= before + _WORTH_ANOTHER_TRY else in_vain + 1
                if in_vain >= self.patience.attempts:
                    raise _RefusedError(_brief(error)) from error
                at = f"{self.remote.file_name} at byte {before:,}"
                self.progress(f"waiting to continue {at}", 0, 0)
                time.sleep(min(60.0, self.patience.pause_seconds * 2 ** max(0, in_vain - 1)))
        self.part.replace(output_file)

    def _check_space(self) -> None:
        needed = self.remote.size - _size(self.part)
        free = shutil.disk_usage(self.part.parent).free
        if free < needed:
            raise StorageError(
                f"{self.remote.file_name} needs {needed:,} more bytes and {free:,} are free in "
                f"{str(self.part.parent)!r}. Free the disk, or choose {ANOTHER_CACHE}."
            )

    def _continue(self, url: str, have: int) -> None:
        """One request: appends to the partial file, or starts it anew where the server does."""
        # Compressed by the server, ranges and sizes would mean something else.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                self.part.unlink()
                raise _InterruptedError("the server cannot continue; starting anew")
            start = self._start(answer, have)
            doing = f"downloading {self.remote.file_name}, in bytes"
            with self.part.open("ab" if start else "wb") as file:
                for chunk in answer.iter_content(_CHUNK):
                    start += len(chunk)
                    if start > self.remote.size:
                        raise _RefusedError("the server sent more than the file's size")
                    file.write(chunk)
                    self.progress(doing, start, self.remote.size)
        if start < self.remote.size:
            raise _InterruptedError(f"the connection ended at byte {start:,}")

    def _start(self, answer: requests.Response, have: int) -> int:
        """The byte at which the body of `answer` begins."""
        status = answer.status_code
        if status in _WORTH_RETRYING or status >= 500:
            raise _InterruptedError(f"the server answered {status}")
        if status == requests.codes.ok:
            start, total = 0, answer.headers.get("Content-Length", "")
        elif status == requests.codes.partial_content:
            start, total = have, answer.headers.get("Content-Range", "").rpartition("/")[2]
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                raise _RefusedError("the server sent another part than the one asked for")
        else:
            raise _RefusedError(f"the server answered {status} {answer.reason}")
        if total.isdecimal() and int(total) != self.remote.size:
            raise _RefusedError(f"the server has another file ({total} bytes)")
        return start


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _brief(error: Exception) -> str:
    """A plain reason: the messages of requests hold objects' addresses and much nesting."""
    if isinstance(error, _InterruptedError):
        return str(error)
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return f"the download broke off ({type(error).__name__})"
