"""What a study will take before it is run: runs, seeds, power and, where runs tell, time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from headtohead.config.options import StudyOptions, study_from
from headtohead.config.study import StudySpec
from headtohead.core.errors import UsageError
from headtohead.core.files import unreadable
from headtohead.runtime.jobs import jobs_of
from headtohead.stats import seeds_needed
from headtohead.stats.power import Power, expected_power
from headtohead.stats.sequential import Design
from headtohead.store.ledger import STUDY_FILE, Ledger

EFFECTS = (0.5, 1.0, 1.5, 2.0, 3.0)
CLAIM_TESTS = 3
"""Over-fitting, class maps, translation: the claims' family."""

RUNS = Path("runs")


@dataclass(frozen=True)
class HeadTime:
    """One head's runs: `seconds` is a finished run's mean wall time, None until one is finished."""

    head: str
    finished: int
    missing: int
    seconds: float | None


@dataclass(frozen=True)
class Forecast:
    """What a study takes. `ledger` is the folder whose finished runs are known, if any.

    `remaining` is the seconds of all missing runs one after the other, None where a head with
    missing runs has no finished one. `able` are the looks of a sequential design that can decide.
    """

    study: StudySpec
    ledger: Path | None
    heads: tuple[HeadTime, ...]
    primary_tests: int
    primary_seeds: int
    claim_seeds: int
    able: tuple[int, ...]
    power: tuple[Power, ...]
    remaining: float | None

    @property
    def runs(self) -> int:
        """All runs of the study."""
        return sum(head.finished + head.missing for head in self.heads)

    @property
    def missing(self) -> int:
        """Runs that are still to do."""
        return sum(head.missing for head in self.heads)


def plan(
    study: str | Path | None = None,
    *,
    out: str | Path | None = None,
    **options: Unpack[StudyOptions],
) -> Forecast:
    """What `compare` with the same arguments takes: runs, seeds, power and time. Runs nothing.

    Raises UsageError.
    """
    return forecast(study_from(study, **options), None if out is None else Path(out))


def forecast(spec: StudySpec, out: Path | None = None) -> Forecast:
    """Count, and read times from the study's folder: `out`, else what RUNS has of this study.

    Raises UsageError where `out` holds another study.
    """
    ledger = _ledger_of(spec, out)
    level = spec.verdict.level
    sequential = spec.verdict.until_decided is not None
    tests = 1 if sequential else len(spec.heads) - 1
    needed = seeds_needed(tests, level)
    design = Design(spec.verdict.looks, level, spec.verdict.spending)
    shown = sorted({needed, spec.seeds, *spec.verdict.looks})
    heads = tuple(_head_time(spec, ledger, head) for head in spec.heads)
    open_heads = [head for head in heads if head.missing]
    known = all(head.seconds is not None for head in open_heads)
    return Forecast(
        study=spec,
        ledger=ledger.out if ledger else None,
        heads=heads,
        primary_tests=tests,
        primary_seeds=needed,
        claim_seeds=seeds_needed(CLAIM_TESTS, level),
        able=design.able() if sequential else (),
        power=expected_power(EFFECTS, shown, tests=tests, level=level) if tests else (),
        remaining=sum(h.missing * (h.seconds or 0.0) for h in open_heads) if known else None,
    )


def _head_time(spec: StudySpec, ledger: Ledger | None, head: str) -> HeadTime:
    jobs = [job for job in jobs_of(spec.heads, spec.seeds) if job.head == head]
    runs = ledger.runs() if ledger else []
    over = {run.record.seed for run in runs if run.record.head == head}
    seconds = [
        run.record.seconds
        for run in runs
        if run.record.head == head and run.record.status == "finished"
    ]
    missing = sum(job.seed not in over for job in jobs)
    mean = sum(seconds) / len(seconds) if seconds else None
    return HeadTime(head, len(jobs) - missing, missing, mean)


def _ledger_of(spec: StudySpec, out: Path | None) -> Ledger | None:
    if out is not None:
        try:
            if not (out / STUDY_FILE).is_file():
                return None
        except OSError as error:
            raise unreadable(out, error) from error
        ledger = Ledger.open(out)
        if not _same(ledger.file.study, spec):
            raise UsageError(
                f"{out} holds another study ({ledger.file.study.name}): pictures, split, backbone, "
                f"recipe or heads differ. Choose another --out."
            )
        return ledger
    for path in sorted(RUNS.glob(f"{spec.name}-*/{STUDY_FILE}")):
        ledger = Ledger.open(path.parent)
        if _same(ledger.file.study, spec):
            return ledger
    return None


def _same(mine: StudySpec, other: StudySpec) -> bool:
    """Whether runs of the one are runs of the other, as far as can be told without pictures."""
    parts = ("data", "pictures", "split", "backbone", "recipe")
    shared = mine.heads.keys() & other.heads.keys()
    return all(getattr(mine, part) == getattr(other, part) for part in parts) and all(
        mine.heads[head] == other.heads[head] for head in shared
    )


def render_forecast(found: Forecast, workers: int) -> str:
    """The forecast in words, for the terminal; `workers` processes share the missing runs."""
    return "\n".join([*_counts(found), *_families(found), *_powers(found), *_time(found, workers)])


def _counts(found: Forecast) -> Iterator[str]:
    study = found.study
    heads = "1 head" if len(study.heads) == 1 else f"{len(study.heads)} heads"
    seeds = "1 seed" if study.seeds == 1 else f"{study.seeds} seeds"
    done = found.runs - found.missing
    where = f" ({done} finished in {found.ledger})" if found.ledger else ""
    yield f"{study.name}: {heads} × {seeds} = {found.runs} runs, {found.missing} to do{where}."


def _families(found: Forecast) -> Iterator[str]:
    study = found.study
    rule, reference = study.verdict, study.reference
    others = ", ".join(head for head in study.heads if head != reference)
    if not found.primary_tests:
        yield "One head: nothing to compare, no verdict."
        return
    if rule.until_decided is not None:
        looks = ", ".join(map(str, rule.looks))
        able = ", ".join(map(str, found.able)) or "none of them"
        yield (
            f"Sequential: {reference} against {rule.until_decided}, looks at {looks} pairs, level "
            f"{rule.level:g} spent by {rule.spending}; able to decide: {able}. At most "
            f"{rule.looks[-1]} seeds."
        )
    else:
        yield (
            f"Primary family, {rule.metric}: {reference} against {others}, "
            f"{found.primary_tests} test{'s' if found.primary_tests > 1 else ''} at level "
            f"{rule.level:g} (Holm): at least {found.primary_seeds} seeds, {study.seeds} planned."
        )
    yield (
        f"Family of claims (over-fitting, class maps, translation), {CLAIM_TESTS} tests: at least "
        f"{found.claim_seeds} seeds."
    )


def _powers(found: Forecast) -> Iterator[str]:
    if not found.power:
        return
    seeds = sorted({item.seeds for item in found.power})
    power = {(item.effect, item.seeds): item.power for item in found.power}
    yield (
        f"Power: how often a true difference gets its verdict, in % (one look, Holm's strictest "
        f"step of {found.primary_tests}; differences normal, in their standard deviations):"
    )
    yield "  difference" + "".join(f"{f'{n} seeds':>10}" for n in seeds)
    for effect in EFFECTS:
        cells = "".join(f"{100 * power[effect, n]:>10.0f}" for n in seeds)
        yield f"  {f'{effect:g} sd':>10}{cells}"


def _time(found: Forecast, workers: int) -> Iterator[str]:
    for head in found.heads:
        if head.seconds is not None:
            yield f"{head.head}: {head.seconds:.0f} s for a run, {head.missing} to do."
    unknown = [head.head for head in found.heads if head.missing and head.seconds is None]
    if unknown:
        yield f"Time: unknown until a run is finished ({', '.join(unknown)})."
    elif found.remaining:
        share = found.remaining / min(workers, found.missing)
        yield (
            f"Time: about {_clock(found.remaining)} of runs as they took here, some "
            f"{_clock(share)} with {workers} worker{'s' if workers > 1 else ''}, evidence not "
            f"counted."
        )


def _clock(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
