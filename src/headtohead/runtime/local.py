"""Jobs by worker processes of this machine: feed them, pass on what they say, leave none behind."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Self

from headtohead.core.errors import StorageError
from headtohead.core.files import storage_error
from headtohead.core.processes import Pool, Process, Worker
from headtohead.data.prepared import PreparedSet
from headtohead.runtime.executor import Event, SomeJob
from headtohead.runtime.jobs import AnyJob, Job, as_data
from headtohead.runtime.process import StandbyProcesses


class LocalExecutor:
    """Worker processes, one for each of `setups` at most, to be used in a `with` statement.

    `standby` gives a process, which is sent its setup, with the place of its log in the folder
    `logs`, and then one job at a time (and {"lent": cores} at any moment), and answers by events.
    Workers are set up when there is a job for them, and stay until the `with` statement is left.
    While runs are trained, the cores of workers without a job are lent to those that have one.
    """

    def __init__(
        self, standby: StandbyProcesses, setups: Sequence[dict[str, Any]], logs: Path
    ) -> None:
        self._standby, self._logs = standby, logs
        self._unstarted = list(setups)
        self._pool: Pool[_TrainingWorker] = Pool()
        self._waiting: list[Any] = []
        self._lending = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.stop()

    def alone(self) -> None:
        """As `Executor` says: processes that may still be getting ready are ended."""
        self._standby.stop()

    def run(self, jobs: Sequence[SomeJob], on_event: Callable[[SomeJob, Event], None]) -> None:
        """As `Executor` says. A worker that dies is replaced."""
        self._waiting = list(jobs)
        self._lending = all(isinstance(job, Job) for job in jobs)
        for worker in [worker for worker in self._pool.workers if worker.process.is_dead()]:
            self._dismiss(worker)
        self._hand_out()
        while self._pool.at_work:
            worker, event = self._pool.hear()
            if event is None:
                if worker.job is not None:
                    on_event(worker.job, {"event": "error", "message": worker.death()})
                self._dismiss(worker)
                self._hand_out()
            elif worker.job is not None and event["event"] != "answer":
                self._pass_on(worker, event, on_event)

    def _pass_on(
        self, worker: "_TrainingWorker", event: Event, on_event: Callable[[Any, Event], None]
    ) -> None:
        on_event(worker.job, event)
        if event.get("exit_code") == StorageError.exit_code:
            raise StorageError(event["message"])
        if event["event"] in ("done", "error"):
            worker.job = None
            if event.get("leaves"):
                self._dismiss(worker)
            self._hand_out()

    def _hand_out(self) -> None:
        """Give every worker without a job the next one, and lend out the cores that are left."""
        for worker in self._pool.workers:
            if worker.job is None:
                worker.lend([])
                self._give(worker, self._next_job(worker.trained))
        while self._unstarted and (job := self._next_job()) is not None:
            worker = _TrainingWorker(self._standby.take, self._unstarted.pop(0), self._logs)
            self._pool.add(worker)
            self._give(worker, job)
        if not self._lending:
            return
        resting = [worker.setup for worker in self._pool.workers if worker.job is None]
        cores = [setup.get("core") for setup in [*resting, *self._unstarted]]
        busy = self._pool.at_work
        for index, worker in enumerate(busy):
            worker.lend(cores[index :: len(busy)])

    def _give(self, worker: "_TrainingWorker", job: AnyJob | None) -> None:
        if job is not None:
            worker.give(job, as_data(job))
            if isinstance(job, Job):
                worker.trained.add(job.head)

    def _next_job(self, trained: Collection[str] = ()) -> Any:
        """The first that can be done; of its seed rather a head that the worker has `trained`.

        What that head's pool makes of frozen features is there still.
        """
        unfinished = {*self._waiting, *(worker.job for worker in self._pool.workers)}
        ready = [job for job in self._waiting if not unfinished & _before(job)]
        if not ready:
            return None
        known = (
            job
            for job in ready
            if isinstance(job, Job) and job.seed == ready[0].seed and job.head in trained
        )
        job = next(known, ready[0])
        self._waiting.remove(job)
        return job

    def _dismiss(self, worker: "_TrainingWorker") -> None:
        """It has died, or is about to: another may take its place."""
        self._pool.dismiss(worker)
        self._unstarted.append(worker.setup)


def local_executor(
    standby: StandbyProcesses, setups: Sequence[dict[str, Any]], out: Path, prepared: PreparedSet
) -> LocalExecutor:
    """Workers for a ledger in the folder `out`, one for each of `setups`, all on `prepared`."""
    shared = {"out": str(out.resolve()), "prepared": str(prepared.folder.resolve())}
    return LocalExecutor(standby, [{**setup, **shared} for setup in setups], out / "logs")


def _before(job: AnyJob) -> set[AnyJob]:
    """What must be done before it."""
    if not isinstance(job, Job) or job.after is None:
        return set()
    return {Job(job.after, job.seed)}


class _TrainingWorker(Worker):
    """A process of the pool, how it is set up, and the cores that it may use besides.

    `trained` are the heads that it has had.
    """

    def __init__(self, take: Callable[[], Process], setup: dict[str, Any], logs: Path) -> None:
        self.setup = setup
        self.trained: set[str] = set()
        self._lent: list[int | None] = []
        self._log = logs / f"worker-{setup['worker']}.log"
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            self._log.open("ab").close()
        except OSError as error:
            raise storage_error(self._log, error) from error
        super().__init__(take())
        self.process.send({**setup, "log": str(self._log.resolve())})

    def lend(self, cores: list[int | None]) -> None:
        """It may use these further cores, None one that is not named, and no others."""
        if cores != self._lent:
            self._lent = cores
            self.process.send({"lent": cores})

    def death(self) -> str:
        """In words, how this worker ended."""
        return f"its worker ended with {self.process.death()}; see {self._log}"
