"""What the user calls "the pictures" → a sorted list of files with class and split.

A source is a folder, an archive of one, a name: `cats_vs_dogs` (downloaded) or `synthetic`
(drawn), or a hub's set (`tfds:…`, `hf:…`). Nothing is decoded here: every regular file in a class
folder is listed, whatever its suffix, and what turns out to be no picture is quarantined by name
later.
"""

from dataclasses import dataclass
from pathlib import Path

from headtohead.core.errors import DataError, StorageError
from headtohead.data.archives import extract, extracted_folder, is_archive
from headtohead.data.hubs import hub_folder, is_hub
from headtohead.data.progress import Progress
from headtohead.data.walking import entries_of, files_below, subfolders

__all__ = ["NAMED_SOURCES", "PictureFile", "Progress", "Source", "list_unlabelled", "open_source"]

NAMED_SOURCES = ("cats_vs_dogs", "synthetic")
"""Names that never mean a path; a folder of that name is reached as `./synthetic`."""

_SPLITS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
_REPORT_EVERY = 1000
_LAYOUT = (
    "Give a folder (or a zip or tar of one) with one subfolder of pictures per class, "
    "or with train/, validation/ and test/ above such subfolders."
)


@dataclass(frozen=True, slots=True)
class PictureFile:
    """One file in a class folder; not necessarily a picture, and a link may dangle."""

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


def open_source(source: str | Path, *, cache: Path, progress: Progress) -> Source:
    """List the pictures of `source`, downloading, drawing or extracting into `cache` if needed.

    The strings in `NAMED_SOURCES` always mean the named source, anything else a path (a `Path`
    is a path always). Folders that hold nothing but one folder of folders are descended
    through. Splits are taken as given where `train` and at least one of `val`, `valid`,
    `validation` and `test` (any case) stand side by side. Hidden files, `__MACOSX`, `Thumbs.db`
    and `desktop.ini` are passed over everywhere, and so are loose files above the class folders
    (readme files) as long as there are class folders.

    Raises `DataError` where there is nothing to find, the archive is refused, the download
    fails, or the folders are not classes; `StorageError` where disk or permission is at fault.
    """
    try:
        return _read(_descend(_folder_of(source, cache, progress)), progress)
    except OSError as error:
        raise _unreadable(error, source) from error


def list_unlabelled(folder: Path, *, progress: Progress) -> Source:
    """Every file below `folder` without asking for classes: all are of one class called "".

    For looking at pictures, not for training on them. Raises `DataError` where there is no file
    and `StorageError` where one may not look.
    """
    try:
        paths = list(files_below(folder))
    except OSError as error:
        raise _unreadable(error, folder) from error
    if not paths:
        raise DataError(f"an empty folder: {str(folder)!r}. {_LAYOUT}")
    files = [PictureFile(path, _identity(path, folder), "", None) for path in paths]
    progress("listing pictures", len(files), len(files))
    return Source(folder, ("",), tuple(sorted(files, key=lambda file: file.name)))


def _unreadable(error: OSError, source: str | Path) -> StorageError:
    return StorageError(
        f"cannot read {str(error.filename or source)!r}: {error.strerror or error}. "
        "Allow reading it, or give a copy that may be read."
    )


def _folder_of(source: str | Path, cache: Path, progress: Progress) -> Path:
    """The folder on disk that holds what `source` means."""
    if source == "synthetic":
        # Imported here because drawing needs libraries that reading a folder does not.
        from headtohead.data.synthetic import synthetic_source

        return synthetic_source(cache=cache, progress=progress)
    if source == "cats_vs_dogs":
        # Imported here because downloading needs libraries that reading a folder does not.
        from headtohead.data.download import CATS_VS_DOGS, fetch

        folder = extracted_folder(cache, CATS_VS_DOGS.sha256)
        if folder.is_dir():
            return folder
        archive = fetch(CATS_VS_DOGS, cache / "downloads", progress)
        return extract(archive, cache=cache, progress=progress, sha256=CATS_VS_DOGS.sha256)
    if isinstance(source, str) and is_hub(source):
        return hub_folder(source, cache=cache, progress=progress)
    path = _existing(source)
    if path.is_dir():
        return path
    if not path.is_file() or not is_archive(path):
        raise DataError(f"neither a folder nor a zip or tar: {str(source)!r}. {_LAYOUT}")
    return extract(path, cache=cache, progress=progress)


def _existing(source: str | Path) -> Path:
    """The path that `source` names, if there is something."""
    missing = DataError(
        f"no such folder or archive: {str(source)!r}. {_LAYOUT} "
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


def _descend(folder: Path) -> Path:
    """Below the wrapper folders that archives have around their classes."""
    seen = set()
    while True:
        state = folder.stat()
        seen.add((state.st_dev, state.st_ino))
        inside = subfolders(folder)
        if len(inside) != 1 or not subfolders(inside[0]):
            return folder
        state = inside[0].stat()
        if (state.st_dev, state.st_ino) in seen:  # a link to a folder above
            return folder
        folder = inside[0]


def _read(root: Path, progress: Progress) -> Source:
    splits = [folder for folder in subfolders(root) if folder.name.casefold() in _SPLITS]
    parts = _split_folders(root, splits) if len(splits) > 1 else {None: root}
    classes: dict[str | None, list[Path]] = {
        split: _class_folders(folder) for split, folder in parts.items()
    }
    _check_alike(classes)
    files: list[PictureFile] = []
    for split, folders in classes.items():
        for folder in folders:
            before = len(files)
            for path in files_below(folder):
                files.append(PictureFile(path, _identity(path, root), folder.name, split))
                if len(files) % _REPORT_EVERY == 0:
                    progress("listing pictures", len(files), 0)
            if len(files) == before:
                raise DataError(
                    f"no picture in the class folder {str(folder)!r}. "
                    "Put pictures into it, or remove it."
                )
    files.sort(key=lambda file: file.name)
    progress("listing pictures", len(files), len(files))
    names = {folder.name for folders in classes.values() for folder in folders}
    return Source(root, tuple(sorted(names)), tuple(files))


def _split_folders(root: Path, folders: list[Path]) -> dict[str | None, Path]:
    """Which folder is which split; refuses what would silently leave pictures out."""
    parts: dict[str | None, Path] = {}
    for folder in folders:
        split = _SPLITS[folder.name.casefold()]
        if split in parts:
            raise DataError(
                f"two folders for the {split} split in {str(root)!r}: {parts[split].name!r} and "
                f"{folder.name!r}. Keep one, or merge them."
            )
        parts[split] = folder
    if "train" not in parts:
        raise DataError(
            f"no train folder beside {_listed(folders)} in {str(root)!r}. "
            "Add one, or put the class folders directly below to have them split."
        )
    others = [folder for folder in subfolders(root) if folder not in folders]
    if others:
        raise DataError(
            f"{_listed(others)} beside {_listed(folders)} in {str(root)!r}: whether its pictures "
            "count cannot be told. Move it elsewhere."
        )
    return parts


def _class_folders(folder: Path) -> list[Path]:
    """At least two class folders, sorted by name."""
    classes = subfolders(folder)
    if len(classes) > 1:
        return classes
    if classes:
        raise DataError(
            f"only one class in {str(folder)!r}: {classes[0].name!r}. "
            f"A classifier needs at least two. {_LAYOUT}"
        )
    loose = [entry.name for entry in entries_of(folder)]
    if loose:
        raise DataError(
            f"{len(loose)} files but no class folder in {str(folder)!r} (the first is "
            f"{min(loose)!r}). {_LAYOUT}"
        )
    raise DataError(f"an empty folder: {str(folder)!r}. {_LAYOUT}")


def _check_alike(classes: dict[str | None, list[Path]]) -> None:
    """Every split has the classes of the first one."""
    names = {split: {folder.name for folder in folders} for split, folders in classes.items()}
    everywhere = set.intersection(*names.values())
    for split, found in names.items():
        if found != everywhere:
            missing = [other for other in names if not found <= names[other]]
            raise DataError(
                f"the splits have different classes: {split} has "
                f"{_quoted(found - everywhere)}, which {' and '.join(map(str, missing))} has not. "
                "Give every split the same class folders."
            )


def _identity(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(
            f"a file name that is not UTF-8: {name!r} in {str(root)!r}. Rename the file."
        ) from None
    return name


def _listed(folders: list[Path]) -> str:
    return _quoted({folder.name for folder in folders})


def _quoted(names: set[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
