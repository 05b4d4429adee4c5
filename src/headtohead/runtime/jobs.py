"""A study → the runs that are still to do."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from headtohead.config.study import HeadSpec
from headtohead.probes.evidence import (
    evidence_path,
    read_class_maps,
    read_costs,
    read_predictions,
    read_translation,
)
from headtohead.store.ledger import Ledger

READERS: Mapping[str, Callable[[Path, str], object]] = MappingProxyType(
    {
        "predictions": read_predictions,
        "costs": read_costs,
        "class_maps": read_class_maps,
        "translation": read_translation,
    }
)
"""What every finished run is asked for, and how to see whether it was answered."""

WEIGHTLESS = "costs"
"""Counted on the model as it is built."""


@dataclass(frozen=True)
class Job:
    """One head × one seed: to be trained, and its evidence collected."""

    head: str
    seed: int

    def __str__(self) -> str:
        return f"{self.head} seed {self.seed}"


@dataclass(frozen=True)
class SpeedJob:
    """The time of a training step of every one of `heads`, when no other worker is busy."""

    heads: tuple[str, ...]

    def __str__(self) -> str:
        return f"speed of {', '.join(self.heads)}"


@dataclass(frozen=True)
class FiguresJob:
    """The article's figures of one metric, by its name in `headtohead.report.figures`."""

    metric: str

    def __str__(self) -> str:
        return f"figures of {self.metric}"


AnyJob: TypeAlias = Job | SpeedJob | FiguresJob


def jobs_of(heads: Iterable[str], seeds: int) -> list[Job]:
    """Seed by seed, so that stopping early leaves whole pairs."""
    names = list(heads)
    return [Job(head, seed) for seed in range(seeds) for head in names]


def predecessor(heads: Mapping[str, HeadSpec], job: Job) -> Job | None:
    """The run whose backbone `job` starts from."""
    before = heads[job.head].after
    return None if before is None else Job(before, job.seed)


def is_done(ledger: Ledger, job: Job) -> bool:
    """Whether nothing is left to do for `job`: its run is over and all its evidence is there.

    What weights that were deleted would have shown cannot be collected, and is not waited for.
    """
    run = ledger.run(job.head, job.seed)
    if run is None:
        return False
    return run.record.status == "failed" or not to_collect(ledger, job)


def to_collect(ledger: Ledger, job: Job) -> tuple[str, ...]:
    """The probes whose evidence a finished run lacks and can still give."""
    missing = _missing(ledger, job)
    return missing if _has_weights(ledger, job) else tuple(p for p in missing if p == WEIGHTLESS)


def lost(ledger: Ledger, job: Job) -> tuple[str, ...]:
    """The probes whose evidence a finished run lacks for good: its weights are gone."""
    run = ledger.run(job.head, job.seed)
    if run is None or run.record.status == "failed":
        return ()
    can = to_collect(ledger, job)
    return tuple(probe for probe in _missing(ledger, job) if probe not in can)


def _missing(ledger: Ledger, job: Job) -> tuple[str, ...]:
    if ledger.file.tunes is not None:
        return ()
    key = ledger.run_key(job.head, job.seed)
    return tuple(
        probe
        for probe, read in READERS.items()
        if read(evidence_path(ledger.out, probe, job.head, job.seed), key) is None
    )


def _has_weights(ledger: Ledger, job: Job) -> bool:
    run = ledger.run(job.head, job.seed)
    folder = ledger.run_folder(job.head, job.seed)
    return run is not None and all((folder / name).exists() for name in run.record.files)
