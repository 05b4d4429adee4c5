"""`pictures.csv`: which image is which row, for reports that do not have the prepared set."""

import csv
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO, cast

import numpy as np
from numpy.typing import NDArray

from headtohead.core.errors import UsageError
from headtohead.core.files import csv_bytes, write_atomic
from headtohead.core.text import printable
from headtohead.data.prepared import PreparedSet
from headtohead.data.split import Split

PICTURES_FILE = "pictures.csv"
PACKED_FILE = "pictures.csv.xz"
"""What `xz pictures.csv` leaves, in a ledger that is put by."""
COLUMNS = ("row", "name", "label", "group", "split")
VARIES = "per-seed"
"""Stands for the split of a study whose images are split anew for each seed."""


@dataclass(frozen=True)
class PictureTable:
    """Column i of each is image i of the prepared set.

    `labels` are class names; `groups` (N,) are equal for near-duplicates; `splits` has `train`,
    `validation`, `test`, or VARIES throughout.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    groups: NDArray[np.int64]
    splits: tuple[str, ...]

    def shared_groups(self) -> dict[int, int]:
        """Row → group, for the rows of groups of two or more."""
        _, position, sizes = np.unique(self.groups, return_inverse=True, return_counts=True)
        rows = np.flatnonzero(sizes[position] > 1)
        return {int(row): int(self.groups[row]) for row in rows}

    def divided(self) -> int | None:
        """How many groups lie in more than one split; None where each seed has its own split."""
        if VARIES in self.splits:
            return None
        places: dict[int, set[str]] = {}
        for row, group in self.shared_groups().items():
            places.setdefault(group, set()).add(self.splits[row])
        return sum(len(found) > 1 for found in places.values())


def picture_table(prepared: PreparedSet, split: Split | None) -> PictureTable:
    """The table of a prepared set; `split` is None where each seed has its own."""
    splits = [VARIES] * len(prepared.names)
    for name in ("train", "validation", "test") if split is not None else ():
        for row in getattr(split, name):
            splits[int(row)] = name
    return PictureTable(
        names=tuple(map(printable, prepared.names)),
        labels=tuple(prepared.classes[label] for label in prepared.labels),
        groups=prepared.groups,
        splits=tuple(splits),
    )


def write_pictures(out: Path, table: PictureTable) -> None:
    """Write `pictures.csv`, UTF-8 with a header, one row for each image. Raises StorageError."""
    columns = zip(table.names, table.labels, table.groups.tolist(), table.splits, strict=True)
    content = csv_bytes(chain([COLUMNS], ((row, *rest) for row, rest in enumerate(columns))))
    path = out / PICTURES_FILE
    if not path.is_file() or path.read_bytes() != content:
        write_atomic(path, content)


def refuse_another_split(out: Path, table: PictureTable) -> None:
    """Raise UsageError where the study in `out` has the images of `table` in other splits.

    Another version of headtohead may have split them: runs of both could not be compared.
    """
    try:
        before = read_pictures(out)
    except UsageError:  # damaged: it is written anew
        return
    if before is not None and before.splits != table.splits:
        raise UsageError(
            f"{out}: its study has these images in other splits, made by another version of "
            f"headtohead. Choose another --out, or resume with that version (`headtohead:` in its "
            f"study.yaml)."
        )


def read_pictures(out: Path) -> PictureTable | None:
    """The table in `out`; None where a ledger has none. Raises UsageError for a damaged one."""
    path = out / PICTURES_FILE
    if not path.exists() and (out / PACKED_FILE).exists():
        path = out / PACKED_FILE
    try:
        with _opened(path) as file:
            return _table(csv.reader(file))
    except FileNotFoundError:
        return None
    except (
        *(IndexError, ValueError, csv.Error),
        *(EOFError, lzma.LZMAError),
    ) as error:
        raise UsageError(
            f"{path} cannot be read ({error}). Delete it: the command that made the study writes "
            f"it anew."
        ) from error


def _opened(path: Path) -> TextIO:
    if path.name == PACKED_FILE:
        return cast("TextIO", lzma.open(path, "rt", encoding="utf-8", newline=""))
    return path.open(encoding="utf-8", newline="")


def _table(lines: Iterator[list[str]]) -> PictureTable:
    """Column by column, since a dictionary for each line takes ten times the memory."""
    header = next(lines, [])
    at = [header.index(name) for name in COLUMNS]
    names, labels, groups, splits = [], [], [], []
    known: dict[str, str] = {}  # labels and splits are few: one string for each
    for number, line in enumerate(filter(None, lines)):
        row, name, label, group, split = (line[place] for place in at)
        if int(row) != number:
            raise ValueError("its rows are not numbered 0, 1, …")
        names.append(name)
        labels.append(known.setdefault(label, label))
        groups.append(int(group))
        splits.append(known.setdefault(split, split))
    return PictureTable(
        tuple(names), tuple(labels), np.array(groups, dtype=np.int64), tuple(splits)
    )
