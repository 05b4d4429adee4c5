"""`looks.json`: the sequential design that a study follows, and the looks taken so far.

Every report says by it which design was followed.
"""

from pathlib import Path
from typing import Literal

from headtohead.config.verdict import Metric
from headtohead.stats.sequential import Design, Spending
from headtohead.store.records import Record, read_record, write_record

LOOKS_FILE = "looks.json"


class LookRecord(Record):
    """One look as it was taken: the differences it saw, reference minus other, seed by seed."""

    n: int
    differences: tuple[float, ...]
    mean: float
    p: float
    spent: float
    p_t: float
    nominal: float
    low: float | None
    high: float | None
    decision: Literal[-1, 0, 1]


class LooksRecord(Record):
    """The design, as it was declared, and the looks in their order.

    `seeds` is how many seeds the study's other heads are to have: the most that a command asked
    for. Earlier versions say no `metric`: theirs was test accuracy.
    """

    format: Literal[1] = 1
    reference: str
    other: str
    looks: tuple[int, ...]
    level: float
    spending: Spending
    seeds: int
    metric: Metric = "test_accuracy"
    taken: tuple[LookRecord, ...] = ()

    @property
    def design(self) -> Design:
        """What was declared."""
        return Design(self.looks, self.level, self.spending)

    @property
    def decision(self) -> Literal[-1, 0, 1]:
        """1: the reference is better; -1: the other; 0: not decided by now."""
        return self.taken[-1].decision if self.taken else 0

    @property
    def next_look(self) -> int | None:
        """How many pairs the next look needs; None where the design has come to its end."""
        if self.decision or len(self.taken) == len(self.looks):
            return None
        return self.looks[len(self.taken)]


def read_looks(out: Path) -> LooksRecord | None:
    """The design that the study in `out` follows; None where it follows none.

    Raises UsageError for a file that says something else, and StorageError for one that cannot be
    read.
    """
    lost = "how often the comparison was looked at"
    return read_record(out / LOOKS_FILE, LooksRecord, "looks", lost)


def write_looks(out: Path, record: LooksRecord) -> LooksRecord:
    """`record` itself, when it is written down in the study's folder `out`."""
    write_record(out / LOOKS_FILE, record)
    return record
