"""The head that does best on the validation images, and what is known of it beside the verdicts."""

from collections.abc import Collection

from headtohead.analysis.run_results import PRIMARY
from headtohead.core.text import few_names, signed
from headtohead.report.page.parameter_words import more_or_fewer
from headtohead.report.summary import Summary, Winner
from headtohead.stats import bounds


def another_head(summary: Summary, chosen: str) -> str:
    """Where validation alone would take another head: two answers on one page need a word."""
    winner = summary.winner
    if winner is None or winner.head == chosen:
        return ""
    share = _share(summary, winner)
    pair = {winner.head, chosen}
    if any(set(item.heads) == pair and item.judged for item in summary.comparisons):
        return (
            f"By mean validation accuracy alone {winner.head} would be taken ({share}); the "
            f"verdicts say how much that lead is worth."
        )
    return (
        f"On the validation images {winner.head} does best ({share}); there is no verdict on "
        f"{winner.head} against {chosen}{_estimated(summary, chosen, winner.head)}."
    )


def _estimated(summary: Summary, head: str, other: str) -> str:
    """The estimate of one head less another on the primary metric; empty where there is none."""
    metric = PRIMARY[summary.file.study.verdict.metric]
    for item in summary.estimates:
        if item.metric != metric or {item.first, item.second} != {head, other}:
            continue
        found, sign = item.over_seeds, 1 if item.first == head else -1
        if found.mean is None:
            return ""
        interval = ""
        if ends := bounds(found):
            low, high = sorted(100 * sign * end for end in ends)
            interval = f", {signed(low)} to {signed(high)}"
        mean = signed(100 * sign * found.mean)
        return f" (estimate of {head} minus {other}: {mean} points of {summary.metric}{interval})"
    return ""


def best_of_all(summary: Summary) -> str:
    """Which head does best where the verdicts choose none; whether any is on it."""
    winner = summary.winner
    if winner is None:
        return ""
    share = _share(summary, winner)
    alone = winner.head in summary.file.study.heads_without_verdict
    judged = f"; there is no verdict on {winner.head}" if alone else ""
    return f"On the validation images {winner.head} does best ({share}){judged}."


def best_so_far(summary: Summary) -> str:
    """Which head does best where nothing is decided, and its parameters beside the reference's."""
    winner = summary.winner
    if winner is None:
        return ""
    study = summary.file.study
    # The best of all is compared with a head that was named beforehand, never with an outlier.
    other = study.claims_against if winner.head == study.reference else study.reference
    size = more_or_fewer(summary, winner.head, other) if other is not None else ""
    share = _share(summary, winner)
    with_size = f", with {size} than {other}" if size else ""
    return f"So far {winner.head} does best on the validation images ({share}){with_size}."


def level_text(summary: Summary) -> str:
    """`, as fc does, which has no fewer parameters`: that other heads do as well; else nothing."""
    level = summary.level_with_winner
    if not level:
        return ""
    do, have = ("does", "has") if len(level) == 1 else ("do", "have")
    return f", as {few_names(level, 'other heads')} {do}, which {have} no fewer parameters"


def _share(summary: Summary, winner: Winner) -> str:
    return f"{100 * winner.validation:.1f} %{level_text(summary)}"


def without_verdict(summary: Summary, told: Collection[str] = ()) -> str:
    """That heads outside the declared family are estimated alone, in a sentence; empty for none.

    Of those in `told` the text has said so already.
    """
    left = [head for head in summary.file.study.heads_without_verdict if head not in told]
    if not left:
        return ""
    who = few_names(left, "other heads")
    have = "has" if len(left) == 1 else "have"
    return f"{who} {have} estimates and no verdict: the study declares its comparisons beforehand."
