"""What would give the verdict that a study lacks: more seeds and how many, or something else."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from headtohead.config.study import StudySpec
from headtohead.core.text import counted, names, points
from headtohead.report.comparisons import HeadComparison
from headtohead.report.summary import Summary
from headtohead.stats.power import MOST_SEEDS, seeds_to_find

NAMED = 6
"""Heads that the advice names; more are counted."""


@dataclass(frozen=True)
class SeedsNeeded:
    """About how many seeds give a pair its verdict, and which verdict that is.

    `until_decided` is the head that a sequential design would show to be better or worse than the
    reference by its last look; empty where it would not.
    """

    number: int
    verdict: str
    until_decided: str = ""


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
        return _enough_seeds(summary)
    if any(item.comparison.difference.n < needed for item in still_open):
        return (
            f"For a verdict: at least {needed} seeds that both heads have finished under the same "
            f"conditions; {study.seeds} are planned."
        )
    item = largest_lead(still_open)
    found = seeds_for_verdict(summary, item)
    if found is None:
        return (
            f"More seeds do not help {item.first} against {item.other}: a difference of this size "
            f"takes more than {MOST_SEEDS}. Treat the heads as equal, or compare them on more "
            f"images."
        )
    looks = ""
    if found.until_decided:
        looks = (
            f", or --until-decided {found.until_decided}, which tests whether one beats the other "
            f"with at most {study.verdict.looks[-1]} seeds"
        )
    return (
        f"For a verdict that {found.verdict}: about {found.number} seeds, if the difference is as "
        f"large as it looks (found with 80 % power). Choose the number first, and a new --out: "
        f"--seeds {found.number}{looks}.{_of_these_images(item)}"
    )


def _of_these_images(item: HeadComparison) -> str:
    """What more seeds leave open where the interval over test images holds 0; else nothing."""
    found = item.pictures
    if found is None or found.low is None or found.high is None or not found.low <= 0 <= found.high:
        return ""
    return (
        f" More seeds decide for these {found.pictures:,} test images alone; to decide for others, "
        f"compare on more images."
    )


def _enough_seeds(summary: Summary) -> str:
    """How to have the fewest seeds that can decide, with fewer runs of the family's heads alone.

    In its own folder a study gives every head that is there as many seeds.
    """
    study, needed = summary.file.study, summary.seeds_needed
    more, every = needed - study.seeds, len(study.heads)
    judged = _with_those_before(study, {head for pair in study.family for head in pair})
    if needed * len(judged) >= more * every:
        told = counted(more, "more seed")
        return f"For a verdict: --seeds {needed} ({told} of each head), in the same folder."
    who = names(judged) if len(judged) <= NAMED else f"the {len(judged)} heads of declared pairs"
    heads = f"--heads {','.join(judged)} " if len(judged) <= NAMED else ""
    return (
        f"For a verdict: {needed} seeds of {who} are enough, in a new --out: {heads}"
        f"--seeds {needed}. In the same folder --seeds {needed} trains "
        f"{counted(more, 'more seed')} of all {every} heads."
    )


def _with_those_before(study: StudySpec, wanted: set[str]) -> list[str]:
    """Heads with those whose backbone they start from, in the study's order."""
    left = list(wanted)
    while left:
        before = study.heads[left.pop()].after
        if before is not None and before not in wanted:
            wanted.add(before)
            left.append(before)
    return [head for head in study.heads if head in wanted]


def seeds_may_help(summary: Summary, item: HeadComparison) -> bool:
    """Whether more seeds can tell two heads apart.

    Not where no run of one of them is finished, nor between two heads that learned nothing or that
    are the same function.
    """
    heads = set(item.heads)
    alike = heads <= set(summary.at_majority) or summary.file.same_function(*item.heads)
    return not heads & set(summary.failed) and not alike


def largest_lead(items: Sequence[HeadComparison]) -> HeadComparison:
    """The comparison whose mean difference is the largest, either way."""
    return max(items, key=lambda item: abs(item.comparison.difference.mean or 0.0))


def seeds_for_verdict(summary: Summary, item: HeadComparison) -> SeedsNeeded | None:
    """The fewest seeds that give a pair a verdict, were its difference what it looks like.

    Either that its first head is at least as good within the margin, or that one is better: a
    difference within the margin is none by the study's own word, and is not to be proven. None
    where neither is to be had with MOST_SEEDS.
    """
    difference, rule = item.comparison.difference, summary.file.study.verdict
    if difference.mean is None or not difference.sd:
        return None
    mean, margin = difference.mean, rule.margin
    better = _seeds(item, abs(mean)) if abs(mean) >= margin else None
    by_looks = better is not None and better <= rule.looks[-1] and item.first == summary.reference
    looked_at = item.other if by_looks else ""
    found = []
    if (number := _seeds(item, mean + margin)) is not None:
        as_good = f"{item.first} is at least as good as {item.other} within {points(margin)}"
        found.append(SeedsNeeded(number, as_good, looked_at))
    if better is not None:
        ahead, behind = item.heads if mean > 0 else item.heads[::-1]
        found.append(SeedsNeeded(better, f"{ahead} beats {behind}", looked_at))
    return min(found, key=lambda one: one.number, default=None)


def _is_open(item: HeadComparison) -> bool:
    found = item.comparison
    return found.better.outcome == found.not_worse.outcome == "inconclusive"


def _seeds(item: HeadComparison, effect: float) -> int | None:
    """Seeds that find a mean of `effect` above 0; None where no number that is advised would do."""
    difference = item.comparison.difference
    if effect <= 0 or not difference.sd:
        return None
    return _found(effect / difference.sd, item.comparison.tests, difference.level, difference.n + 1)


@lru_cache
def _found(effect: float, tests: int, level: float, fewest: int) -> int | None:
    """The page and the terminal ask the same."""
    return seeds_to_find(effect, tests=tests, level=level, fewest=fewest)
