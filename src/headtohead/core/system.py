"""What this machine offers: cores, and a folder for what can be made again."""

import os
import platform
import sys
from pathlib import Path

import platformdirs

from headtohead.core.errors import StorageError, UsageError
from headtohead.core.files import expanded

CACHE_VARIABLE = "HEADTOHEAD_CACHE"

ANOTHER_CACHE = f"another cache folder (--cache or {CACHE_VARIABLE})"
"""What to choose where the cache cannot be written."""


def usable_cores() -> list[int]:
    """The numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cpu_name() -> str:
    """The processor's name, as the system has it."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cache_folder(cache: str | Path | None = None) -> Path:
    """Where prepared images are kept: the argument, HEADTOHEAD_CACHE, or the user's cache.

    Raises UsageError where none of them is known.
    """
    if cache is not None:
        return expanded(cache)
    named = os.environ.get(CACHE_VARIABLE)
    return expanded(named) if named else user_cache()


def user_cache() -> Path:
    """The folder for headtohead in the user's cache. Raises UsageError where there is no home."""
    try:
        return platformdirs.user_cache_path("headtohead")
    except RuntimeError:
        raise UsageError(
            "this user has no home folder (HOME is not set) to keep prepared images in: name a "
            f"folder with --cache or {CACHE_VARIABLE}."
        ) from None


def current_folder() -> Path:
    """The folder that the command is typed in. Raises StorageError where it was deleted."""
    try:
        return Path.cwd()
    except OSError:
        raise StorageError(
            "the current folder does not exist any more: change to one that does."
        ) from None
