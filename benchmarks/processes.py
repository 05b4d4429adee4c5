"""One process measured from outside, with all that it starts: wall, CPU and memory.

Memory is the peak of what the whole tree has resident (RSS, summed over its processes), sampled
twice a second: pages that processes share, such as libraries, forked memory and a mapped file,
count in each of them, and a peak between two samples is missed. The kernel's own record of the
largest single process stands in where that is more, as in what is over before the first sample; it
begins at what the benchmark itself has when it forks, so that nothing below some 40 MB shows.
"""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.5
"""Seconds between samples: reading /proc costs a thousandth of a core then."""
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Ended:
    """A process that is over. CPU seconds are those of its tree, as far as it was waited for."""

    code: int
    """Exit status, negative where a signal ended it."""
    output: str
    errors: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Ended:
    """Run `command` to its end, its output kept in `folder`. Raises OSError where it cannot start.

    Nothing but a sleeping thread runs beside it, so that its end is seen at once.
    """
    output, errors = folder / "output.txt", folder / "errors.txt"
    with output.open("wb") as out, errors.open("wb") as err:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=err)
        with Sampler(process.pid) as sampler:
            try:
                _, status, usage = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                raise
            seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(
        code=process.returncode,
        output=output.read_text("utf-8", errors="replace"),
        errors=errors.read_text("utf-8", errors="replace"),
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=max(sampler.peak, 1024 * usage.ru_maxrss),
    )


class Sampler:
    """Watches a process and its descendants from a thread of its own while the block lasts."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(INTERVAL):
            self.peak = max(self.peak, sum(map(resident, tree(self.pid))))


def tree(pid: int) -> list[int]:
    """`pid` and all its descendants that are there now."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := parent_of(int(entry.name))):
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for each in found:  # grows as it is read: children of children
        found += children.get(each, [])
    return found


def parent_of(pid: int) -> int | None:
    """None where the process is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])


def resident(pid: int) -> int:
    """Bytes that a process has resident, shared pages too; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1]) * PAGE
    except (OSError, IndexError):
        return 0
