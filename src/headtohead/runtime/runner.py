"""A study's jobs through an executor, told to the display: train, measure all heads, draw."""

from collections.abc import Collection, Sequence

from headtohead.probes.base import of_heads, read_session
from headtohead.probes.stage import lost
from headtohead.probes.table import probes_of
from headtohead.report.formats.figures import CURVE_METRICS
from headtohead.report.formats.tensorboard import RunEvents
from headtohead.runtime.executor import Event, Executor
from headtohead.runtime.jobs import AnyJob, FiguresJob, Job, SessionJob, is_done
from headtohead.runtime.progress import Display
from headtohead.store.ledger import Ledger
from headtohead.store.records import EpochRecord, read_history
from headtohead.study_data import StudyData


class StudyRunner:
    """Has a study's jobs done by `executor`."""

    def __init__(self, executor: Executor, display: Display) -> None:
        self.executor, self.display = executor, display

    def train(self, ledger: Ledger, jobs: Sequence[Job]) -> list[str]:
        """Train what is not there yet; the failures of the study's runs, old and new, in words."""
        waiting = [job for job in jobs if not is_done(ledger, job)]
        watch = _Listener(ledger, self.display)
        self.display.begin(ledger, jobs, waiting)
        self.executor.run(waiting, watch.event)
        for job in jobs:
            if gone := lost(ledger, job.head, job.seed):
                self.display.note(f"{job}: weights deleted: {', '.join(gone)} cannot be computed")
        return [*ledger.failures(), *watch.errors]

    def measure_heads(self, ledger: Ledger, named: Collection[str]) -> list[str]:
        """Let each probe that measures all heads in one session do so; what went wrong, in words.

        One worker alone, and again whenever a head was added: heads are measured together or not
        at all. A head of the user's own runs code: it is imported only where this command `named`
        it. Heads without any run, as those that cannot run, are not measured.
        """
        study = ledger.file.study
        heads = ledger.heads_with_runs()
        if not heads:
            return []
        own = [head for head in heads if ":" in (study.heads[head].head or "")]
        errors = []
        for probe in probes_of(study):
            if not of_heads(probe) or read_session(ledger, probe, heads) is not None:
                continue
            if not set(own) <= set(named):
                names = ", ".join(own)
                self.display.note(
                    f"Probe {probe.name} skipped: pass --heads with {names} to allow running "
                    f"their code."
                )
                continue
            self.display.note(f"Measuring the {probe.name} of all heads")
            self.executor.alone()
            errors += self._do(SessionJob(probe.name, heads))
        return errors

    def draw_figures(self) -> list[str]:
        """Draw the article's figures, each metric's by a worker; what went wrong, in words.

        Raises StorageError where they cannot be written.
        """
        return self._do(*(FiguresJob(metric.name) for metric in CURVE_METRICS))

    def _do(self, *jobs: AnyJob) -> list[str]:
        """Do jobs of which the display shows notes alone; errors in words."""
        errors: list[str] = []

        def on_event(job: AnyJob, event: Event) -> None:
            if event["event"] == "error":
                errors.append(f"{job}: {event['message']}")
            elif event["event"] == "note":
                self.display.note(f"{job}: {event['message']}")

        self.executor.run(jobs, on_event)
        return errors


class _Listener:
    """Passes on what workers say: to the display, and to TensorBoard while a run goes on."""

    def __init__(self, ledger: Ledger, display: Display) -> None:
        self._ledger, self._display = ledger, display
        self._events: dict[Job, RunEvents] = {}
        self.errors: list[str] = []

    def event(self, job: Job, event: Event) -> None:
        """One event of the worker that has `job`."""
        self._display.event(job, event)
        kind = event["event"]
        if kind == "start":
            history = read_history(self._ledger.run_folder(job.head, job.seed))
            done = history[: event["epochs"]]
            self._events[job] = RunEvents(StudyData(self._ledger), job.head, job.seed, done)
        elif kind == "epoch":
            self._events[job].epoch(EpochRecord.model_validate(event["record"]))
        elif kind in ("done", "error"):
            if job in self._events:
                self._events.pop(job).close()
            if kind == "error":
                self.errors.append(f"{job}: {event['message']}")
