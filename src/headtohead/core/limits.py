"""How much memory and time of the cores processes here may take: the machine's, a container's."""

import os
from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux tells a container's limits."""


@dataclass(frozen=True)
class Memory:
    """Bytes; None is not known. `limit` is a container's."""

    total: int | None
    available: int | None
    limit: int | None

    @property
    def usable(self) -> int | None:
        """The most that processes here may take."""
        known = [value for value in (self.total, self.limit) if value is not None]
        return min(known, default=None)


def memory_of() -> Memory:
    """The memory of the machine, and the limit of the container that this process is in."""
    total, available = None, None
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "MemTotal":
                total = int(value.split()[0]) << 10
            elif name == "MemAvailable":
                available = int(value.split()[0]) << 10
    except OSError:  # not Linux
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _limit("memory.max", "memory/memory.limit_in_bytes")
    # Without a limit, version 1 of control groups says the largest number of pages.
    return Memory(total, available, None if limit is None or limit > (1 << 60) else limit)


def _limit(*names: str) -> int | None:
    """The first of these files of the control group that has a number."""
    for name in names:
        for folder in _groups():
            try:
                return int((folder / name).read_text(encoding="ascii"))
            except (OSError, ValueError):  # no such file, or "max"
                continue
    return None


def _groups() -> list[Path]:
    """The folders of this process's control group, the innermost first."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return [CGROUP]
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    inner = CGROUP / own.lstrip("/")
    return [inner, *(folder for folder in inner.parents if folder.is_relative_to(CGROUP))]


def core_limit() -> float | None:
    """The cores' worth of time that a container allows; None without a limit."""
    for folder in _groups():
        try:
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
            return int(quota) / int(period)
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return None
