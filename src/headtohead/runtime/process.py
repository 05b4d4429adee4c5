"""Processes that do jobs: started before there is one, and none of them left behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Self

from headtohead.core.errors import RunError
from headtohead.core.files import storage_error
from headtohead.core.system import current_folder
from headtohead.runtime.executor import Event


class Process:
    """A process that is sent JSON lines on its standard input and answers by others.

    It must end when its standard input closes: then it does not outlive this process, however this
    process ends. What it says on standard error goes where this process's goes.
    """

    def __init__(
        self, command: Sequence[str], variables: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        # What the parent can import, a worker can: heads of the user's own among it.
        path = os.pathsep.join(entry or str(current_folder()) for entry in sys.path)
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **threads, "PYTHONPATH": path, **variables},
                start_new_session=True,  # Ctrl-C is the parent's to handle
            )
        except OSError as error:
            raise storage_error(Path(command[0]), error) from error
        self._stdin, self._stdout = _pipes(self._process)

    def send(self, message: dict[str, Any]) -> None:
        """Send a line; it is lost where the process has died."""
        with contextlib.suppress(OSError):  # the end of its output says so
            self._stdin.write(json.dumps(message).encode() + b"\n")
            self._stdin.flush()

    def events(self) -> Iterator[Event]:
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


class StandbyProcesses:
    """Processes that get ready while this one is busy, to be used in a `with` statement.

    `command` starts one, with environment `variables` beside those of this process.
    The first thing it is sent is `question`, and its first event the answer.
    At the end of the `with` statement those that nobody took are ended.
    """

    def __init__(
        self,
        command: Sequence[str],
        question: dict[str, Any],
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._command, self._question, self._variables = command, question, variables
        self._waiting: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, count: int) -> None:
        """Start as many as are missing for `count` to wait."""
        for _ in range(count - len(self._waiting)):
            self._waiting.append(self._start())

    def answer(self) -> Event:
        """What the first one answers; waits for it. Raises RunError where it dies instead."""
        self.start(1)
        first = self._waiting[0]
        answer = next(first.events(), None)
        if answer is None:
            raise RunError(
                f"the first worker failed at start-up ({first.death()}); its output is above."
            )
        return answer

    def take(self) -> Process:
        """One that waits, else a new one; to be ended by the caller."""
        return self._waiting.pop(0) if self._waiting else self._start()

    def stop(self) -> None:
        """End those that wait."""
        while self._waiting:
            process = self._waiting.pop()
            process.kill()
            process.close()

    def _start(self) -> Process:
        process = Process(self._command, self._variables)
        process.send(self._question)
        return process
