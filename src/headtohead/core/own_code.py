"""Code of the user's own: where it is found, and probes and claims by name."""

import importlib
import operator
import re
import sys
from collections.abc import Sequence
from typing import Any

from headtohead.core.errors import UsageError, brief, one_line
from headtohead.core.files import NAME
from headtohead.core.system import current_folder


def see_current_folder() -> None:
    """Let `module:Class` be found where the command is typed, after everything installed."""
    sys.path.append(str(current_folder()))


def imported(kind: str, entry: str) -> Any:
    """What `module:Name` names, a name within a class too; `kind` is what error messages call it.

    Importing a module runs its code: callers pass on only what the user typed. Raises UsageError
    for what cannot be imported, whatever the module's code does.
    """
    module, _, attribute = entry.partition(":")
    try:
        return operator.attrgetter(attribute)(importlib.import_module(module))
    except (Exception, SystemExit) as error:  # the user's code runs here, and may do anything
        raise UsageError(
            f"{kind} {entry!r} cannot be imported: {_said(error)}. Expected module:Name, with the "
            f"module in the current folder or installed."
        ) from error


def own_instance(kind: str, entry: str, parts: Sequence[str]) -> Any:
    """An instance of the class `module:Class`, which must have `parts`, `name` among them.

    Raises UsageError, as `imported` does.
    """
    made = imported(kind, entry)
    try:
        found = made()
    except (Exception, SystemExit) as error:  # as above
        raise UsageError(f"{kind} {entry!r} cannot be made: {_said(error)}.") from error
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


def _said(error: BaseException) -> str:
    """What the user's code raised, in one line."""
    if isinstance(error, SystemExit):
        return "its code ends the program, as sys.exit() does"
    return brief(one_line(str(error)), 300) or type(error).__name__
