"""Which new images a study has, too: a figure on images that were trained on says nothing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headtohead.core.text import counted, names
from headtohead.data.duplicates import matches
from headtohead.data.long_tasks import Progress
from headtohead.data.pipeline import split_study
from headtohead.data.prepare import cached_set
from headtohead.data.prepared import PreparedSet
from headtohead.store.ledger import SplitName, StudyFile

USED: dict[SplitName, str] = {
    "train": "trained on",
    "validation": "used to choose epochs and heads",
    "test": "tested on",
}
"""What a study did with the images of a split."""


@dataclass(frozen=True)
class Overlap:
    """`rows` of a new set that the study has: of equal pixels (`exact`) or nearly the same.

    `splits` counts them by the split where the study has them; where each seed has a split of its
    own, by the first of train, validation and test that any seed has them in.
    """

    rows: NDArray[np.int64]
    exact: int
    splits: dict[SplitName, int]

    @property
    def told(self) -> str:
        """How many, how alike and what they were used for, in words."""
        alike = f"{self.exact:,} exactly, {len(self.rows) - self.exact:,} nearly the same"
        used = names([f"{count:,} {USED[name]}" for name, count in self.splits.items() if count])
        return f"{counted(len(self.rows), 'image')} in the study, too ({alike}): {used}"


def overlap(
    file: StudyFile,
    new: PreparedSet,
    rows: NDArray[np.int64],
    *,
    cache: Path,
    progress: Progress,
) -> Overlap | None:
    """Which `rows` of `new`, prepared as the study's images were, the study has.

    None where `cache` has the study's images no more. Raises DataError where they are damaged.
    """
    known = cached_set(cache, file.prepared)
    if known is None:
        return None
    images, theirs = new.images, known.images
    found = rows if new.digest == known.digest else matches(images[rows], theirs, progress)
    there = np.flatnonzero(found >= 0)
    equal = [np.array_equal(images[rows[at]], theirs[found[at]]) for at in there.tolist()]
    used = _used(file, known)[found[there]]
    splits = {name: int((used == number).sum()) for number, name in enumerate(USED)}
    return Overlap(rows[there], sum(equal), splits)


def _used(file: StudyFile, known: PreparedSet) -> NDArray[np.int64]:
    """(M,) the number in USED of the split of each of the study's images."""
    used = np.full(len(known.names), len(USED), np.int64)
    seeds = range(file.study.seeds) if file.study.split.mode == "per-seed" else range(1)
    for seed in seeds:
        split = split_study(file.study, known, seed)
        for number, name in enumerate(USED):
            mine = getattr(split, name)
            used[mine] = np.minimum(used[mine], number)
    return used
