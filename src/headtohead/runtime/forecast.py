"""What a study will take, counted: runs, seeds, power, and time by finished runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from headtohead.claims.table import tested_claims
from headtohead.config.differences import differences, head_with_other_settings
from headtohead.config.study import StudySpec
from headtohead.core.errors import HeadToHeadError
from headtohead.runtime.interim import refuse_design
from headtohead.stats import seeds_needed
from headtohead.stats.power import Power, expected_power
from headtohead.stats.sequential import Design
from headtohead.store.ledger import STUDY_FILE, Ledger, Run, refuse_another
from headtohead.store.looks import read_looks

EFFECTS = (0.5, 1.0, 1.5, 2.0, 3.0)

RUNS = Path("runs")


@dataclass(frozen=True)
class HeadTime:
    """One head's runs. `seconds` is a run's wall time: the mean of finished ones, else `measured`.

    None where neither is known. `measured` is whether it comes from a few steps. Of a head that is
    looked at, `missing` are the runs up to the next look, and `further` those that later looks may
    add.
    """

    head: str
    finished: int
    missing: int
    seconds: float | None
    measured: bool = False
    further: int = 0


@dataclass(frozen=True)
class Images:
    """How many images each split has, as far as files tell, and which splits the user gave."""

    train: int
    validation: int
    test: int
    given: tuple[str, ...]


@dataclass(frozen=True)
class Forecast:
    """What a study takes. `ledger` is the folder whose finished runs are known, if any.

    `images` is None where they are not on this machine yet. `remaining` is the seconds of all
    missing runs one after the other, None where a head with missing runs has no known time.
    `tested_claims` share one correction: a verdict on any of them takes `claim_seeds`.
    `workers` share the missing runs. `backbone` is what is known of a backbone with weights, in
    words by topic. `able` are the looks of a sequential design that can decide. `guidance` is what
    should be known before hours are spent. As text it is what the command prints.
    """

    study: StudySpec
    ledger: Path | None
    images: Images | None
    heads: tuple[HeadTime, ...]
    primary_tests: int
    primary_seeds: int
    tested_claims: tuple[str, ...]
    claim_seeds: int
    able: tuple[int, ...]
    power: tuple[Power, ...]
    remaining: float | None
    workers: int
    guidance: tuple[str, ...] = ()
    backbone: Mapping[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        """All runs of the study."""
        return sum(head.finished + head.missing for head in self.heads)

    @property
    def missing(self) -> int:
        """Runs that are still to do."""
        return sum(head.missing for head in self.heads)

    def measured(self, seconds: Mapping[str, float]) -> "Forecast":
        """The same with the `seconds` that a run of heads without a finished one takes."""
        heads = tuple(
            replace(head, seconds=seconds[head.head], measured=True)
            if head.seconds is None and head.head in seconds
            else head
            for head in self.heads
        )
        return replace(self, heads=heads, remaining=_remaining(heads))

    @property
    def further(self) -> int:
        """Runs that later looks may add to those that are still to do."""
        return sum(head.further for head in self.heads)

    @property
    def longest(self) -> float:
        """Seconds of all runs that are still to do, were every look needed; `remaining` known."""
        mine = [head for head in self.heads if head.missing or head.further]
        return sum((head.missing + head.further) * (head.seconds or 0.0) for head in mine)

    @property
    def next_look(self) -> int | None:
        """The pairs of the next look, or of the last; None where no design is followed."""
        other = self.study.verdict.until_decided
        pairs = (head.finished + head.missing for head in self.heads if head.head == other)
        return next(pairs, None)

    @property
    def without_time(self) -> list[str]:
        """Heads with missing runs that have no known time."""
        return [head.head for head in self.heads if head.missing and head.seconds is None]

    def __str__(self) -> str:
        from headtohead.runtime.forecast_text import render_forecast

        return render_forecast(self)


def forecast(
    spec: StudySpec,
    out: Path | None = None,
    *,
    images: Images | None = None,
    workers: int = 1,
    guidance: tuple[str, ...] = (),
    backbone: Mapping[str, str] = MappingProxyType({}),
) -> Forecast:
    """Count, and read times from the study's folder: `out`, else what RUNS has of this study.

    The study's own claims are imported. Raises UsageError where `out` holds something else or
    another study, or follows another sequential design, or a claim cannot be imported, and
    StorageError.
    """
    ledger = _ledger_of(spec, out)
    level = spec.verdict.level
    sequential = spec.verdict.until_decided is not None
    tests = 1 if sequential else len(spec.family)
    needed = seeds_needed(tests, level)
    claims = tested_claims(spec)
    design = Design(spec.verdict.looks, level, spec.verdict.spending)
    # The pairs of a design are those of its looks, whatever the seeds of other heads.
    planned = () if sequential else (needed, spec.seeds)
    shown = sorted({*planned, *spec.verdict.looks})
    runs = ledger.runs() if ledger else []
    heads = tuple(_head_time(head, runs, *_seeds_of(spec, head, ledger)) for head in spec.heads)
    return Forecast(
        study=spec,
        ledger=ledger.out if ledger else None,
        images=images,
        heads=heads,
        primary_tests=tests,
        primary_seeds=needed,
        tested_claims=claims,
        claim_seeds=seeds_needed(len(claims), level),
        able=design.able() if sequential else (),
        power=expected_power(EFFECTS, shown, tests=tests, level=level) if tests else (),
        remaining=_remaining(heads),
        workers=workers,
        guidance=guidance,
        backbone=dict(backbone),
    )


def _remaining(heads: Iterable[HeadTime]) -> float | None:
    todo = [head for head in heads if head.missing]
    if any(head.seconds is None for head in todo):
        return None
    return sum(head.missing * (head.seconds or 0.0) for head in todo)


def _seeds_of(spec: StudySpec, head: str, ledger: Ledger | None) -> tuple[int, int]:
    """The seeds that a head is to have, and, of one that is looked at, after the last look."""
    if head not in (spec.reference, spec.verdict.until_decided) or not spec.verdict.until_decided:
        return spec.seeds, spec.seeds
    looks = None if ledger is None else read_looks(ledger.out)
    if looks is None:
        return spec.verdict.looks[0], spec.verdict.looks[-1]
    if looks.next_look is None:
        return looks.taken[-1].n, looks.taken[-1].n
    return looks.next_look, looks.looks[-1]


def _head_time(head: str, runs: Sequence[Run], seeds: int, most: int) -> HeadTime:
    mine = [run.record for run in runs if run.record.head == head]
    over = {record.seed for record in mine}
    seconds = [record.seconds for record in mine if record.status == "finished"]
    missing = sum(seed not in over for seed in range(seeds))
    further = sum(seed not in over for seed in range(seeds, most))
    mean = sum(seconds) / len(seconds) if seconds else None
    return HeadTime(head, seeds - missing, missing, mean, further=further)


def _ledger_of(spec: StudySpec, out: Path | None) -> Ledger | None:
    if out is not None:
        refuse_another(out, spec)
        ledger = Ledger.open(out) if (out / STUDY_FILE).is_file() else None
        if ledger is None or not _same_images(ledger.file.study, spec):
            return None
        refuse_design(ledger, spec)
        return ledger
    for path in sorted(path for name in {spec.name, "standard"} for path in _studies(name)):
        ledger = _opened(path.parent)
        if ledger is None:
            continue
        before = ledger.file.study
        same = not differences(before, spec) and head_with_other_settings(before, spec) is None
        if same and _same_images(before, spec):
            if path.parent.name == f"{spec.name}-{ledger.file.digest[:8]}":  # as `default_out`
                refuse_design(ledger, spec)
            return ledger
    return None


def _opened(folder: Path) -> Ledger | None:
    """The ledger in a folder that nobody named; None where it cannot be read."""
    try:
        return Ledger.open(folder)
    except HeadToHeadError:
        return None


def _studies(name: str) -> Iterable[Path]:
    return RUNS.glob(f"{name}-*/{STUDY_FILE}")


def _same_images(mine: StudySpec, other: StudySpec) -> bool:
    """Whether two studies name the same images: those of other names may still be the same."""
    return mine.data == other.data and mine.pictures == other.pictures
