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

    A job waits until the one that it `needs`, where that is among `jobs`, is over.

    `command` starts a worker, which is sent its setup and then one job at a time, as JSON lines
    on its standard input, and answers by events on its standard output. It must end when its
    standard input closes: then no worker outlives this process, however this process ends. A
    worker that dies costs its job, which is told as an "error" event, and is replaced. Raises
    StorageError when a worker meets a disk that is full or may not be written.
    """
    waiting: list[AnyJob] = list(jobs)
    idle = list(setups)
    said: queue.Queue[tuple[_Worker[AnyJob], Event | None]] = queue.Queue()
    workers: list[_Worker[AnyJob]] = []

    def next_job() -> AnyJob | None:
        unfinished = {*waiting, *(worker.job for worker in workers)}
        ready = (job for job in waiting if job not in needs or needs[job] not in unfinished)
        job = next(ready, None)
        if job is not None:
            waiting.remove(job)
        return job

    def hand_out() -> None:
        for worker in workers:
            if worker.job is None:
                worker.give(next_job())
        while idle and (job := next_job()) is not None:
            workers.append(_Worker(command, idle.pop(0), logs, said))
            workers[-1].give(job)

    try:
        hand_out()
        while any(worker.job for worker in workers):
            worker, event = said.get()
            if event is None:
                if worker.job is not None:
                    on_event(worker.job, {"event": "error", "message": worker.death()})
                worker.stop()
                workers.remove(worker)
                idle.append(worker.setup)
                hand_out()
                continue
            if worker.job is None:
                continue
            on_event(worker.job, event)
            if event.get("exit_code") == StorageError.exit_code:
                raise StorageError(event["message"])
            if event["event"] in ("done", "error"):
                worker.job = None
                hand_out()
    finally:
        for worker in workers:
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
