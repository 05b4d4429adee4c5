"""Following a sequential design: it is declared before its data, and looked at as declared.

It is written down before the first pair is trained and after each look (`store.looks`), so that no
design is chosen after its data, and no look is taken twice.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from headtohead.config.study import StudySpec
from headtohead.core.errors import UsageError
from headtohead.core.text import counted, names
from headtohead.runtime.jobs import Job, jobs_of
from headtohead.stats import DECIMALS, seeds_needed
from headtohead.stats.sequential import take_looks
from headtohead.store.changes import LateChange
from headtohead.store.ledger import STUDY_FILE, Ledger, StudyFile
from headtohead.store.looks import LOOKS_FILE, LookRecord, LooksRecord, read_looks, write_looks


def declare(ledger: Ledger, spec: StudySpec, seeds: int) -> LooksRecord:
    """Write down the study's sequential design before its data, or find it as it was declared.

    `seeds` are asked for of the other heads, which have as many as was ever asked. Raises
    UsageError where another design is being followed, and where pairs of the two heads were
    finished, and so could be seen, before any design was declared.
    """
    found = _agreed(ledger, _wanted(spec, seeds))
    if found is None:
        return write_looks(ledger.out, _wanted(spec, max(seeds, ledger.file.study.seeds)))
    return _asked(ledger, found, seeds)


def check_design(out: Path, file: StudyFile) -> None:
    """Refuse what `declare` would refuse, before anything of the study in `out` is changed.

    Raises what `refuse_design` raises; another study's folder is left to `Ledger.create`.
    """
    if (out / STUDY_FILE).is_file():
        ledger = Ledger.open(out)
        if ledger.file.digest == file.digest:
            refuse_design(ledger, file.study)


def refuse_design(ledger: Ledger, asked: StudySpec) -> None:
    """Refuse a design of `asked` that `declare` would refuse in the ledger of this study.

    And another reference or metric than those of the design that the ledger follows: reports would
    set its verdict beside differences of another kind. Raises UsageError.
    """
    heads = {**ledger.file.study.heads, **asked.heads}  # as `Ledger.create` joins them
    spec = asked.model_copy(update={"heads": heads})
    if spec.verdict.until_decided is None:
        _check_reports(ledger.out, spec)
    elif spec.verdict.until_decided == spec.reference:
        raise UsageError(
            f"{spec.reference} is the reference of the heads that {ledger.out} has, and "
            f"--until-decided compares another head with it. Name the reference in a study file "
            f"(verdict.reference), or choose another --out."
        )
    else:
        _agreed(ledger, _wanted(spec, spec.seeds))


def _check_reports(out: Path, spec: StudySpec) -> None:
    """Raises UsageError where verdicts on `spec` are not about what was looked at."""
    looks = read_looks(out)
    if looks is None or (looks.reference, looks.metric) == (spec.reference, spec.verdict.metric):
        return
    raise UsageError(
        f"{out} follows a sequential design ({describe(looks)}); received the reference "
        f"{spec.reference} and the metric {spec.verdict.metric}. Keep verdict.reference "
        f"{looks.reference} and --metric {looks.metric}, or choose another --out."
    )


def _asked(ledger: Ledger, record: LooksRecord, seeds: int) -> LooksRecord:
    """The record, which knows of the most seeds that a command asked for of the other heads."""
    if seeds <= record.seeds:
        return record
    return write_looks(ledger.out, record.model_copy(update={"seeds": seeds}))


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


RULES = ("metric", "level", "margin", "pairs", "target")
"""What of a verdict is named before the runs are seen, beside the heads of its roles."""

ROLES = ("reference", "claims_against")


def late_change(out: Path, file: StudyFile) -> LateChange | None:
    """What `file` adds to, or changes of, the study in `out` where that could give verdicts.

    None where there are too few pairs for any verdict, which nobody can have seen, and where a
    sequential design says how many there are.
    """
    if not (out / STUDY_FILE).is_file() or read_looks(out) is not None:
        return None
    ledger = Ledger.open(out)
    before, study = ledger.file.study, file.study
    if ledger.file.digest != file.digest or not _could_decide(ledger):
        return None
    heads = {**before.heads, **study.heads}  # as `Ledger.create` joins them
    joined = study.model_copy(update={"heads": heads})
    values = {role: (getattr(before, role), getattr(joined, role)) for role in ROLES}
    values |= {
        rule: (getattr(before.verdict, rule), getattr(study.verdict, rule)) for rule in RULES
    }
    change = LateChange(
        seeds=(before.seeds, study.seeds) if study.seeds > before.seeds else None,
        rules={
            name: (_in_words(old), _in_words(new))
            for name, (old, new) in values.items()
            if old != new
        },
    )
    return None if change == LateChange() else change


def _in_words(value: float | str | Sequence[str | tuple[str, str]] | None) -> str:
    """A value of a verdict's rule; of declared pairs all of them."""
    if value is None:
        return "none"
    if isinstance(value, str | float):
        return f"{value:g}" if isinstance(value, float) else value
    return ", ".join(pair if isinstance(pair, str) else " against ".join(pair) for pair in value)


def late_notes(out: Path, change: LateChange | None) -> Iterator[str]:
    """What more seeds, or another rule, do to the verdicts of the study in `out`."""
    if change is not None and change.seeds is not None:
        yield (
            f"{out} has had {counted(change.seeds[0], 'seed')}, enough for verdicts: seeds that "
            f"are added after a look at the results make false verdicts more frequent. Where that "
            f"matters, choose the number first, and another --out."
        )
    if change is not None and change.rules:
        yield (
            f"{out} has runs enough for verdicts, and this command changes their "
            f"{names(list(change.rules))}: whoever has seen verdicts by one rule and takes another "
            f"has tested twice."
        )


def _could_decide(ledger: Ledger) -> bool:
    study = ledger.file.study
    over = {(run.record.head, run.record.seed) for run in ledger.runs()}
    seeds = range(study.seeds)
    pairs = [sum({(a, n), (b, n)} <= over for n in seeds) for a, b in study.family]
    return max(pairs, default=0) >= seeds_needed(len(pairs), study.verdict.level)


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
    seed → difference on the primary metric. Heads that are not looked at have as many seeds as
    were asked for, by `spec` or an earlier command: those that looks added are not theirs.
    Returns failures in words. Raises UsageError as `declare` and `take_look` do.
    """
    record = declare(ledger, spec, spec.seeds)
    while True:
        n = record.next_look or record.taken[-1].n
        ledger = _with_seeds(ledger, max(record.seeds, n))
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
    """Seed by seed: the two heads that are looked at have `pairs` seeds, others those asked for."""
    wanted = {
        head: pairs if head in (record.reference, record.other) else record.seeds
        for head in spec.heads
    }
    return [
        Job(head, seed, spec.heads[head].after)
        for seed in range(max(wanted.values()))
        for head in spec.heads
        if seed < wanted[head]
    ]


def jobs_without_look(ledger: Ledger, seeds: int) -> list[Job]:
    """The jobs of a command that asks for `seeds` and for no look, seed by seed.

    Where earlier commands took looks, the seeds that these added are asked of two heads alone.
    """
    spec, record = ledger.file.study, read_looks(ledger.out)
    if record is None:
        return jobs_of(spec.heads, range(spec.seeds))
    return look_jobs(spec, _asked(ledger, record, seeds), spec.seeds)


def _with_seeds(ledger: Ledger, seeds: int) -> Ledger:
    study = ledger.file.study.model_copy(update={"seeds": seeds})
    return Ledger.create(ledger.out, ledger.file.model_copy(update={"study": study}))
