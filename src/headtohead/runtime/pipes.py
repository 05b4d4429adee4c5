"""How a process that works for a parent hears and speaks: JSON lines, and a log for the rest."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

Say = Callable[..., None]
"""`say(event, **details)`: one event and its details, as JSON has them."""


def own_output() -> IO[str]:
    """What was standard output, for events; whatever a library prints is no event."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return output


def own_input() -> IO[str]:
    """The parent's messages; whatever else reads standard input finds it empty.

    A `breakpoint()` or `input()` in a head would wait for ever, and eat messages.
    """
    messages = os.fdopen(os.dup(0), encoding="utf-8")
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    return messages


def log_to(path: Path) -> None:
    """From now on whatever is said on standard error is for the log."""
    with path.open("ab") as log:
        os.dup2(log.fileno(), 2)
    os.dup2(2, 1)


def say(output: IO[str], event: str, **details: Any) -> None:
    """One event, at once."""
    output.write(json.dumps({"event": event, **details}) + "\n")
    output.flush()
