"""Why the answer is what it is: each comparison in a sentence."""

from headtohead.core.text import above, counted, minus, names, points, signed
from headtohead.report.comparisons import HeadComparison, looked_at
from headtohead.report.intervals import OVER_LOOKS, over_seeds
from headtohead.report.summary import Summary
from headtohead.stats import bounds
from headtohead.stats.family import deciding_text, margin_text


def reason(summary: Summary, item: HeadComparison) -> str:
    """One comparison in a sentence: the lead, its interval, and why it is not decided."""
    if summary.unmeasured(item):
        return f"{item.first} and {item.other} have no finished run: there is nothing to compare."
    difference = item.comparison.difference
    found = over_seeds(summary, item)
    mean = 100 * (difference.mean or 0.0)
    sign = -1 if round(mean, 1) < 0 else 1
    ahead, behind = item.heads[::sign]
    text = f"{ahead} is {abs(mean):.1f} points of {summary.metric} ahead of {behind}"
    if not round(mean, 1):
        text = f"{ahead} and {behind} are level in {summary.metric}"
    if not item.judged:
        lagging = names([head for head in item.heads if head in summary.lags])
        return f"{text} as evaluated: not judged, for evaluation of {lagging} lags."
    if found.bounds is None:
        if difference.n < 2:
            return f"{text}, from one seed: no interval can be given."
        return f"{text} on average; {found.why_not}."
    where = " on this split" if summary.file.study.split.mode == "fixed" else ""
    about = f" {OVER_LOOKS}" if found.about == OVER_LOOKS else found.in_brackets
    sure = f"with {found.confidence} confidence{about}"
    low, high = sorted(100 * sign * end for end in found.bounds)
    if not round(low, 1) and not round(high, 1):
        return f"{text} on average; {sure} they differ by less than 0.1 points{where}."
    return (
        f"{text} on average; {sure} {ahead}'s true lead{where} lies between {signed(low)} and "
        f"{signed(high)} points{_why_open(summary, item)}."
    )


def _why_open(summary: Summary, item: HeadComparison) -> str:
    """Why an interval that a reader sees decides nothing; empty where something is decided."""
    found, looks = item.comparison, summary.looks
    difference = found.difference
    if found.better.outcome != "inconclusive":
        return ""
    if looks is not None and summary.is_looked_at(item):
        taken = f"after {counted(len(looks.taken), 'look')}" if looks.taken else "before any look"
        ahead = f"the next is at {looks.next_look} pairs" if looks.next_look else "it was the last"
        return f"; not decided {taken}, {ahead}"
    if looks is not None:
        pair = looked_at(looks, summary.file.study.verdict.metric)
        return f"; the study's sequential design decides, on {pair} alone"
    if found.not_worse.outcome == "supported":
        margin = points(summary.file.study.verdict.margin)
        return f": {item.first} is not behind by more than the margin of {margin}"
    if difference.n < summary.seeds_needed:
        return f"; {counted(difference.n, 'seed')} decide nothing"
    ends = bounds(difference)
    if ends is None or ends[0] <= 0 <= ends[1]:
        return f": either may be ahead{_why_not_as_good(summary, item)}"
    together = f", adjusted for {found.tests} comparisons" if found.tests > 1 else ""
    return (
        f". Not decided all the same: the largest p of the three tests{together}, is "
        f"{above(found.p_holm, difference.level)}, above {difference.level:g}"
        f"{minus(deciding_text(found.deciding, found.tests))}"
    )


def _why_not_as_good(summary: Summary, item: HeadComparison) -> str:
    """Why an interval above minus the margin does not show the first to be as good as the other."""
    found, margin = item.comparison, summary.file.study.verdict.margin
    if found.deciding_margin is None or found.deciding_margin.low is None:
        return ""
    why = margin_text(found.deciding_margin, margin, found.tests, f" of {item.pair}")
    return (
        f". That {item.first} is not behind by more than the margin of {points(margin)} is not "
        f"decided: {minus(why)}"
    )
