"""Following a sequential design: it is declared before its data, and looked at as declared.

It is written down before the first pair is trained and after each look (`store.looks`), so that no
design is chosen after its data, and no look is taken twice.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from headtohead.config.study import StudySpec
from headtohead.core.errors import UsageError
from headtohead.runtime.jobs import Job
from headtohead.stats import DECIMALS
from headtohead.stats.sequential import take_looks
from headtohead.store.ledger import STUDY_FILE, Ledger, StudyFile
from headtohead.store.looks import LOOKS_FILE, LookRecord, LooksRecord, read_looks, write_looks


def declare(ledger: Ledger, spec: StudySpec, seeds: int) -> LooksRecord:
    """Write down the study's sequential design before its data, or find it as it was declared.

    Raises UsageError where another design is being followed, and where pairs of the two heads
    were finished, and so could be seen, before any design was declared.
    """
    wanted = _wanted(spec, seeds)
    return _agreed(ledger, wanted) or write_looks(ledger.out, wanted)


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
    return write_looks(ledger.out, record.model_copy(update={"taken": taken}))


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
