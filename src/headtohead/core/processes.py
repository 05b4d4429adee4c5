"""Processes that do jobs: sent JSON lines, answering by others, and none of them left behind."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Generic, Self, TypeAlias, TypeVar

from headtohead.core.files import storage_error
from headtohead.core.system import current_folder

Message: TypeAlias = dict[str, Any]
"""What is sent to a process, and what it says: a line of JSON."""


def module_command(module: str) -> list[str]:
    """What runs a module of this package as a process of its own."""
    # -P: a torch.py or numpy.py in the user's current folder must not be taken for the library.
    return [sys.executable, "-P", "-m", module]


def listen(
    source: IO[str], take: Callable[[Message], object], leave: Callable[[], object] = lambda: None
) -> None:
    """Take the parent's messages as they come, in a thread of its own.

    When there are no more, the parent is gone, and so is this process, after `leave`.
    """

    def heed() -> None:
        try:
            for line in source:
                if line.endswith("\n"):  # else the parent was killed while it wrote
                    take(json.loads(line))
        except BaseException:  # a deaf process would wait for ever
            traceback.print_exc()
            os._exit(1)
        leave()
        os._exit(0)

    threading.Thread(target=heed, daemon=True).start()


def say(message: Message) -> None:
    """Tell the parent, at once."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


class Process:
    """A process that is sent JSON lines on its standard input and answers by others.

    It must end when its standard input closes: then it does not outlive this process, however this
    process ends. What it says on standard error goes to `errors`, else where this process's goes.
    """

    def __init__(
        self,
        command: Sequence[str],
        variables: Mapping[str, str] = MappingProxyType({}),
        errors: IO[Any] | None = None,
    ) -> None:
        # What the parent can import, a worker can: heads of the user's own among it.
        path = os.pathsep.join(entry or str(current_folder()) for entry in sys.path)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **threads, "PYTHONPATH": path, **variables},
                start_new_session=True,  # Ctrl-C is the parent's to handle
            )
        except OSError as error:
            raise storage_error(Path(command[0]), error) from error
        self._stdin, self._stdout = _pipes(self._process)

    def send(self, message: Message) -> None:
        """Send a line; it is lost where the process has died."""
        with contextlib.suppress(OSError):  # the end of its output says so
            self._stdin.write(json.dumps(message).encode() + b"\n")
            self._stdin.flush()

    def events(self) -> Iterator[Message]:
        """What it says from now on, until it ends."""
        for line in self._stdout:
            if line.endswith(b"\n"):  # a death may cut its last line short
                yield json.loads(line)

    def is_dead(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def death(self) -> str:
        """In words, how it ended; waits for it."""
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return how + (" (out of memory?)" if code == -signal.SIGKILL else "")

    def hang_up(self) -> None:
        """Close its standard input, whereupon it ends."""
        with contextlib.suppress(OSError):
            self._stdin.close()

    def kill(self) -> None:
        """End it, whatever it is doing: what is complete is on disk."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Let go of its pipes, from which nobody reads any more."""
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                pipe.close()


def _pipes(process: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a worker is started with pipes")
    return process.stdin, process.stdout


class Worker:
    """One process of a pool, and the job that it has; None where it has none."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.job: Any = None

    def give(self, job: Any, message: Message) -> None:
        """Hand over the next job by sending `message`."""
        self.job = job
        self.process.send(message)


SomeWorker = TypeVar("SomeWorker", bound=Worker)


class Pool(Generic[SomeWorker]):
    """Processes that are listened to at once, to be used in a `with` statement.

    At its end every process is ended, whatever it is doing: what is complete is on disk.
    """

    def __init__(self) -> None:
        self.workers: list[SomeWorker] = []
        self._listeners: dict[SomeWorker, threading.Thread] = {}
        self._said: queue.SimpleQueue[tuple[SomeWorker, Message | None]] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all of them."""
        for worker in list(self.workers):
            self.dismiss(worker)

    @property
    def at_work(self) -> list[SomeWorker]:
        """The workers that have a job."""
        return [worker for worker in self.workers if worker.job is not None]

    def add(self, worker: SomeWorker) -> None:
        """Listen to one more."""
        self.workers.append(worker)
        listener = threading.Thread(target=self._listen, args=(worker,), daemon=True)
        self._listeners[worker] = listener
        listener.start()

    def dismiss(self, worker: SomeWorker) -> None:
        """End one, and hear no more of it."""
        self.workers.remove(worker)
        worker.process.kill()
        self._listeners.pop(worker).join()
        worker.process.close()

    def hear(self, timeout: float | None = None) -> tuple[SomeWorker, Message | None]:
        """What one of them says next; waits for it. None: it has ended.

        Raises queue.Empty where none says anything for `timeout` seconds.
        """
        while True:
            worker, event = self._said.get(timeout=timeout)
            if worker in self._listeners:
                return worker, event

    def _listen(self, worker: SomeWorker) -> None:
        for event in worker.process.events():
            self._said.put((worker, event))
        self._said.put((worker, None))
