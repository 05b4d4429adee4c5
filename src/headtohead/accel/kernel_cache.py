"""Where compiled kernels are kept on disk, so that a machine compiles them once."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import numba.core.config

from headtohead.core.errors import UsageError
from headtohead.core.system import cache_folder, user_cache


@functools.cache
def keeps_kernels() -> bool:
    """Let Numba keep what it compiles in a folder of headtohead's; False where none may be written.

    NUMBA_CACHE_DIR where it is set, else `kernels` in the user's cache, else in the folder that
    HEADTOHEAD_CACHE or `--cache` names. Nothing is written beside the package's files: it may be
    another user's, or on a disk that is read only.
    """
    settings: Any = numba.core.config  # made of NUMBA_… variables when it is imported
    if settings.CACHE_DIR:
        return _may_be_written(Path(settings.CACHE_DIR))
    for find in (user_cache, cache_folder):
        try:
            folder = find() / "kernels"
        except UsageError:  # there is no home
            continue
        if _may_be_written(folder):
            settings.CACHE_DIR = str(folder.absolute())
            return True
    return False


def _may_be_written(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
