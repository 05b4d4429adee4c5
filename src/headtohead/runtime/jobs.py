"""A study → the jobs that are still to do, as plain data."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from headtohead.config.study import HeadSpec
from headtohead.probes.stage import to_collect
from headtohead.store.ledger import Ledger


@dataclass(frozen=True)
class Job:
    """One head × one seed: to be trained, and its evidence collected.

    `after` is the head whose run of the same seed must be over first, where there is one.
    """

    head: str
    seed: int
    after: str | None = field(default=None, compare=False)

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
    """The article's figures of one metric, by its name in `headtohead.report.formats.figures`."""

    metric: str

    def __str__(self) -> str:
        return f"figures of {self.metric}"


AnyJob: TypeAlias = Job | SessionJob | FiguresJob


def jobs_of(heads: Mapping[str, HeadSpec], seeds: Iterable[int]) -> list[Job]:
    """Seed by seed, so that stopping early leaves whole pairs."""
    return [Job(name, seed, head.after) for seed in seeds for name, head in heads.items()]


def as_data(job: AnyJob) -> dict[str, Any]:
    """The job as JSON has it, with its kind."""
    return {"kind": type(job).__name__, **asdict(job)}


def from_data(data: Mapping[str, Any]) -> AnyJob:
    """The inverse of `as_data`."""
    fields = {key: value for key, value in data.items() if key != "kind"}
    if data["kind"] == "SessionJob":
        return SessionJob(fields["probe"], tuple(fields["heads"]))
    if data["kind"] == "FiguresJob":
        return FiguresJob(**fields)
    return Job(**fields)


def is_done(ledger: Ledger, job: Job) -> bool:
    """Whether nothing is left to do for `job`: its run is over and all its evidence is there.

    What weights that were deleted would have shown cannot be collected, and is not waited for.
    """
    run = ledger.run(job.head, job.seed)
    if run is None:
        return False
    return run.record.status == "failed" or not to_collect(ledger, job.head, job.seed)
