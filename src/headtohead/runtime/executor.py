"""What executes jobs: processes of this machine (`headtohead.runtime.local`), or anything else."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from headtohead.runtime.jobs import AnyJob

Event: TypeAlias = dict[str, Any]
"""What is said of a job: {"event": "start" | "step" | "epoch" | "note" | "done" | "error", …}.

An "error" with a true value of "leaves" is a worker's last word: it takes no other job.
"""

SomeJob = TypeVar("SomeJob", bound=AnyJob)


class Executor(Protocol):
    """Executes jobs by `headtohead.runtime.run_job.run_job`, wherever it likes.

    To be used in a `with` statement, at whose end nothing of it is left running.
    """

    def run(self, jobs: Sequence[SomeJob], on_event: Callable[[SomeJob, Event], None]) -> None:
        """Do all jobs, and return when they are over.

        They are started in their order; one waits until the run that it comes `after`, where that
        is among `jobs`, is over. Each ends by one event, "done" or "error". Whoever does a job may
        die: that is an "error" of the job. Raises StorageError where the ledger cannot be written.
        """

    def alone(self) -> None:
        """From now on nothing but the jobs computes: what waits for some is stopped."""
