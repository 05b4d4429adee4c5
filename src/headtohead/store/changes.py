"""`changes.json`: what later commands changed of a study whose runs could give verdicts already.

A study without such changes, and one of an earlier version, has no such file. It changes no
verdict: reports say by it that the design was not the first one.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from headtohead.store.records import Record, read_record, write_record

CHANGES_FILE = "changes.json"


class LateChange(Record):
    """What one command changed: `seeds` before and after, where it added some.

    `rules` has, by what of the verdict was changed, its values before and after, in words.
    """

    seeds: tuple[int, int] | None = None
    rules: dict[str, tuple[str, str]] = Field(default_factory=dict)


class ChangesRecord(Record):
    """All such changes, in their order."""

    format: Literal[1] = 1
    changes: tuple[LateChange, ...] = ()


def read_changes(out: Path) -> tuple[LateChange, ...]:
    """The late changes of the study in `out`.

    Raises UsageError for a file that says something else, and StorageError for one that cannot be
    read.
    """
    lost = "what was changed after verdicts could be seen"
    found = read_record(out / CHANGES_FILE, ChangesRecord, "changes", lost)
    return () if found is None else found.changes


def add_change(out: Path, change: LateChange) -> None:
    """Write down what the command that holds the study's folder `out` is about to change.

    Once: a command that was stopped before it changed anything says the same again.
    """
    before = read_changes(out)
    if before[-1:] == (change,):
        return
    write_record(out / CHANGES_FILE, ChangesRecord(changes=(*before, change)))
