"""The answer in words: first a sentence for whoever must decide, then how sure and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from headtohead.report.summary import HeadComparison, HeadResult, Summary

Certainty = Literal["decided", "open", "nothing"]


@dataclass(frozen=True)
class Answer:
    """The sentence, what goes with it, how firm it is, and what supports it."""

    sentence: str
    more: str
    certainty: Certainty
    reasons: tuple[str, ...]


def answer(summary: Summary) -> Answer:
    """What a study says to someone who must choose a head; nothing that its numbers do not."""
    able = [head for head in summary.heads if head.finished]
    if not able:
        return Answer("Nothing can be said yet: no run is finished.", "", "nothing", ())
    if len(summary.file.study.heads) == 1:
        more = "With one head there is nothing to compare it with."
        return Answer(f"{_reached(able[0])}.", more, "nothing", ())
    tested = [item for item in summary.comparisons if item.comparison.difference.n]
    if not tested:
        return _without_pairs(summary, able)
    reasons = tuple(_reason(summary, item) for item in tested)
    chosen = _decided(summary, tested)
    if chosen is not None and len(tested) == len(summary.file.study.heads) - 1:
        sentence, head = chosen
        return Answer(sentence, _validation(summary, head), "decided", reasons)
    return Answer(_undecided(summary, tested), _so_far(summary), "open", reasons)


def names(heads: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(heads) < 2:
        return "".join(heads)
    return f"{', '.join(heads[:-1])} and {heads[-1]}"


def points(share: float) -> str:
    """`one point`, `0.5 points`: a share as percentage points in running text."""
    value = 100 * share
    return "one point" if value == 1 else f"{value:g} points"


def fewer_parameters(summary: Summary, head: str, rivals: Sequence[str]) -> str:
    """`24 times fewer parameters than fc`, against the largest rival; empty where not fewer."""
    totals = {item.head: item.parameters.total for item in summary.heads}
    largest = max((name for name in rivals if name in totals), key=totals.__getitem__, default="")
    if not largest or head not in totals or totals[largest] < 1.05 * totals[head]:
        return ""
    ratio = totals[largest] / totals[head]
    shown = f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"
    return f"{shown} times fewer parameters than {largest}"


def _reached(head: HeadResult) -> str:
    spread = head.spreads["test_accuracy"]
    if spread is None:
        return f"{head.head} has no test predictions yet"
    over = f" on average over {spread.n} seeds" if spread.n > 1 else ""
    return f"{head.head} names {100 * spread.mean:.1f} % of the test pictures rightly{over}"


def _without_pairs(summary: Summary, able: Sequence[HeadResult]) -> Answer:
    return Answer(
        "Nothing can be compared yet.",
        f"{summary.reference}, the reference, and another head must have finished the same seed, "
        f"with test predictions. So far: {'; '.join(map(_reached, able))}.",
        "nothing",
        (),
    )


def _decided(summary: Summary, tested: Sequence[HeadComparison]) -> tuple[str, str] | None:
    """The sentence and its head, where the family's verdicts name a choice."""
    reference, margin = summary.reference, summary.file.study.verdict.margin
    better = [i.other for i in tested if i.comparison.better.outcome == "supported"]
    worse = [i.other for i in tested if i.comparison.better.outcome == "refuted"]
    equal = [
        i.other
        for i in tested
        if i.other not in (*better, *worse) and i.comparison.not_worse.outcome == "supported"
    ]
    if worse:
        beaten = ", ".join(f"{name} by {_by(tested, name)}" for name in worse)
        best = max(worse, key=lambda name: -_mean(tested, name))
        rest = "" if len(worse) == 1 else f"; of these {best} is furthest ahead"
        return f"{reference} is beaten: {beaten}{rest}. Choose {best}.", best
    if len(better) + len(equal) < len(tested):
        return None
    parts = []
    if equal:
        parts.append(f"{reference} is at least as good as {names(equal)} within {points(margin)}")
    if better:
        parts.append(f"{'it' if equal else reference} beats {names(better)}")
    fewer = fewer_parameters(summary, reference, [*better, *equal])
    reason = f": {fewer}" if fewer else ""
    return f"{', and '.join(parts)}. Choose {reference}{reason}.", reference


def _validation(summary: Summary, chosen: str) -> str:
    """Where validation alone would take another head: two answers on one page need a word."""
    winner = summary.winner
    if winner is None or winner.head == chosen:
        return ""
    return (
        f"By mean validation accuracy alone {winner.head} would be taken "
        f"({100 * winner.validation:.1f} %); the verdicts say how much that lead is worth."
    )


def _mean(tested: Sequence[HeadComparison], name: str) -> float:
    item = next(item for item in tested if item.other == name)
    return item.comparison.difference.mean or 0.0


def _by(tested: Sequence[HeadComparison], name: str) -> str:
    return f"{abs(100 * _mean(tested, name)):.1f} points"


def _undecided(summary: Summary, tested: Sequence[HeadComparison]) -> str:
    most = max(item.comparison.difference.n for item in tested)
    if most < summary.seeds_needed and summary.looks is None:
        return (
            f"Not decided: {_seeds(most)} cannot tell a difference from chance; it takes at least "
            f"{summary.seeds_needed}."
        )
    better = names([i.other for i in tested if i.comparison.better.outcome == "supported"])
    open_ones = names([i.other for i in tested if not _settled(i)])
    known = f"{summary.reference} beats {better}, but " if better else ""
    if not open_ones:
        return "Not decided: some heads have no finished runs to compare."
    return (
        f"Not decided: {known}{_seeds(most)} do not settle {summary.reference} against {open_ones}."
    )


def _so_far(summary: Summary) -> str:
    winner = summary.winner
    if winner is None:
        return ""
    rivals = [head.head for head in summary.heads if head.head != winner.head]
    fewer = fewer_parameters(summary, winner.head, rivals)
    return (
        f"So far {winner.head} does best on the validation pictures "
        f"({100 * winner.validation:.1f} %){f', with {fewer}' if fewer else ''}."
    )


def _settled(item: HeadComparison) -> bool:
    found = item.comparison
    return found.better.outcome != "inconclusive" or found.not_worse.outcome == "supported"


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"


def _reason(summary: Summary, item: HeadComparison) -> str:
    difference = item.comparison.difference
    mean = 100 * (difference.mean or 0.0)
    ahead, behind = (
        (summary.reference, item.other) if mean >= 0 else (item.other, summary.reference)
    )
    text = f"{ahead} is {abs(mean):.1f} points of test accuracy ahead of {behind} on average"
    if mean == 0:
        text = f"{summary.reference} and {item.other} are level on average"
    if difference.low is None or difference.high is None:
        return f"{text}, from one seed: no interval can be given."
    sign = 1 if mean >= 0 else -1
    low, high = sorted((100 * sign * difference.low, 100 * sign * difference.high))
    return (
        f"{text}; with {100 * (1 - difference.level):g} % confidence the true lead lies between "
        f"{_signed(low)} and {_signed(high)} points."
    )


def _signed(value: float) -> str:
    """With a true minus sign."""
    return f"{value:+.1f}".replace("-", "−")


def caveats(summary: Summary) -> Iterator[str]:
    """What the numbers do not say, whatever they are."""
    mode = summary.file.study.split.mode
    if mode == "fixed":
        yield (
            "The seeds share one split of the pictures: intervals over seeds hold for this split, "
            "not for other pictures."
        )
    test = sum(summary.file.counts["test"].values())
    few = [name for name, n in summary.file.counts["test"].items() if n < 20]
    if few:
        yield (
            f"{names(few) if len(few) < 6 else f'{len(few)} classes'} "
            f"{'has' if len(few) == 1 else 'have'} fewer than 20 test pictures: "
            f"what is said of {'it' if len(few) == 1 else 'them'} is uncertain."
        )
    yield (
        f"One test picture is {100 / max(test, 1):.2g} points of accuracy ({test:,} test pictures)."
    )
