"""What is measured, and how: every side of every case by turns, each a process of its own.

Every question asks one or more cases, a case is asked of several sides alike, and a side is a
process. A process may end its output with one line, a JSON object of numbers: where it says
`seconds` and `cpu_seconds` it has timed itself, from the first image to the last and without its
imports, and these count; everything else that it says stands beside its times.
"""

import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from processes import Ended, run

OURS = "headtohead"
KEPT = 2000
"""Characters of a failed process's words that are kept: its last ones."""


def nothing(_: Path) -> dict[str, float]:
    """What is read from a folder without results."""
    return {}


@dataclass(frozen=True)
class Task:
    """One side of a case. `command` gets an empty folder that is thrown away afterwards."""

    question: str
    case: str
    side: str
    command: Callable[[Path], Sequence[str]]
    pictures: int = 0
    """That it goes through in all, epochs counted; 0 where a rate says nothing."""
    results: Callable[[Path], Mapping[str, float]] = nothing
    """Numbers to be read from that folder when the process has ended well."""


@dataclass(frozen=True)
class Measurement:
    """One process: what it took, and what it said of itself."""

    question: str
    case: str
    side: str
    repetition: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    """Of the whole process tree; see processes.py."""
    pictures: int
    load_before: float
    command: str
    said: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """One process that did not end well, with the last of its words."""

    question: str
    case: str
    side: str
    repetition: int
    command: str
    words: str


Outcome: TypeAlias = Measurement | Failure


def measure(task: Task, repetition: int) -> Outcome:
    """Run the task's process to its end; what goes wrong is an outcome, too."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        scratch = Path(folder)
        command: list[str] = []

        def failed(words: str) -> Failure:
            at = task.question, task.case, task.side, repetition
            return Failure(*at, command=portable(command), words=words[-KEPT:].strip())

        try:
            command += task.command(scratch)
            ended = run(command, environment(scratch), scratch)
            if ended.code:
                return failed(f"ended with {ended.code}: {ended.errors or ended.output}")
            said = {**last_words(ended.output), **task.results(scratch)}
        except (OSError, LookupError, TypeError, ValueError) as error:
            return failed(f"{type(error).__name__}: {error}")
    return _measurement(task, repetition, load, portable(command), ended, said)


def portable(command: Sequence[str]) -> str:
    """As it is recorded: paths as seen from here, of folders elsewhere their last part alone."""

    def seen(path: re.Match[str]) -> str:
        absolute = Path(path[0])
        inside = absolute.is_relative_to(Path.cwd())
        return str(absolute.relative_to(Path.cwd())) if inside else f".../{absolute.name}"

    return shlex.join(re.sub(r"(?<![^=])/\S+", seen, word) for word in command)


def _measurement(
    task: Task, repetition: int, load: float, command: str, ended: Ended, said: dict[str, float]
) -> Measurement:
    return Measurement(
        question=task.question,
        case=task.case,
        side=task.side,
        repetition=repetition,
        seconds=said.pop("seconds", ended.seconds),
        cpu_seconds=said.pop("cpu_seconds", ended.cpu_seconds),
        peak_bytes=ended.peak_bytes,
        pictures=task.pictures,
        load_before=load,
        command=command,
        said=said,
    )


def environment(scratch: Path) -> dict[str, str]:
    """Of every side: no GPU, a cache of its own that is empty."""
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "", "HEADTOHEAD_CACHE": str(scratch / "cache")}


def last_words(output: str) -> dict[str, float]:
    """The numbers that a process said in its last line, {} where that is no JSON object."""
    lines = output.strip().splitlines()
    if not lines or not lines[-1].startswith("{") or not lines[-1].endswith("}"):
        return {}
    said = json.loads(lines[-1])
    return {name: float(value) for name, value in said.items()}


def interleaved(tasks: Sequence[Task], repetitions: int) -> Iterator[Outcome]:
    """Every task once a repetition; within a case the sides take turns in going first."""
    cases: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        cases.setdefault((task.question, task.case), []).append(task)
    for repetition in range(repetitions):
        for sides in cases.values():
            turn = repetition % len(sides)
            for task in sides[turn:] + sides[:turn]:
                what = f"{task.question}, {task.case}: {task.side}"
                print(f"{repetition + 1} of {repetitions}: {what}", file=sys.stderr, flush=True)
                outcome = measure(task, repetition)
                if isinstance(outcome, Failure):
                    print(f"failed: {outcome.words}", file=sys.stderr, flush=True)
                yield outcome
