"""What would give the verdict that a study lacks: more seeds and how many, or something else."""

from headtohead.core.text import counted
from headtohead.report.comparisons import HeadComparison
from headtohead.report.summary import Summary
from headtohead.stats.power import MOST_SEEDS, seeds_to_find


def remedy(summary: Summary) -> str | None:
    """In one line, what would decide the comparisons that are open; None where none is.

    Under a sequential design the looks say how many seeds there are, and nothing is advised. What
    seeds cannot mend (a lag, failures, nothing learned) is told elsewhere, with its own way out.
    """
    still_open = [i for i in summary.comparisons if _is_open(i) and seeds_may_help(summary, i)]
    if not still_open or summary.looks is not None or summary.nothing_learned:
        return None
    study, needed = summary.file.study, summary.seeds_needed
    if study.seeds < needed:
        more = counted(needed - study.seeds, "more seed")
        return f"For a verdict: --seeds {needed} ({more} of each head), in the same folder."
    if any(item.comparison.difference.n < needed for item in still_open):
        return (
            f"For a verdict: at least {needed} seeds that both heads have finished under the same "
            f"conditions; {study.seeds} are planned."
        )
    item = max(still_open, key=lambda item: abs(item.comparison.difference.mean or 0.0))
    pair = f"{item.first} against {item.other}"
    seeds = _seeds(item)
    if seeds is None:
        return (
            f"More seeds do not help {pair}: a difference of this size takes more than "
            f"{MOST_SEEDS}. Treat the heads as equal, or compare them on more images."
        )
    looks = f", or --until-decided {item.other}" if item.first == summary.reference else ""
    return (
        f"For a verdict on {pair}: about {seeds} seeds, if the difference is as large as it looks "
        f"(found with 80 % power). Choose the number first: --seeds {seeds} in a new --out{looks}."
    )


def seeds_may_help(summary: Summary, item: HeadComparison) -> bool:
    """Whether more seeds can tell two heads apart.

    Not where no run of one of them is finished, nor between two heads that learned nothing.
    """
    heads = {item.first, item.other}
    return not heads & set(summary.failed) and not heads <= set(summary.at_majority)


def _is_open(item: HeadComparison) -> bool:
    found = item.comparison
    return found.better.outcome == found.not_worse.outcome == "inconclusive"


def _seeds(item: HeadComparison) -> int | None:
    """None where no number of seeds that is advised would do."""
    difference = item.comparison.difference
    if not difference.mean or not difference.sd:
        return None
    return seeds_to_find(
        abs(difference.mean) / difference.sd,
        tests=item.comparison.tests,
        level=difference.level,
        fewest=difference.n + 1,
    )
