"""`looks.json`: the sequential design that a study follows, and the looks taken so far.

Written before the first pair is trained and after each look, so that no design is chosen after
its data, no look is taken twice, and every later report says which design was followed.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from headtohead.config.study import StudySpec
from headtohead.config.verdict import Metric
from headtohead.core.errors import UsageError
from headtohead.core.files import write_atomic
from headtohead.runtime.jobs import Job
from headtohead.stats import DECIMALS
from headtohead.stats.sequential import Design, Spending, take_looks
from headtohead.store.ledger import STUDY_FILE, Ledger, StudyFile
from headtohead.store.records import Record

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

    `seeds` is how many seeds the study's other heads were to have when it was declared. Earlier
    versions say no `metric`: theirs was test accuracy.
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

    Raises UsageError for a file that cannot be read.
    """
    path = out / LOOKS_FILE
    try:
        return LooksRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise UsageError(
            f"{path} cannot be read as looks of this version: {error}. Restore it: without it "
            f"nothing says how often the comparison was looked at."
        ) from error


def declare(ledger: Ledger, spec: StudySpec, seeds: int) -> LooksRecord:
    """Write down the study's sequential design before its data, or find it as it was declared.

    Raises UsageError where another design is being followed, and where pairs of the two heads
    were finished, and so could be seen, before any design was declared.
    """
    wanted = _wanted(spec, seeds)
    return _agreed(ledger, wanted) or _write(ledger, wanted)


def check_design(out: Path, file: StudyFile) -> None:
    """Refuse what `declare` would refuse, before anything of the study in `out` is changed.

    Raises UsageError as `declare` does; another study's folder is left to `Ledger.create`.
    """
    if file.study.verdict.until_decided is None or not (out / STUDY_FILE).is_file():
        return
    ledger = Ledger.open(out)
    if ledger.file.digest == file.digest:
        _agreed(ledger, _wanted(file.study, file.study.seeds))


def _wanted(spec: StudySpec, seeds: int) -> LooksRecord:
    assert spec.verdict.until_decided is not None  # noqa: S101 - the caller asks for a design
    return LooksRecord(
        reference=spec.reference,
        other=spec.verdict.until_decided,
        looks=spec.verdict.looks,
        level=spec.verdict.level,
        spending=spec.verdict.spending,
        seeds=seeds,
        metric=spec.verdict.metric,
    )


def _agreed(ledger: Ledger, wanted: LooksRecord) -> LooksRecord | None:
    """The design as it was declared, None where none is; UsageError where it cannot be `wanted`."""
    found = read_looks(ledger.out)
    if found is not None:
        if found.model_copy(update={"taken": (), "seeds": wanted.seeds}) != wanted:
            raise UsageError(
                f"{ledger.out} follows another sequential design ({describe(found)}; received "
                f"{describe(wanted)}): a design cannot change once it is declared. Choose "
                f"another --out."
            )
        return found
    over = {(run.record.head, run.record.seed) for run in ledger.runs()}
    mine, theirs = (
        {seed for head, seed in over if head == name} for name in (wanted.reference, wanted.other)
    )
    if mine & theirs:
        raise UsageError(
            f"{ledger.out} has {len(mine & theirs)} finished pairs of {wanted.reference} and "
            f"{wanted.other}, run before any sequential design was declared: whoever has seen "
            f"them cannot declare one. Choose another --out."
        )
    return None


def take_look(ledger: Ledger, record: LooksRecord, differences: tuple[float, ...]) -> LooksRecord:
    """Take the next look at `differences`, one for each seed from 0 on, and write it down.

    Raises UsageError where the pairs of an earlier look are no longer what they were.
    """
    n = record.next_look
    if n is None or len(differences) != n:
        raise ValueError(f"the next look needs {n} pairs; received {len(differences)}")
    for before in record.taken:
        if differences[: before.n] != before.differences:
            raise UsageError(
                f"pairs of {record.reference} and {record.other} changed after the look at "
                f"{before.n} of them: the looks in {ledger.out / LOOKS_FILE} are no longer looks "
                f"at this study. Restore its runs, or choose another --out."
            )
    look = take_looks(differences, record.design)[-1]
    taken = (*record.taken, LookRecord(differences=differences, **vars(look)))
    return _write(ledger, record.model_copy(update={"taken": taken}))


def describe(record: LooksRecord) -> str:
    """`gap against fc, looks at 7, 10, 14, 20 pairs, level 0.05, pocock spending`."""
    looks = ", ".join(map(str, record.looks))
    metric = "" if record.metric == "test_accuracy" else f" on {record.metric}"
    return (
        f"{record.reference} against {record.other}{metric}, looks at {looks} pairs, level "
        f"{record.level:g}, {record.spending} spending"
    )


def follow(
    ledger: Ledger,
    spec: StudySpec,
    *,
    run: Callable[[Ledger, list[Job]], list[str]],
    differences: Callable[[Ledger, LooksRecord], Mapping[int, float]],
    note: Callable[[str], None],
) -> list[str]:
    """Run seeds up to each look in turn and look, until one decides or the last is taken.

    `run` does what of its jobs is missing and returns failures in words; `differences` reads
    seed → difference on the primary metric. Heads that are not looked at have the study's seeds.
    Returns failures in words. Raises UsageError as `declare` and `take_look` do.
    """
    record = declare(ledger, spec, spec.seeds)
    while True:
        n = record.next_look or record.taken[-1].n
        ledger = _with_seeds(ledger, max(spec.seeds, n))
        failures = run(ledger, look_jobs(spec, record, n))
        if record.next_look is None:
            return failures
        found = differences(ledger, record)
        missing = [str(seed) for seed in range(n) if seed not in found]
        if missing:
            return [
                *failures,
                f"no look at {n} pairs of {record.reference} and {record.other}: seeds "
                f"{', '.join(missing)} make no pair (unfinished, or in unlike environments)",
            ]
        seen = tuple(round(found[seed], DECIMALS) for seed in range(n))
        record = take_look(ledger, record, seen)
        note(f"Look at {n} pairs: {'decided' if record.decision else 'not decided'}")
        if record.next_look is None:
            return failures


def look_jobs(spec: StudySpec, record: LooksRecord, pairs: int) -> list[Job]:
    """Seed by seed: the two heads that are looked at have `pairs` seeds, others the study's."""
    wanted = {
        head: pairs if head in (record.reference, record.other) else spec.seeds
        for head in spec.heads
    }
    return [
        Job(head, seed, spec.heads[head].after)
        for seed in range(max(wanted.values()))
        for head in spec.heads
        if seed < wanted[head]
    ]


def _with_seeds(ledger: Ledger, seeds: int) -> Ledger:
    study = ledger.file.study.model_copy(update={"seeds": seeds})
    return Ledger.create(ledger.out, ledger.file.model_copy(update={"study": study}))


def _write(ledger: Ledger, record: LooksRecord) -> LooksRecord:
    content = json.dumps(record.model_dump(mode="json"), indent=1)
    write_atomic(ledger.out / LOOKS_FILE, f"{content}\n".encode())
    return record
