"""Spread over seeds, paired comparisons, and verdicts by a rule stated beforehand.

The rule: three tests of the paired differences must agree, each Holm-adjusted over the study's
named family: the exact sign-flip test, Student's t, and Hall's t, which corrects for skewness.
No bootstrap across seeds: with 5 and 7 seeds its intervals are too short, Student's t keeps its
level. `docs/statistics.md` has the measured error rates, coverage and power.

paired.py     differences over seeds: mean, deviation, Student's interval
location.py   the three tests, for one sample or many at once
family.py     Holm, and the verdicts of one family
deciding.py   what stood against a verdict: the test that did not reject, and its interval
lag.py        whether evaluation shows what the weights can do
unpaired.py   groups that share no seeds
"""

from headtohead.stats.deciding import Deciding, deciding, holm_levels
from headtohead.stats.family import (
    Outcome,
    PairComparison,
    Verdict,
    compare_family,
    compare_pairs,
    holm,
    holm_adjusted,
    not_judged,
    seeds_needed,
    verdict,
)
from headtohead.stats.lag import LAG, Lag, lag
from headtohead.stats.location import (
    EXACT_UP_TO,
    RESAMPLES,
    Side,
    agreed_p,
    hall,
    sign_flip,
    sign_flips,
    student,
)
from headtohead.stats.paired import (
    DECIMALS,
    Estimate,
    PairedDifference,
    Spread,
    bounds,
    estimate,
    paired_difference,
    spread,
    t_interval,
)

__all__ = [
    "DECIMALS",
    "EXACT_UP_TO",
    "LAG",
    "RESAMPLES",
    "Deciding",
    "Estimate",
    "Lag",
    "Outcome",
    "PairComparison",
    "PairedDifference",
    "Side",
    "Spread",
    "Verdict",
    "agreed_p",
    "bounds",
    "compare_family",
    "compare_pairs",
    "deciding",
    "estimate",
    "hall",
    "holm",
    "holm_adjusted",
    "holm_levels",
    "lag",
    "not_judged",
    "paired_difference",
    "seeds_needed",
    "sign_flip",
    "sign_flips",
    "spread",
    "student",
    "t_interval",
    "verdict",
]
