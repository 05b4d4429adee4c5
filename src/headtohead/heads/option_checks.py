"""Checks of heads' options: each says in one line what was received and what is taken."""

from headtohead.core.errors import UsageError


def whole(name: str, value: object, least: int = 1) -> int:
    """A whole number of at least `least`. Raises UsageError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name} is a whole number of at least {least}; received {value!r}.")
    return value


def number(name: str, value: object, low: float, high: float = float("inf")) -> float:
    """A number from `low` to `high`. Raises UsageError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        upto = "at least" if high == float("inf") else "from"
        ends = f"{low:g}" if high == float("inf") else f"{low:g} to {high:g}"
        raise UsageError(f"{name} is a number {upto} {ends}; received {value!r}.")
    return float(value)


def dropout_share(value: object) -> float:
    """A share of activations to zero, in [0, 1). Raises UsageError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise UsageError(f"dropout is a share in [0, 1); received {value!r}.")
    return float(value)


def flag(name: str, value: object) -> bool:
    """True or False. Raises UsageError."""
    if not isinstance(value, bool):
        raise UsageError(f"{name} is true or false; received {value!r}.")
    return value


def divides(name: str, value: object, channels: int) -> int:
    """A whole number that divides the number of channels. Raises UsageError."""
    count = whole(name, value)
    if channels % count:
        fits = ", ".join(str(n) for n in range(1, min(channels, 64) + 1) if channels % n == 0)
        raise UsageError(
            f"{name} must divide the {channels} feature maps; received {count}: "
            f"choose one of {fits}."
        )
    return count
