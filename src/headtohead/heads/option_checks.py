"""Checks of heads' options: each says in one line what was received and what is taken."""

from headtohead.backbones.layers import MOST_WIDE
from headtohead.core.errors import UsageError, brief

LARGEST = 1_000_000
"""Of an option without a bound of its own: far above it float32 overflows."""


def whole(name: str, value: object, least: int = 1, most: int = MOST_WIDE) -> int:
    """A whole number from `least` to `most`. Raises UsageError."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UsageError(
            f"{name} is a whole number from {least} to {most:,}; received {brief(repr(value))}."
        )
    return value


def number(name: str, value: object, low: float, high: float = LARGEST) -> float:
    """A number from `low` to `high`. Raises UsageError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise UsageError(
            f"{name} is a number from {low:g} to {high:,}; received {brief(repr(value))}."
        )
    return float(value)


def dropout_share(value: object) -> float:
    """A share of activations to zero, in [0, 1). Raises UsageError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise UsageError(f"dropout is a share in [0, 1); received {brief(repr(value))}.")
    return float(value)


def flag(name: str, value: object) -> bool:
    """True or False. Raises UsageError."""
    if not isinstance(value, bool):
        raise UsageError(f"{name} is true or false; received {brief(repr(value))}.")
    return value


def divides(name: str, value: object, total: int, of: str = "feature maps") -> int:
    """A whole number that divides `total`, the number of what `of` says. Raises UsageError."""
    count = whole(name, value)
    if total % count:
        fits = ", ".join(str(n) for n in range(1, min(total, 64) + 1) if total % n == 0)
        raise UsageError(
            f"{name} must divide the {total} {of}; received {count}: choose one of {fits}."
        )
    return count
