"""A study → the runs that are still to do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from headtohead.config.study import HeadSpec
from headtohead.probes.stage import to_collect
from headtohead.store.ledger import Ledger


@dataclass(frozen=True)
class Job:
    """One head × one seed: to be trained, and its evidence collected."""

    head: str
    seed: int

    def __str__(self) -> str:
        return f"{self.head} seed {self.seed}"


@dataclass(frozen=True)
class SessionJob:
    """What the probe called `probe` measures of all `heads`, when no other worker is busy."""

    probe: str
    heads: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.probe} of {', '.join(self.heads)}"


@dataclass(frozen=True)
class FiguresJob:
    """The article's figures of one metric, by its name in `headtohead.report.figures`."""

    metric: str

    def __str__(self) -> str:
        return f"figures of {self.metric}"


AnyJob: TypeAlias = Job | SessionJob | FiguresJob


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
    return run.record.status == "failed" or not to_collect(ledger, job.head, job.seed)
