"""Extracted, downloaded and drawn folders of files in the cache: a list of each one's files.

Caches are purged file by file (scratch disks, temporary folders): a folder that has lost some of
its files looks like a smaller set. The list `<folder>.files.json` lies beside the folder and
says what belongs into it; a folder that differs is made again.

While it is made it is called `<folder>.partial-…`: under its name it is complete or not there.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from headtohead.core.files import write_atomic
from headtohead.core.text import counted
from headtohead.data.long_tasks import Progress

FORMAT = 1
PARTIAL = ".partial"
"""Begins what the name of a folder that is being made ends in."""
_EMPTY_FOLDER = -1  # in place of a size


def loss(folder: Path) -> str | None:
    """How `folder` differs from its list, in a few words; None where it is whole.

    Compared are the names and the sizes of all files, and empty folders; contents are not read.
    Raises `OSError` where one may not look.
    """
    if not folder.is_dir():
        return "it is gone"
    try:
        content = json.loads(_list_of(folder).read_text(encoding="ascii"))
        wanted: dict[str, int] = content["files"]
        if content["format"] != FORMAT or not isinstance(wanted, dict):
            return "it has no list of its files"
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return "it has no list of its files"
    try:
        found = dict(_sizes(folder))
    except FileNotFoundError:  # another process makes it again at this moment
        return "it is gone"
    if found == wanted:
        return None
    bad = [name for name, size in wanted.items() if found.get(name) != size]
    if bad:
        verb = "is" if len(bad) == 1 else "are"
        return f"{len(bad):,} of its {counted(len(wanted), 'file')} {verb} gone or changed"
    added = len(found) - len(wanted)
    return f"{counted(added, 'file')} {'was' if added == 1 else 'were'} added to it"


def make_whole(folder: Path, what: str, fill: Callable[[Path], object], progress: Progress) -> None:
    """Have `fill` write what belongs into `folder`, unless it is whole already.

    `what` is what the user is told where it is made again. The caller holds a lock. Where `fill`
    fails nothing is left of it, nor of an attempt of a process that was killed. Raises what it
    raises, `OSError` and `StorageError`.
    """
    lost = loss(folder)
    if lost is None:
        return
    if folder.is_dir():
        progress(f"making {what} again, for {lost} in the cache", 0, 0)
    for abandoned in folder.parent.glob(f"{folder.name}{PARTIAL}*"):
        shutil.rmtree(abandoned, ignore_errors=True)  # one of its processes may still be at work
    growing = folder.with_name(f"{folder.name}{PARTIAL}-{os.getpid()}")
    growing.mkdir()
    try:
        fill(growing)
        install(growing, folder)
    except BaseException:  # Ctrl-C included: a half is of no use to anyone
        shutil.rmtree(growing, ignore_errors=True)
        raise


def install(growing: Path, folder: Path) -> None:
    """Give the complete folder `growing` its name, with the list of its files.

    What stood at `folder` is removed. The list is written first: a kill between the two leaves
    a folder that is gone, not one that looks whole. Raises `OSError` and `StorageError`.
    """
    content = {"format": FORMAT, "files": dict(_sizes(growing))}
    write_atomic(_list_of(folder), json.dumps(content).encode("ascii"))
    if folder.exists():
        shutil.rmtree(folder)
    growing.rename(folder)


def _list_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.files.json")


def _sizes(folder: Path) -> Iterator[tuple[str, int]]:
    """Name below `folder` → bytes, of every file and empty folder."""
    waiting = [(folder, "")]
    while waiting:
        current, above = waiting.pop()
        empty = True
        with os.scandir(current) as entries:
            for entry in entries:
                empty = False
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((current / entry.name, f"{above}{entry.name}/"))
                else:
                    yield f"{above}{entry.name}", entry.stat(follow_symlinks=False).st_size
        if empty:
            yield above, _EMPTY_FOLDER
