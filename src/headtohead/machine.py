"""What this machine offers: cores, and a folder for what can be made again."""

import os
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "HEADTOHEAD_CACHE"
_HUGE_PAGES = "glibc.malloc.hugetlb=1"


def usable_cores() -> list[int]:
    """The numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def worker_environment() -> dict[str, str]:
    """The environment of a process that computes with one thread on large tensors.

    `glibc.malloc.hugetlb=1` has glibc (2.35 and later; others ignore it) ask for huge pages, where
    the system grants them on request: a step's maps take tens of megabytes, and finding thousands
    of small pages costs time. Tunables that are set already stay, and win.
    """
    tunables = ":".join(filter(None, [_HUGE_PAGES, os.environ.get("GLIBC_TUNABLES")]))
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return {**os.environ, **threads, "GLIBC_TUNABLES": tunables}


def cache_folder(cache: str | Path | None = None) -> Path:
    """Where prepared pictures are kept: the argument, HEADTOHEAD_CACHE, or the user's cache."""
    if cache is not None:
        return Path(cache)
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else platformdirs.user_cache_path("headtohead")
