"""Walking through folders: links followed, what is no image of the user's passed over and told.

Passed over are what systems leave in folders (thumbnails, bins, hidden files), headtohead's own
results and caches, links back to a folder that was read already, and pipes and devices. Each is
remembered with the reason, so that nothing is left out in silence.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headtohead.core.text import printable

SYSTEMS = "left by a system"
HIDDEN = "hidden"
OWN = "of headtohead's own"
LOOSE = "beside the class folders"
TWICE = "linked and read already"
SPECIAL = "no regular file"

# Compared without regard to case.
_LEFT_BY_SYSTEMS = frozenset(
    (
        *("__macosx", "icon\r", "thumbs.db", "ehthumbs.db", "desktop.ini"),
        *("@eadir", "@__thumb", "#recycle", "#snapshot"),  # Synology, QNAP
        *("$recycle.bin", "recycler", "system volume information", "lost+found"),
        *("__pycache__",),
    )
)
_STUDY_FILE = "study.yaml"
_LEDGER_PARTS = ("runs", "pictures.csv", "evidence", "report.html")
_TRIALS = "trials"  # of a search of settings: a ledger in a folder
_CACHE_PARTS = ("prepared/*/manifest.json", "sources/*.lock", "hubs/*.lock")
CACHE_TAG = "CACHEDIR.TAG"
CACHE_TAG_TEXT = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"  # https://bford.info/cachedir/
    "# This folder is a cache of headtohead: all of it can be made again.\n"
)
_DEPTH = 4  # runs/ above ledgers, and folders above that
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file or folder that was not read: its path below the source, and why."""

    name: str
    why: str


@dataclass
class Walk:
    """One reading of a source: `passed` collects what is not read, path → reason."""

    passed: dict[Path, str] = field(default_factory=dict)

    def files_below(self, folder: Path) -> Iterator[Path]:
        """Every file below `folder`, links followed, each real folder read once."""
        real = folder.resolve()
        # A link to a folder above would bring the other classes' images into this one.
        seen = {(state.st_dev, state.st_ino) for state in map(os.stat, real.parents)}
        waiting = [folder]
        while waiting:
            current = waiting.pop()
            state = current.stat()
            if (state.st_dev, state.st_ino) in seen:
                self.passed[current] = TWICE
                continue
            seen.add((state.st_dev, state.st_ino))
            for entry in sorted(self._entries(current), key=lambda entry: entry.name):
                path = current / entry.name
                if _is_folder(entry):
                    if is_own(path):
                        self.passed[path] = OWN
                    else:
                        waiting.append(path)
                elif _is_file(entry):
                    yield path
                else:
                    self.passed[path] = SPECIAL

    def subfolders(self, folder: Path) -> list[Path]:
        """The folders in `folder` that may hold images, sorted by name."""
        found = []
        for entry in self._entries(folder):
            if not _is_folder(entry):
                continue
            path = folder / entry.name
            if is_own(path):
                self.passed[path] = OWN
            elif entry.is_symlink() and folder.resolve().is_relative_to(path.resolve()):
                self.passed[path] = TWICE  # it would bring in everything beside it once more
            else:
                found.append(path)
        return sorted(found, key=lambda path: path.name)

    def loose(self, folder: Path) -> list[Path]:
        """What lies in `folder` and is no folder, sorted by name."""
        entries = (entry for entry in self._entries(folder) if not _is_folder(entry))
        return sorted((folder / entry.name for entry in entries), key=lambda path: path.name)

    def pass_over(self, paths: Sequence[Path], why: str) -> None:
        """Remember that `paths` are not read."""
        self.passed.update(dict.fromkeys(paths, why))

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        kept = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.casefold() in _LEFT_BY_SYSTEMS:
                    self.passed[folder / entry.name] = SYSTEMS
                elif entry.name.startswith("."):
                    self.passed[folder / entry.name] = HIDDEN
                else:
                    kept.append(entry)
        return kept


def is_own(folder: Path, depth: int = _DEPTH) -> bool:
    """Whether headtohead wrote `folder`: a study's results, a cache, or only such folders."""
    # os.path's questions are answered with no where one may not look; the listing below tells.
    tag = folder / CACHE_TAG
    if os.path.isfile(tag) and tag.read_bytes()[:1000] == CACHE_TAG_TEXT.encode():  # noqa: PTH113
        return True
    if os.path.isfile(folder / _STUDY_FILE):  # noqa: PTH113
        return any(os.path.exists(folder / part) for part in _LEDGER_PARTS)  # noqa: PTH110
    if os.path.isfile(folder / _TRIALS / _STUDY_FILE):  # noqa: PTH113
        return True
    if any(next(iter(folder.glob(part)), None) is not None for part in _CACHE_PARTS):
        return True
    return depth > 0 and _holds_only_own(folder, depth)


def _holds_only_own(folder: Path, depth: int) -> bool:
    found = False
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not _is_folder(entry) or not is_own(folder / entry.name, depth - 1):
                return False
            found = True
    return found


def passed_over_line(passed: Sequence[PassedOver]) -> str | None:
    """One line for people: how many entries were passed over, why, and some of them; None for none.

    Printable, whatever the names are.
    """
    if not passed:
        return None
    by_reason: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for entry in passed:
        by_reason[entry.why][entry.name.rpartition("/")[2]] += 1
    parts = []
    for why, names in by_reason.items():
        shown = [f"{name} ({n})" if n > 1 else name for name, n in list(names.items())[:_EXAMPLES]]
        more = ["…"] if len(names) > _EXAMPLES else []
        parts.append(f"{sum(names.values()):,} {why} ({', '.join([*shown, *more])})")
    count = "1 entry" if len(passed) == 1 else f"{len(passed):,} entries"
    return printable(f"Ignored {count}: {'; '.join(parts)}.")


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
