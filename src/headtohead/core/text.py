"""Small pieces of running text: lists, points, signs."""

import re
import unicodedata
from collections.abc import Sequence

MISSING = "–"
"""What a table shows where there is no value."""

NOTHING = 6
"""Decimals: what rounds to zero here is zero."""

MEGA = 1_000_000
"""Bytes of a megabyte."""


def names(heads: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(heads) < 2:
        return "".join(heads)
    return f"{', '.join(heads[:-1])} and {heads[-1]}"


FEW = 4
"""Things that a sentence names; more are counted."""


def few_names(items: Sequence[str], what: str = "heads") -> str:
    """`a, b and c`; of more than FEW how many, `36 heads`."""
    return names(items) if len(items) <= FEW else f"{len(items)} {what}"


def printable(text: str) -> str:
    """`text` with everything that a terminal would obey or cannot show as a visible escape."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def composed(name: str) -> str:
    """`name` with accents composed: macOS writes them decomposed, others do not."""
    return unicodedata.normalize("NFC", name)


def points(share: float) -> str:
    """`one point`, `0.5 points`: a share as percentage points in running text."""
    value = 100 * share
    return "one point" if value == 1 else f"{value:g} points"


def counted(number: float, word: str) -> str:
    """`1 group`, `2,498 groups`, `0.5 points`."""
    shown = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{shown} {word}{'' if number == 1 else 's'}"


_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def in_words(number: int) -> str:
    """`five`, `12`: words below ten, as in running text."""
    return _DIGITS[number] if number < len(_DIGITS) else str(number)


def digits_of_seconds(seconds: float) -> int:
    """Digits after the point: one below ten seconds, as a head on a frozen backbone takes."""
    return 1 if seconds < 10 else 0


def above(p: float, level: float, digits: int = 2) -> str:
    """A p-value above the level in as many digits as show that it is: 0.0501, not 0.05."""
    texts = (f"{p:.{count}g}" for count in range(digits, 16))
    return next((text for text in texts if float(text) > level), f"{p:g}")


def confidence(level: float, digits: int = 6) -> str:
    """`95 %`, `97.5 %`: of an interval at `level`, in as many digits as keep it below 100."""
    texts = (f"{100 * (1 - level):.{count}g}" for count in range(digits, 16))
    return f"{next((text for text in texts if float(text) < 100), '100')} %"


_HYPHEN_AS_MINUS = re.compile(r"(?<![\w.)-])-(?=\d)")


def minus(text: str) -> str:
    """`text` with a true minus sign before numbers below zero, where a hyphen stood for it."""
    return _HYPHEN_AS_MINUS.sub("−", text)


def with_sign(value: float, digits: int = 2) -> str:
    """`+0.37`, `-0.003`: with its sign; what is not zero does not look like it, nor zero negative.

    At least `digits` decimals, and as many as show the first digit; below 1e-6 a value is the
    rounding of an addition, and zero.
    """
    if not round(value, NOTHING):
        return f"{0:+.{digits}f}"
    while not round(value, digits):
        digits += 1
    return f"{value:+.{digits}f}"


def signed(value: float) -> str:
    """In a sentence: `+0.8`, `−0.03` with a true minus, `0.0`."""
    return minus(with_sign(value, 1)) if round(value, NOTHING) else "0.0"


def significant(value: float, digits: int = 3) -> str:
    """`1,234`, `123`, `1.23`, `0.0123`: so many significant digits, and all before the point."""
    whole = abs(value) >= 10 ** (digits - 1)
    return f"{value:,.0f}" if whole else f"{value:z.{digits}g}"


def seconds_text(seconds: float) -> str:
    """`1,234 s`, `1.2 s`, `0.035 s`."""
    return f"{significant(seconds, 2)} s"


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs what begins so (OWASP, "CSV Injection")."""


def no_formula(shown: str, cell: str | None = None) -> str:
    """`shown` with an apostrophe before it where a spreadsheet would take it for a formula.

    `cell` is what it was before it was made printable; None where it is the same.
    """
    return f"'{shown}" if (shown if cell is None else cell).startswith(_FORMULA) else shown
