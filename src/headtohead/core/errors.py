"""The errors a user can meet, and the exit code of each.

    HeadToHeadError
    ├── UsageError        2   an option, a study file or a name that cannot be used
    ├── DataError         3   images that cannot be found, read or split
    ├── RunError          4   a run that failed: diverged, or its worker died
    └── StorageError      5   disk full, no permission, a folder held by another process

Exit code 0 is success and 130 an interruption by Ctrl-C. Every message ends with what was
received and what to do about it.
"""

import difflib
from collections.abc import Iterable
from typing import Any

from headtohead.core.text import printable

BRIEF = 80
"""Characters that a message quotes of what it received."""


class HeadToHeadError(Exception):
    """Base of every error that headtohead raises on purpose."""

    exit_code = 1


class UsageError(HeadToHeadError):
    """What was asked for cannot be done as asked: change the command or the study."""

    exit_code = 2


class DataError(HeadToHeadError):
    """The images cannot be used as they are."""

    exit_code = 3


class RunError(HeadToHeadError):
    """One or more runs of a study failed; the others are complete."""

    exit_code = 4


class StorageError(HeadToHeadError):
    """The disk is full, a folder may not be written, or another process holds it."""

    exit_code = 5


def brief(value: Any, limit: int = BRIEF) -> str:
    """A received value in one short line: a text as it stands, anything else by its repr.

    What is too long loses its middle: a path ends with the name that tells it from others.
    """
    try:
        text = value if isinstance(value, str) else repr(value)
    except Exception:  # a value of the user's own
        text = f"<{type(value).__name__}>"
    if len(text) > limit:
        end = limit // 3
        text = f"{text[: limit - end - 1]}…{text[-end:]}"
    return one_line(text)


def reason_of(error: BaseException, limit: int) -> str:
    """What an error of a library says, in one line without its full stop; else its type.

    At most `limit` characters of it.
    """
    return " ".join(str(error).split())[:limit].rstrip(" .") or type(error).__name__


def one_line(text: str) -> str:
    """The text without line breaks and characters that a terminal would obey."""
    return printable(" ".join(text.split()))


def likeliest(name: str, names: Iterable[str]) -> str:
    """A question that names what of `names` the misspelled `name` may mean; else nothing."""
    near = difflib.get_close_matches(name.casefold(), list(names), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
