"""Whether Numba can be loaded. Imports no torch."""

from importlib.util import find_spec


def numba_error() -> str | None:
    """Why Numba cannot be loaded; None where it can, or is not installed."""
    if find_spec("numba") is None:
        return None
    try:
        import numba  # noqa: F401 - loaded to see whether it can be
    except Exception as error:  # a package may fail in any way when it is loaded
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None
