"""What the user calls "the images" → a sorted list of files with class and split.

A source is a folder, an archive of one, a name: `cats_vs_dogs` (downloaded) or `synthetic`
(drawn), or a hub's set (`tfds:…`, `hf:…`). Nothing is decoded here: every regular file in a class
folder is listed, whatever its suffix, and what turns out to be no image is quarantined by name
later.
"""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from headtohead.core.errors import DataError, StorageError
from headtohead.core.files import not_utf8
from headtohead.core.text import printable
from headtohead.data.archive_kinds import refuse_other_files
from headtohead.data.archives import extract, extracted_folder
from headtohead.data.hubs import hub_folder, is_hub
from headtohead.data.inventory import loss
from headtohead.data.layout import LAYOUT, Mention, arrange
from headtohead.data.long_tasks import Progress
from headtohead.data.walking import LOOSE, PassedOver, Walk, is_own, passed_over_line

NAMED_SOURCES = ("cats_vs_dogs", "synthetic")
"""Names that never mean a path; a folder of that name is reached as `./synthetic`."""

_REPORT_EVERY = 1000


@dataclass(frozen=True, slots=True)
class PictureFile:
    """One file in a class folder; not necessarily an image, and a link may dangle."""

    path: Path
    name: str
    """Path below the source's root with forward slashes: its identity, e.g. "cat/cat.1.jpg"."""
    label: str
    """Name of the class: the class folder's."""
    split: str | None
    """"train", "validation" or "test" where the user gave splits, else None."""


@dataclass(frozen=True)
class Source:
    """The files of one source, in the same order on every platform."""

    root: Path
    classes: tuple[str, ...]
    """Sorted by code point."""
    files: tuple[PictureFile, ...]
    """Sorted by name."""
    passed_over: tuple[PassedOver, ...] = ()
    """What was not read, sorted by name; a folder stands for all that is in it."""
    given: str = ""
    """What the user named, where the root is a folder of the cache."""

    @property
    def shown(self) -> str:
        """What messages call it."""
        return self.given or str(self.root)

    @property
    def split_folders(self) -> dict[str, str]:
        """Split → the folder that it was given as; empty where the user gave none."""
        return {file.split: file.name.split("/")[0] for file in self.files if file.split}


def open_source(
    source: str | Path,
    *,
    cache: Path,
    progress: Progress,
    limit: int | None = None,
    fewest: int = 2,
) -> Source:
    """List the images of `source`, downloading, drawing or extracting into `cache` if needed.

    The strings in `NAMED_SOURCES` always mean the named source, anything else a path (a `Path`
    is a path always, `~` is home). Folders that hold nothing but one folder of folders are
    descended through. Splits are taken as given where folders with usual names of them (see
    `layout.split_of`) stand side by side. What is passed over is in `Source.passed_over`: what
    systems and headtohead itself leave in folders, hidden files, and loose files above the class
    folders (readme files) as long as there are class folders. Of images that are drawn, those
    that `limit` leaves out may not be drawn at all.

    Raises `DataError` where there is nothing to find, the archive is refused, the download
    fails, or the folders are not classes; `StorageError` where disk or permission is at fault.
    """
    try:
        top, unused = _folder_of(source, cache, progress, limit)
        inside = top.is_relative_to(cache)
        if not inside and is_own(top):
            raise DataError(
                f"{str(source)!r} holds results or the cache of headtohead, no images of yours. "
                f"{LAYOUT}"
            )
        found = _read(top, str(source) if inside else "", progress, fewest)
        return replace(found, passed_over=(*found.passed_over, *unused))
    except OSError as error:
        raise _unreadable(error, source) from error


def flat_folder(source: str | Path) -> Path | None:
    """The folder that `source` names where it holds files and no folder; None for all else.

    Raises `StorageError` where one may not look.
    """
    if source in NAMED_SOURCES or (isinstance(source, str) and is_hub(source)):
        return None
    folder = existing(source)
    try:
        if not folder.is_dir() or Walk().subfolders(folder):
            return None
    except OSError as error:
        raise _unreadable(error, source) from error
    return folder


def list_unlabelled(folder: Path, *, progress: Progress) -> Source:
    """Every file below `folder` without asking for classes: all are of one class called "".

    For looking at images, not for training on them. Raises `DataError` where there is no file
    and `StorageError` where one may not look.
    """
    walk = Walk()
    try:
        paths = list(walk.files_below(folder))
    except OSError as error:
        raise _unreadable(error, folder) from error
    passed = _passed_over(walk, folder)
    if not paths:
        told = passed_over_line(passed)
        raise DataError(
            f"an empty folder: {str(folder)!r}. {LAYOUT}{'' if told is None else f' {told}'}"
        )
    files = [
        PictureFile(path, _identity(path, folder, repr(str(folder)), "Rename"), "", None)
        for path in paths
    ]
    progress("listing images", len(files), len(files))
    files.sort(key=lambda file: file.name)
    return Source(folder, ("",), tuple(files), passed)


def _unreadable(error: OSError, source: str | Path) -> StorageError:
    return StorageError(
        f"cannot read {str(error.filename or source)!r}: {error.strerror or error}. "
        "Allow reading it, or give a copy that may be read."
    )


def _folder_of(
    source: str | Path, cache: Path, progress: Progress, limit: int | None
) -> tuple[Path, tuple[PassedOver, ...]]:
    """The folder on disk that holds what `source` means, and what of it is not there."""
    if isinstance(source, str) and is_hub(source):
        return hub_folder(source, cache=cache, progress=progress)
    return _own_folder(source, cache, progress, limit), ()


def _own_folder(source: str | Path, cache: Path, progress: Progress, limit: int | None) -> Path:
    """The folder of a source that is no hub's."""
    if source == "synthetic":
        # Imported here because drawing needs libraries that reading a folder does not.
        from headtohead.data.synthetic import synthetic_source

        return synthetic_source(cache=cache, progress=progress, limit=limit)
    if source == "cats_vs_dogs":
        # Imported here because downloading needs libraries that reading a folder does not.
        from headtohead.data.download import CATS_VS_DOGS, fetch

        folder = extracted_folder(cache, CATS_VS_DOGS.sha256)
        if loss(folder) is None:
            return folder
        archive = fetch(CATS_VS_DOGS, cache / "downloads", progress)
        return extract(archive, cache=cache, progress=progress, sha256=CATS_VS_DOGS.sha256)
    path = existing(source)
    if path.is_dir():
        return path
    if not path.is_file():
        raise DataError(f"neither a folder nor a file: {str(source)!r}. {LAYOUT}")
    refuse_other_files(path, LAYOUT)
    return extract(path, cache=cache, progress=progress)


def existing(source: str | Path) -> Path:
    """The path that `source` names, `~` as home, if there is something.

    Raises `DataError` where there is nothing, `StorageError` where one may not look.
    """
    address = isinstance(source, str) and re.match(r"[a-z]+://", source)
    missing = DataError(
        f"no such folder or archive: {str(source)!r}. "
        f"{'Nothing is read from an address: download it. ' if address else ''}{LAYOUT} "
        f"Or name one of: {', '.join(NAMED_SOURCES)}."
    )
    if not str(source).strip():  # Path("") is the working directory, which nobody asked for
        raise missing
    try:
        path = Path(source).expanduser()
        path.stat()
    except PermissionError as error:
        raise StorageError(
            f"no permission to look at {str(source)!r}. Allow it, or give another folder."
        ) from error
    except (OSError, ValueError, RuntimeError):  # a NUL or an unknown ~user are not OSErrors
        raise missing from None
    return path


def _descend(folder: Path, walk: Walk) -> Path:
    """Below the wrapper folders that archives have around their classes."""
    seen = set()
    while True:
        state = folder.stat()
        seen.add((state.st_dev, state.st_ino))
        inside = walk.subfolders(folder)
        if len(inside) != 1 or not walk.subfolders(inside[0]):
            return folder
        state = inside[0].stat()
        if (state.st_dev, state.st_ino) in seen:  # a link to a folder above
            return folder
        walk.pass_over(walk.loose(folder), LOOSE)
        folder = inside[0]


def _read(top: Path, given: str, progress: Progress, fewest: int) -> Source:
    def tell(path: Path) -> str:
        below = path.relative_to(top).as_posix()
        return repr((given if below == "." else f"{given}/{below}") if given else str(path))

    walk = Walk()
    root = _descend(top, walk)
    classes = arrange(root, walk, tell, fewest)
    files: list[PictureFile] = []
    for split, folders in classes.items():
        for folder in folders:
            before = len(files)
            for path in walk.files_below(folder):
                name = _identity(
                    path, root, tell(root), "Extract it, rename" if given else "Rename"
                )
                files.append(PictureFile(path, name, folder.name, split))
                if len(files) % _REPORT_EVERY == 0:
                    progress("listing images", len(files), 0)
            if len(files) == before:
                raise _empty_class(folder, given, tell)
    files.sort(key=lambda file: file.name)
    progress("listing images", len(files), len(files))
    names = {folder.name for folders in classes.values() for folder in folders}
    return Source(root, tuple(sorted(names)), tuple(files), _passed_over(walk, top), given)


def _empty_class(folder: Path, given: str, tell: Mention) -> DataError:
    todo = "Extract it, put images into it or remove it, and give the folder"
    return DataError(
        f"no image in the class folder {tell(folder)}. "
        f"{todo if given else 'Put images into it, or remove it'}."
    )


def _passed_over(walk: Walk, top: Path) -> tuple[PassedOver, ...]:
    found = (PassedOver(path.relative_to(top).as_posix(), why) for path, why in walk.passed.items())
    return tuple(sorted(found, key=lambda entry: entry.name))


def _identity(path: Path, root: Path, shown: str, rename: str) -> str:
    """The name of `path`, which must be UTF-8; the error calls `root` as `shown`."""
    name = path.relative_to(root).as_posix()
    if not_utf8(name):
        letters = printable(os.fsencode(name).decode("utf-8", "backslashreplace"))
        raise DataError(
            f"a file or folder name that is not UTF-8: '{letters}' in {shown}. "
            f"{rename} what is named so, and give the folder."
        )
    return name
