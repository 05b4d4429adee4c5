"""What this machine offers: cores, and a folder for what can be made again."""

import os
from pathlib import Path

import platformdirs

from headtohead.core.files import expanded

CACHE_VARIABLE = "HEADTOHEAD_CACHE"


def usable_cores() -> list[int]:
    """The numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cache_folder(cache: str | Path | None = None) -> Path:
    """Where prepared pictures are kept: the argument, HEADTOHEAD_CACHE, or the user's cache."""
    if cache is not None:
        return expanded(cache)
    named = os.environ.get(CACHE_VARIABLE)
    return expanded(named) if named else platformdirs.user_cache_path("headtohead")
