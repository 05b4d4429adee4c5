"""Runs of other software, to be shown beside a study: histories without a ledger.

A folder of them is laid out as a study's `runs/`: `<head>/seed-<n>/history.jsonl`, a JSON object
for each epoch with the fields of EpochRecord that the other software knows.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from headtohead.core.errors import DataError, UsageError
from headtohead.core.files import NAME, expanded
from headtohead.report.charts.curves import Track
from headtohead.stats import Spread, spread
from headtohead.stats.unpaired import UnpairedDifference, unpaired_difference
from headtohead.store.ledger import STUDY_FILE, Ledger, StudyFile
from headtohead.store.records import HISTORY, EpochRecord

UNKNOWN = dict.fromkeys(EpochRecord.model_fields, float("nan"))
NEEDED = ("epoch", "val_accuracy")

History = tuple[EpochRecord, ...]


@dataclass(frozen=True)
class Beside:
    """What `name` recorded: head → seed → epochs. What it did not record is NaN."""

    name: str
    heads: Mapping[str, Mapping[int, History]]
    file: StudyFile | None = None
    """The study file beside the folder of runs, where there is one: which classes and images."""


@dataclass(frozen=True)
class StackRow:
    """A head trained here and elsewhere: validation accuracy within the epochs that both have.

    `at` says which: the last of them, or each run's best. `difference` is ours minus theirs, over
    seeds that have nothing in common.
    """

    head: str
    at: str
    ours: Spread
    theirs: Spread
    difference: UnpairedDifference


def read_beside(asked: str) -> Beside:
    """`NAME=FOLDER` → its histories. Raises UsageError and, for a line that is none, DataError."""
    name, _, place = asked.partition("=")
    if not re.fullmatch(NAME, name) or not place:
        raise UsageError(
            f"--beside takes NAME=FOLDER, the name of letters, digits and . _ + -; "
            f"received {asked!r}."
        )
    folder, heads = expanded(place), dict[str, dict[int, History]]()
    for path in sorted(folder.glob(f"*/seed-*/{HISTORY}")):
        number = path.parent.name.removeprefix("seed-")
        history = _read(path)
        if history and number.isdecimal():
            heads.setdefault(path.parent.parent.name, {})[int(number)] = history
    if not heads:
        raise UsageError(
            f"--beside {asked}: {folder} has no <head>/seed-<n>/{HISTORY}; name a folder that is "
            f"laid out as the runs/ of a study."
        )
    whole = (folder.absolute().parent / STUDY_FILE).is_file()
    return Beside(name, heads, Ledger.open(folder.absolute().parent).file if whole else None)


def unlike(ours: StudyFile, beside: Beside) -> str:
    """Why the two may not be comparable, in a sentence; empty where they saw the same images.

    Raises UsageError where the classes differ: their accuracies answer other questions.
    """
    theirs = beside.file
    if theirs is None:
        return (
            f"{beside.name} does not say which classes and images it was trained on: the "
            f"comparison holds only if they are the same as here."
        )
    if sorted(theirs.classes) != sorted(ours.classes):
        raise UsageError(
            f"--beside {beside.name}: its classes are {_some(theirs.classes)}, those of this "
            f"study {_some(ours.classes)}; name runs on the same classes."
        )
    if theirs.prepared != ours.prepared or theirs.counts != ours.counts:
        return (
            f"{beside.name} was trained on other images ({_images(theirs)} instead of "
            f"{_images(ours)}): differences may be of the data and not of the software."
        )
    return ""


def _some(classes: Sequence[str]) -> str:
    more = f" and {len(classes) - 5} more" if len(classes) > 5 else ""
    return f"{', '.join(classes[:5])}{more}"


def _images(file: StudyFile) -> str:
    return f"{sum(file.sizes.values()):,} at {file.study.pictures.image_size} pixels"


def _read(path: Path) -> History:
    epochs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            content: dict[str, Any] = json.loads(line)
            missing = [field for field in NEEDED if field not in content]
            if missing:
                raise ValueError(f"no {' and no '.join(missing)}")
            epochs.append(EpochRecord.model_validate(UNKNOWN | content))
        except (ValueError, TypeError, ValidationError) as error:
            said = " ".join(str(error).split())
            raise DataError(
                f"{path}, line {number} is not an epoch ({said}): give a JSON object with the "
                f"fields of a history.jsonl, {' and '.join(NEEDED)} at least."
            ) from error
    return tuple(epochs)


def stack_rows(ours: Sequence[Track], beside: Beside, level: float) -> tuple[StackRow, ...]:
    """Two rows for each head that both have trained: at the last common epoch, and at the best."""
    rows = []
    for one in ours:
        theirs = list(beside.heads.get(one.head, {}).values())
        if not theirs:
            continue
        last = min(len(history) for history in (*one.histories, *theirs))
        both = [
            [[epoch.val_accuracy for epoch in history[:last]] for history in histories]
            for histories in (one.histories, theirs)
        ]
        for at, pick in ((f"epoch {last}", itemgetter(-1)), (f"best of {last}", max)):
            mine, other = ([pick(run) for run in runs] for runs in both)
            known, found = spread(mine), spread(other)
            if known is not None and found is not None:
                difference = unpaired_difference(mine, other, level)
                rows.append(StackRow(one.head, at, known, found, difference))
    return tuple(rows)
