"""Heads whose evaluation lags behind their weights: what concerns them is not judged."""

from collections.abc import Collection, Mapping, Sequence

from headtohead.core.text import counted, names
from headtohead.stats import LAG, Lag, lag
from headtohead.store.ledger import Run


def lags(runs: Sequence[Run]) -> dict[str, Lag]:
    """Head → its training accuracies at the last epoch, where the running one is far ahead.

    Means over `runs`, which are finished ones.
    """
    last: dict[str, list[tuple[float, float]]] = {}
    for run in runs:
        if run.history:
            epoch = run.history[-1]
            last.setdefault(run.record.head, []).append((epoch.accuracy, epoch.train_accuracy))
    found = {head: lag(values) for head, values in last.items()}
    return {head: measured for head, measured in found.items() if measured is not None}


def why_not_judged(heads: Collection[str], found: Mapping[str, Lag]) -> str:
    """Why nothing is said of these heads, with numbers; empty where none of them lags."""
    told = "; ".join(lag_text(head, found[head]) for head in heads if head in found)
    if not told:
        return ""
    return (
        f"training accuracy is lower when evaluated: {told}; more than {100 * LAG:g} points "
        f"between the two, and evaluation does not measure the head"
    )


def lag_text(head: str, found: Lag) -> str:
    """One head's two training accuracies."""
    over = f", mean over {found.seeds} seeds" if found.seeds > 1 else ""
    return (
        f"{head}: training accuracy {100 * found.running:.1f} % while it trains, "
        f"{100 * found.evaluated:.1f} % evaluated after the same epoch{over}"
    )


def _less(found: Lag) -> float:
    """How many points less, of the two numbers as they are printed."""
    return round(round(100 * found.running, 1) - round(100 * found.evaluated, 1), 1)


def lags_note(found: Mapping[str, Lag]) -> str:
    """What a reader must know of all numbers of these heads."""
    told = "; ".join(
        f"{head} {100 * one.running:.1f} % as it trains, {100 * one.evaluated:.1f} % evaluated, "
        f"{counted(_less(one), 'point')} less"
        for head, one in found.items()
    )
    return (
        f"Evaluation of {names(list(found))} lags. Accuracy on training images at the last epoch, "
        f"mean over seeds: {told}. Over-fitting, class maps and the best epoch of "
        f"{'such a head' if len(found) > 1 else 'this head'} show the lag too."
    )
