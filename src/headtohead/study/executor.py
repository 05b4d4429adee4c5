"""Worker processes: start them, feed them jobs, pass on what they say, and leave none behind."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Generic, TypeVar

from headtohead.errors import StorageError
from headtohead.files import storage_error
from headtohead.study.plan import Job, SpeedJob

AnyJob = TypeVar("AnyJob", Job, SpeedJob)
Event = dict[str, Any]
"""What a worker says: {"event": "start" | "step" | "epoch" | "note" | "done" | "error", …}."""


def execute(
    jobs: Sequence[AnyJob],
    *,
    command: Sequence[str],
    setups: Sequence[dict[str, Any]],
    logs: Path,
    on_event: Callable[[AnyJob, Event], None],
    needs: Mapping[AnyJob, AnyJob] = MappingProxyType({}),
) -> None:
    """Do all jobs in their order, by one worker for each of `setups`.

    A job waits until the one that it `needs`, where that is among `jobs`, is over. The cores of
    workers without a job are lent to those that have one.

    `command` starts a worker, which is sent its setup and then one job at a time, as JSON lines
    on its standard input (and {"lent": cores} at any moment), and answers by events on its
    standard output. It must end when its standard input closes: then no worker outlives this
    process, however this process ends. A worker that dies costs its job, which is told as an
    "error" event, and is replaced. Raises StorageError when a worker meets a disk that is full or
    may not be written.
    """
    team = _Team(jobs, command, setups, logs, needs)
    try:
        team.hand_out()
        while team.at_work():
            worker, event = team.said.get()
            if event is None:
                if worker.job is not None:
                    on_event(worker.job, {"event": "error", "message": worker.death()})
                team.dismiss(worker)
                continue
            if worker.job is None:
                continue
            on_event(worker.job, event)
            if event.get("exit_code") == StorageError.exit_code:
                raise StorageError(event["message"])
            if event["event"] in ("done", "error"):
                worker.job = None
                team.hand_out()
    finally:
        team.stop()


class _Team(Generic[AnyJob]):
    """The workers, and the jobs that nobody has taken yet."""

    def __init__(
        self,
        jobs: Sequence[AnyJob],
        command: Sequence[str],
        setups: Sequence[dict[str, Any]],
        logs: Path,
        needs: Mapping[AnyJob, AnyJob],
    ) -> None:
        self.said: queue.Queue[tuple[_Worker[AnyJob], Event | None]] = queue.Queue()
        self._waiting: list[AnyJob] = list(jobs)
        self._needs: Mapping[AnyJob, AnyJob] = needs
        self._idle = list(setups)
        self._workers: list[_Worker[AnyJob]] = []
        self._command, self._logs = command, logs

    def at_work(self) -> list["_Worker[AnyJob]"]:
        return [worker for worker in self._workers if worker.job is not None]

    def hand_out(self) -> None:
        """Give every worker without a job the next one, and lend out the cores that are left."""
        for worker in self._workers:
            if worker.job is None:
                worker.give(self._next_job())
        while self._idle and (job := self._next_job()) is not None:
            worker = _Worker[AnyJob](self._command, self._idle.pop(0), self._logs, self.said)
            self._workers.append(worker)
            worker.give(job)
        unused = [*(worker.setup for worker in self._workers if worker.job is None), *self._idle]
        cores = [setup.get("core") for setup in unused]
        busy = self.at_work()
        for index, worker in enumerate(busy):
            worker.lend(cores[index :: len(busy)])

    def _next_job(self) -> AnyJob | None:
        unfinished = {*self._waiting, *(worker.job for worker in self._workers)}
        for job in self._waiting:
            if job not in self._needs or self._needs[job] not in unfinished:
                self._waiting.remove(job)
                return job
        return None

    def dismiss(self, worker: "_Worker[AnyJob]") -> None:
        """It has died: another takes its place."""
        worker.stop()
        self._workers.remove(worker)
        self._idle.append(worker.setup)
        self.hand_out()

    def stop(self) -> None:
        for worker in self._workers:
            worker.stop()


def _pipes(process: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a worker is started with pipes")
    return process.stdin, process.stdout


class _Worker(Generic[AnyJob]):
    """One process and the job that it has."""

    def __init__(
        self,
        command: Sequence[str],
        setup: dict[str, Any],
        logs: Path,
        said: "queue.Queue[tuple[_Worker[AnyJob], Event | None]]",
    ) -> None:
        self.setup = setup
        self.job: AnyJob | None = None
        self._lent: list[int | None] = []
        self._log = logs / f"worker-{setup['worker']}.log"
        # What the parent can import, a worker can: heads of the user's own among it.
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        try:
            logs.mkdir(parents=True, exist_ok=True)
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, **threads, "PYTHONPATH": path},
                    start_new_session=True,  # Ctrl-C is the parent's to handle
                )
        except OSError as error:
            raise storage_error(self._log, error) from error
        self._stdin, stdout = _pipes(self._process)
        self._listener = threading.Thread(target=self._listen, args=(stdout, said), daemon=True)
        self._listener.start()
        self._send(setup)

    def _listen(
        self, stdout: IO[bytes], said: "queue.Queue[tuple[_Worker[AnyJob], Event | None]]"
    ) -> None:
        for line in stdout:
            if line.endswith(b"\n"):  # a death may cut its last line short
                said.put((self, json.loads(line)))
        said.put((self, None))

    def give(self, job: AnyJob | None) -> None:
        """Hand over the next job; None leaves the worker without one."""
        self.job = job
        if job is not None:
            self._send(asdict(job))

    def lend(self, cores: list[int | None]) -> None:
        """It may use these further cores, None one that is not named, and no others."""
        if cores != self._lent:
            self._lent = cores
            self._send({"lent": cores})

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it died; the end of its output says so
            self._stdin.write(json.dumps(message).encode() + b"\n")
            self._stdin.flush()

    def death(self) -> str:
        """In words, how this worker ended."""
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"its worker ended with {how}{hint}; see {self._log}"

    def stop(self) -> None:
        """End the process, whatever it is doing: what is complete is on disk."""
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for pipe in _pipes(self._process):
            with contextlib.suppress(OSError):
                pipe.close()
