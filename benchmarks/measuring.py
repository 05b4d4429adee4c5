"""Processes measured from outside: wall seconds, and CPU seconds of their whole tree.

Every question asks one or more cases, a case is asked of several sides alike, and a side is a
process. A process may end its output with one line, a JSON object of numbers: where it says
`seconds` and `cpu_seconds` it has timed itself, from the first picture to the last and without its
imports, and these count; everything else that it says stands beside its times.
"""

import importlib.metadata
import json
import os
import platform
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

OURS = "headtohead"


@dataclass(frozen=True)
class Task:
    """One side of a case. `command` gets an empty folder that is thrown away afterwards."""

    question: str
    case: str
    side: str
    command: Callable[[Path], Sequence[str]]
    pictures: int = 0
    """That it goes through in all, epochs counted; 0 where a rate says nothing."""


@dataclass(frozen=True)
class Measurement:
    """One process: what it took, and what it said of itself."""

    question: str
    case: str
    side: str
    repetition: int
    seconds: float
    cpu_seconds: float
    pictures: int
    load_before: float
    command: str
    said: Mapping[str, float] = field(default_factory=dict)


def measure(task: Task, repetition: int) -> Measurement:
    """Run the task's process to its end. Raises SystemExit with its words where it fails."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        command = list(task.command(Path(folder)))
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        result = subprocess.run(
            command, env=environment(Path(folder)), capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode:
        words = (result.stderr or result.stdout)[-2000:]
        raise SystemExit(f"{shlex.join(command)} ended with {result.returncode}:\n{words}")
    said = last_words(result.stdout)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measurement(
        question=task.question,
        case=task.case,
        side=task.side,
        repetition=repetition,
        seconds=said.pop("seconds", seconds),
        cpu_seconds=said.pop("cpu_seconds", cpu),
        pictures=task.pictures,
        load_before=load,
        command=shlex.join(command),
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


def interleaved(tasks: Sequence[Task], repetitions: int) -> list[Measurement]:
    """Every task once a repetition; within a case the sides take turns in going first."""
    cases: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        cases.setdefault((task.question, task.case), []).append(task)
    found = []
    for repetition in range(repetitions):
        for sides in cases.values():
            turn = repetition % len(sides)
            for task in sides[turn:] + sides[:turn]:
                what = f"{task.question}, {task.case}: {task.side}"
                print(f"{repetition + 1} of {repetitions}: {what}", file=sys.stderr, flush=True)
                found.append(measure(task, repetition))
    return found


def machine() -> dict[str, str | int]:
    """What the numbers hold for."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
    }


def versions(python: Path, names: Sequence[str]) -> dict[str, str]:
    """Versions of packages in the environment of `python`; those it does not have are left out."""
    if python == Path(sys.executable):
        return {name: importlib.metadata.version(name) for name in names}
    code = (
        "import importlib.metadata as m, sys\n"
        "have = {d.metadata['Name'].lower() for d in m.distributions()}\n"
        "print(*(f'{n} {m.version(n)}' for n in sys.argv[1:] if n in have), sep='\\n')"
    )
    printed = subprocess.run(
        [str(python), "-c", code, *names], capture_output=True, text=True, check=True
    ).stdout
    return dict(line.split() for line in printed.splitlines())
