"""Walking through folders: links followed, what systems leave there passed over."""

import os
from collections.abc import Iterator
from pathlib import Path

_PASSED_OVER = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini"})


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below `folder`, links followed, each real folder read once."""
    real = folder.resolve()
    # A link to a folder above would bring the other classes' pictures into this one.
    seen = {(state.st_dev, state.st_ino) for state in map(os.stat, real.parents)}
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        state = current.stat()
        if (state.st_dev, state.st_ino) in seen:
            continue
        seen.add((state.st_dev, state.st_ino))
        for entry in sorted(entries_of(current), key=lambda entry: entry.name):
            if _is_folder(entry):
                waiting.append(current / entry.name)
            elif _is_file(entry):
                yield current / entry.name


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in `folder`, without what systems leave there for themselves."""
    with os.scandir(folder) as entries:
        return [
            entry
            for entry in entries
            if not entry.name.startswith(".") and entry.name.casefold() not in _PASSED_OVER
        ]


def subfolders(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted by name."""
    return sorted(
        (folder / entry.name for entry in entries_of(folder) if _is_folder(entry)),
        key=lambda path: path.name,
    )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle, or where one may not look
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Pipes and devices are not; links to nothing are, so that their loss is told."""
    try:
        return entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists())
    except OSError:
        return True
