"""A source's images → a prepared set in the cache: decoded and resized once, used many times.

A prepared set is keyed by its digest, which covers everything that decides its content: the
files, the decoder and its version, size, method, and the way duplicates are found. Where the
cache has it, it is used at once. Otherwise one process prepares it under a lock, in a folder
`<digest>.part` that becomes `<digest>` when it is complete; after a kill the next call goes on
with what is there.
"""

import contextlib
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from headtohead.core.errors import DataError, StorageError, UsageError
from headtohead.core.system import ANOTHER_CACHE
from headtohead.core.text import counted, printable
from headtohead.data.decode import DECODER, NO_PERMISSION, NOT_READ
from headtohead.data.decode_pool import Decoded, fill
from headtohead.data.duplicates import near_duplicates
from headtohead.data.formats import decoder_identity
from headtohead.data.long_tasks import Progress, taking_turns
from headtohead.data.prepared import (
    MANIFEST,
    PICTURES,
    PreparedSet,
    Quarantined,
    load_prepared,
    write_manifest,
)
from headtohead.data.rowfile import keep_rows, open_rows
from headtohead.data.selection import Selection, hash_files, select
from headtohead.data.sources import Source
from headtohead.data.walking import CACHE_TAG, CACHE_TAG_TEXT

_DIGEST_LETTERS = 16
_ABANDONED = 7 * 24 * 3600  # seconds after which an unfinished attempt is thrown away
_SHOWN = 5  # examples in an error message
_OF_A_CLASS = 0.25  # share of a class's files that may be unreadable, unless more is allowed
_CLASSES_SHOWN = 8
# Files of this kind lie beside images on purpose.
_ANNOTATIONS = (".json", ".xml", ".txt", ".csv", ".yaml", ".yml", ".xmp", ".aae", ".md")


def prepare(
    source: Source,
    *,
    image_size: int,
    resize: str,
    limit: int | None,
    max_unreadable: float,
    cache: Path,
    workers: int,
    progress: Progress,
    agree: Callable[[str], None] = lambda digest: None,
) -> PreparedSet:
    """The prepared set of `source`, from `cache` if it is there, else made by `workers` processes.

    - `image_size`: height and width in pixels; `resize`: one of `resize.RESIZE_METHODS`.
    - `limit`: at most so many images, in proportion per class (and given split), chosen by a
      hash of each image's name: a smaller limit is a subset of a larger one.
    - `max_unreadable`: the share of the files, 0 to 1, that may fail to decode; of one class's
      files a quarter may, or this share where it is larger. Those are quarantined: they get no
      row, and are listed with the reason.
    - `agree` is called with the digest before anything is decoded, and may raise.

    Anonymous memory grows by less than 2 kB per image.

    Raises `UsageError` for a limit below the number of classes, `DataError` where too many files
    cannot be decoded or a class is left without an image, `StorageError` where the cache cannot
    be written, `RunError` where a worker dies.
    """
    _check_limit(source, limit)
    _mark(cache)
    files = select(source.files, limit)
    sha256 = hash_files(files, workers, progress)
    selection = Selection(source.classes, files, sha256, image_size, resize)
    digest = selection.digest()
    agree(digest)
    folder = _place(cache, digest)
    with _storage(folder.parent):
        there = folder.is_dir()
    if not there:
        _make_once(selection, digest, folder, workers, progress)
    prepared = load_prepared(folder)
    _judge(prepared, source.shown, max_unreadable)
    return prepared


def cached_set(cache: Path, digest: str) -> PreparedSet | None:
    """The prepared set of this digest where `cache` still has it. Raises DataError if damaged."""
    folder = _place(cache, digest)
    return load_prepared(folder) if folder.is_dir() else None


def _place(cache: Path, digest: str) -> Path:
    return cache / "prepared" / digest[:_DIGEST_LETTERS]


def _mark(cache: Path) -> None:
    """Put the tag into `cache` that backups, and `walking.is_own`, know a cache by."""
    tag = cache / CACHE_TAG
    with contextlib.suppress(OSError):  # a cache that may only be read serves, too
        if not tag.is_file():
            cache.mkdir(parents=True, exist_ok=True)
            tag.write_text(CACHE_TAG_TEXT, encoding="ascii")


def _check_limit(source: Source, limit: int | None) -> None:
    if limit is not None and limit < len(source.classes):
        raise UsageError(
            f"limit {limit}: there are {len(source.classes)} classes, and each needs images. "
            f"Give at least {len(source.classes)}, or no limit."
        )


def _make_once(
    selection: Selection, digest: str, folder: Path, workers: int, progress: Progress
) -> None:
    """Make `folder`, or wait while another process makes it."""
    doing = "preparing the same images"
    with taking_turns(folder.with_suffix(".lock"), doing, progress), _storage(folder.parent):
        if not folder.is_dir():  # else another process has made it meanwhile
            _sweep(folder.parent, spare=folder.with_suffix(".part"))
            _make(selection, digest, folder, workers, progress)


def _make(
    selection: Selection, digest: str, folder: Path, workers: int, progress: Progress
) -> None:
    """Prepare into `<folder>.part`, then give it its name."""
    part = folder.with_suffix(".part")
    paths = [file.path for file in selection.files]
    decoded = fill(
        part,
        paths,
        image_size=selection.image_size,
        resize=selection.resize,
        workers=workers,
        progress=progress,
    )
    _refuse_lost(selection, decoded, part)
    rows = decoded.usable
    keep_rows(part / PICTURES, rows)
    groups = near_duplicates(open_rows(part / PICTURES), progress)
    write_manifest(
        _described(selection, digest, decoded, groups, part),
        decoder=decoder_identity(DECODER),
        sha256=[selection.sha256[row] for row in rows],
    )
    for leftover in part.iterdir():
        if leftover.name not in (PICTURES, MANIFEST):
            leftover.unlink()
    part.rename(folder)


def _refuse_lost(selection: Selection, decoded: Decoded, part: Path) -> None:
    """Raise `DataError` where files were there when they were hashed, and then no more.

    Kept, the set would lack them under the digest of a set that has them, and be found again.
    """
    lost = [
        f"{printable(selection.files[row].name)} ({reason})"
        for row, reason in decoded.reasons.items()
        if selection.sha256[row] and reason.startswith(NOT_READ)
    ]
    if lost:
        shutil.rmtree(part)
        raise DataError(
            f"{counted(len(lost), 'file')} could be read and then no more, while images were "
            f"decoded: {'; '.join(lost[:_SHOWN])}. Leave the files in place, see that the disk is "
            "well, and run the same command again."
        )


def _described(
    selection: Selection, digest: str, decoded: Decoded, groups: NDArray[np.int64], folder: Path
) -> PreparedSet:
    """The columns of the set that lies in `folder`."""
    files, rows = selection.files, decoded.usable
    number = {label: index for index, label in enumerate(selection.classes)}
    return PreparedSet(
        folder=folder,
        digest=digest,
        image_size=selection.image_size,
        resize=selection.resize,
        classes=selection.classes,
        names=tuple(files[row].name for row in rows),
        labels=np.array([number[files[row].label] for row in rows], np.int64),
        groups=groups,
        given=tuple(files[row].split for row in rows),
        original_sizes=decoded.sizes[rows],
        quarantined=tuple(
            Quarantined(files[row].name, files[row].label, reason)
            for row, reason in decoded.reasons.items()
        ),
    )


def unreadable_per_class(prepared: PreparedSet) -> dict[str, int]:
    """Class → files that could not be decoded; only classes that have some."""
    lost = Counter(entry.label for entry in prepared.quarantined)
    return {label: lost[label] for label in prepared.classes if lost[label]}


def lost_line(lost: Mapping[str, int], prepared: PreparedSet) -> str:
    """`7 files cannot be decoded: dog 7 of 12`, classes that lost the largest share first."""
    usable = Counter(prepared.classes[number] for number in prepared.labels.tolist())
    shares = {label: count / (count + usable[label]) for label, count in lost.items()}
    worst = sorted(lost, key=lambda label: (-shares[label], label))
    parts = [
        f"{printable(label)} {lost[label]} of {lost[label] + usable[label]}" for label in worst
    ]
    more = (
        [f"and {len(parts) - _CLASSES_SHOWN} more classes"] if len(parts) > _CLASSES_SHOWN else []
    )
    files = counted(sum(lost.values()), "file")
    return f"{files} cannot be decoded: {', '.join([*parts[:_CLASSES_SHOWN], *more])}"


def _judge(prepared: PreparedSet, shown: str, max_unreadable: float) -> None:
    """Raise `DataError` where too much is missing for the rest to stand for the whole.

    Judged after preparing, on what the cache holds: whoever then allows more need not wait again.
    """
    bad, where = prepared.quarantined, printable(shown)
    total = len(prepared.names) + len(bad)
    if len(bad) > max_unreadable * total:
        raise DataError(
            f"{len(bad)} of {total} files in {where} cannot be decoded, more than the "
            f"{max_unreadable:.3g} of them that max_unreadable allows{_notes_among(bad)}: "
            f"{_examples(bad)}. {_way_out(len(bad) / total)}"
        )
    left = Counter(prepared.labels.tolist())
    for index, label in enumerate(prepared.classes):
        lost = [entry for entry in bad if entry.label == label]
        found = left[index] + len(lost)
        if not left[index]:
            raise DataError(
                f"no usable image in class {printable(label)!r}: {len(lost)} files found in "
                f"{where}, none can be decoded{_notes_among(lost)}: {_examples(lost)}. "
                "Give it images, or remove the class."
            )
        allowed = max(_OF_A_CLASS, max_unreadable)
        if len(lost) > allowed * found:
            raise DataError(
                f"{len(lost)} of the {found} files of class {printable(label)!r} in {where} cannot "
                f"be decoded, more than the {allowed:.3g} of a class that is allowed"
                f"{_notes_among(lost)}: "
                f"{_examples(lost)}. {_way_out(len(lost) / found)}"
            )


def _notes_among(bad: Sequence[Quarantined]) -> str:
    """What to do about files that may not be read, or lie beside images on purpose, if any do."""
    told = ""
    if locked := sum(entry.reason == NO_PERMISSION for entry in bad):
        told = f" (there is no permission to read {locked} of them: allow it)"
    suffixes = Counter(Path(entry.name).suffix.casefold() for entry in bad)
    notes = [suffix for suffix in _ANNOTATIONS if suffixes[suffix]]
    if not notes:
        return told
    count = sum(suffixes[suffix] for suffix in notes)
    return f"{told} ({count} are {', '.join(notes)} files, such as annotations: move those out)"


def _way_out(share: float) -> str:
    """What to do; `share` of the files is what would have to be allowed."""
    if share == 1:  # to allow it would leave nothing
        return "Give images, or repair these."
    enough = math.ceil(share * 100) / 100
    return (
        f"Repair or remove them, or raise max_unreadable (--max-unreadable {enough:g}, or in "
        f"the study `pictures: {{max_unreadable: {enough:g}}}`)."
    )


def _examples(bad: Sequence[Quarantined]) -> str:
    shown = "; ".join(f"{printable(entry.name)} ({entry.reason})" for entry in bad[:_SHOWN])
    more = len(bad) - _SHOWN
    return f"{shown}; and {more} more" if more > 0 else shown


def _sweep(folder: Path, *, spare: Path) -> None:
    """Delete attempts that were left unfinished long ago and that nobody is at work on."""
    for part in folder.glob("*.part"):
        try:
            youngest = max((entry.stat().st_mtime for entry in part.iterdir()), default=0.0)
        except FileNotFoundError:  # another process is about to complete it
            continue
        if part == spare or time.time() - youngest < _ABANDONED:
            continue
        lock = FileLock(part.with_suffix(".lock"))
        with contextlib.suppress(Timeout), lock.acquire(timeout=0):
            shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def _storage(folder: Path) -> Iterator[None]:
    """What the disk refuses in here becomes a `StorageError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot prepare images in {folder}: {error.strerror or error}. Free some space, allow "
            f"writing there, or choose {ANOTHER_CACHE}, then run the same command to resume."
        ) from error
