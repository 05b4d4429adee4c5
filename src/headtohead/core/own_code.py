"""Code of the user's own: where it is found, and probes and claims by name."""

import importlib
import re
import sys
from collections.abc import Sequence
from typing import Any

from headtohead.core.errors import UsageError
from headtohead.core.system import current_folder

NAME = r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}"
"""What may be the name of a folder, and part of an id, on every system."""


def see_current_folder() -> None:
    """Let `module:Class` be found where the command is typed, after everything installed."""
    sys.path.append(str(current_folder()))


def own_instance(kind: str, entry: str, parts: Sequence[str]) -> Any:
    """An instance of the class `module:Class`, which must have `parts`, `name` among them.

    `kind` is what error messages call it. Importing a module runs its code: callers pass on only
    what the user's command named. Raises UsageError.
    """
    module, _, attribute = entry.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)()
    except Exception as error:  # the user's code runs here, and may fail in any way
        raise UsageError(
            f"{kind} {entry!r} could not be imported: {error}. Expected module:Class, with the "
            f"module in the current folder or installed."
        ) from error
    if missing := [part for part in parts if not hasattr(found, part)]:
        raise UsageError(
            f"{kind} {entry!r} has no {', '.join(missing)}; a {kind} has {', '.join(parts)}."
        )
    if not (isinstance(found.name, str) and re.fullmatch(NAME, found.name)):
        raise UsageError(
            f"{kind} {entry!r} cannot be called {found.name!r}: names have letters, digits and "
            f". _ + - alone."
        )
    return found
