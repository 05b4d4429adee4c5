"""A study → the runs that are still to do."""

from collections.abc import Iterable
from dataclasses import dataclass

from headtohead.probes.evidence import predictions_path, read_predictions
from headtohead.study.ledger import Ledger


@dataclass(frozen=True)
class Job:
    """One head × one seed: to be trained, and its predictions collected."""

    head: str
    seed: int

    def __str__(self) -> str:
        return f"{self.head} seed {self.seed}"


def jobs_of(heads: Iterable[str], seeds: int) -> list[Job]:
    """Seed by seed, so that stopping early leaves whole pairs."""
    names = list(heads)
    return [Job(head, seed) for seed in range(seeds) for head in names]


def is_done(ledger: Ledger, job: Job) -> bool:
    """Whether nothing is left to do for `job`: its run is over and its predictions are there.

    A run whose weights were deleted has nothing left that can be done.
    """
    run = ledger.run(job.head, job.seed)
    if run is None:
        return False
    if run.record.status == "failed":
        return True
    path = predictions_path(ledger.out, job.head, job.seed)
    if read_predictions(path, run.record.key) is not None:
        return True
    folder = ledger.run_folder(job.head, job.seed)
    return not all((folder / name).exists() for name in run.record.files)
