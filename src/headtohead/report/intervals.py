"""The interval over seeds that goes with a comparison: the one that its verdict rests on."""

from dataclasses import dataclass

from headtohead.core.text import confidence
from headtohead.report.comparisons import HeadComparison
from headtohead.report.summary import Summary
from headtohead.stats import bounds

OVER_LOOKS = "over all looks"
WITHOUT_LOOKS = "not corrected for looks"


@dataclass(frozen=True)
class OverSeeds:
    """Bounds of the mean difference, a share: None where there are none, and `why_not` in words.

    At confidence 1 - `level`. `about` says, of a pair that is looked at sequentially, which
    interval it is: the repeated one of the last look, OVER_LOOKS, or that of a single test,
    WITHOUT_LOOKS, where no look was taken at these seeds. It is empty for all others.
    """

    bounds: tuple[float, float] | None
    level: float
    about: str = ""
    why_not: str = ""

    @property
    def confidence(self) -> str:
        """`95 %`."""
        return confidence(self.level)

    @property
    def in_brackets(self) -> str:
        """` (over all looks)`, or nothing."""
        return f" ({self.about})" if self.about else ""


def over_seeds(summary: Summary, item: HeadComparison) -> OverSeeds:
    """The interval that is shown beside a comparison's mean."""
    difference = item.comparison.difference
    ordinary = bounds(difference)
    level, looks = difference.level, summary.looks
    if looks is None or not summary.is_looked_at(item):
        return OverSeeds(ordinary, level, why_not=difference.why_no_interval)
    last = looks.taken[-1] if looks.taken else None
    if last is None or last.n != difference.n:  # pairs that were added without a look
        about = "" if ordinary is None else WITHOUT_LOOKS
        return OverSeeds(ordinary, level, about, difference.why_no_interval)
    repeated = bounds(last)
    if repeated is None:
        why = difference.why_no_interval or "no interval: this look can decide nothing"
        return OverSeeds(None, looks.level, why_not=why)
    return OverSeeds(repeated, looks.level, OVER_LOOKS)
