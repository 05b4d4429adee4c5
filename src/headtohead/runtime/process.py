"""Processes that get ready before there is a job for them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Self

from headtohead.core.errors import RunError
from headtohead.core.processes import Message, Process


class StandbyProcesses:
    """Processes that get ready while this one is busy, to be used in a `with` statement.

    `command` starts one, with environment `variables` beside those of this process.
    The first thing it is sent is `question`, and its first event the answer; those that are started
    after the first are sent `again`, where that is given. At the end of the `with` statement those
    that nobody took are ended.
    """

    def __init__(
        self,
        command: Sequence[str],
        question: Message,
        variables: Mapping[str, str] = MappingProxyType({}),
        *,
        again: Message | None = None,
    ) -> None:
        self._command, self._question, self._variables = command, question, variables
        self._again = question if again is None else again
        self._waiting: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, count: int) -> None:
        """Start as many as are missing for `count` to wait."""
        for _ in range(count - len(self._waiting)):
            self._waiting.append(self._start())

    def answer(self) -> Message:
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
        self._question = self._again
        return process
