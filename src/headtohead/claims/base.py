"""What a claim is: a statement about the reference head, its numbers, its rule and its figure.

A claim is one file in this folder and one entry of `headtohead.claims.table.CLAIMS`, or a class of
the user's own, named `module:Class` in a study's `claims`. The page, `report.md`, LaTeX and
`summary.json` show what is in that table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np

from headtohead.core.text import confidence, counted
from headtohead.report.charts.chart import Chart
from headtohead.stats import DECIMALS, Estimate, Outcome, PairedDifference, bounds
from headtohead.stats.family import points
from headtohead.study_data import BySeed, StudyData

Unit: TypeAlias = Literal["count", "bytes", "share", "points", "nats", "seconds", "epochs"]
"""Of `share` and `points` alike values are shares of 1; points are what shares differ by."""


@dataclass(frozen=True)
class Measure:
    """One row of a claim's numbers: every head's value in `unit`, None where it is not known."""

    name: str
    unit: Unit
    heads: Mapping[str, float | None]


@dataclass(frozen=True)
class Ruling:
    """The outcome of a claim that has a rule of its own, and the rule with its numbers."""

    outcome: Outcome
    rule: str


@dataclass(frozen=True)
class Question:
    """What a claim says of one study, before its test.

    `tested` says in words what `differences` (by seed, positive in the claim's favour) are: they
    are tested, in one family with those of the study's other claims. A claim that is counted, or
    has a rule of its own, gives its `ruling` instead. `lost` says what the ledger once had that
    the test needs; where it is not empty, there are no differences, and it is the reason why
    nothing is decided. `evaluated` is False where the claim rests on no evaluation of a head, so
    that one whose evaluation lags is judged all the same.
    """

    statement: str
    tested: str = ""
    differences: Mapping[int, float] | None = None
    measures: tuple[Measure, ...] = ()
    notes: tuple[str, ...] = ()
    lost: str = ""
    ruling: Ruling | None = None
    evaluated: bool = True


@dataclass(frozen=True)
class ClaimFigure:
    """What a claim shows: charts, and what is to be said of them all.

    `anchor` is where the page has them, in a section of its own; empty, they stand with the claim.
    """

    charts: tuple[Chart, ...] = ()
    about: str = ""
    anchor: str = ""


class Claim(Protocol):
    """A claim that the study's reference holds against another head, `data.against`.

    One whose question gives a ruling says `tested = False`: `plan` counts all others as tests of
    one family.
    """

    @property
    def name(self) -> str:
        """Its name in `summary.json`, unique among claims."""

    def question(self, data: StudyData) -> Question:
        """What it says of this study. Asked only where there are two heads."""

    def figure(self, data: StudyData) -> ClaimFigure:
        """Its charts, of all heads; asked of any study. Chart names are unique on the page."""


@dataclass(frozen=True)
class JudgedClaim:
    """One claim with its verdict: `statement` is what is claimed, `rule` what decided, in words.

    `difference` is the tested one, paired by seed, positive in the claim's favour; None for
    claims that are not tested. `notes` say what a reader must know about the numbers.
    """

    name: str
    statement: str
    outcome: Outcome
    rule: str
    measures: tuple[Measure, ...]
    difference: PairedDifference | None = None
    notes: tuple[str, ...] = ()


def measure(name: str, unit: Unit, values: BySeed) -> Measure:
    """Means over seeds."""
    known = {head: list(v.values()) for head, v in values.items()}
    # Rounded as differences are: the mean of 0.1 and -0.1 is no number of its own.
    rounded = {h: round(float(np.mean(v)), DECIMALS) + 0.0 if v else None for h, v in known.items()}
    return Measure(name, unit, rounded)


def estimate_text(found: Estimate | PairedDifference) -> str:
    """`+0.66 points (95 % t interval +0.10 to +1.21, 7 seeds)`; without numbers empty."""
    if found.mean is None:
        return ""
    interval = "no interval"
    if ends := bounds(found):
        interval = f"{confidence(found.level)} t interval {points(ends[0])} to {points(ends[1])}"
    return f"{points(found.mean)} points ({interval}, {counted(found.n, 'seed')})"


def pairs(values: BySeed, first: str, second: str, seeds: Sequence[int]) -> dict[int, float]:
    """Seed → first minus second, for those of `seeds` at which both are known."""
    mine, theirs = values.get(first, {}), values.get(second, {})
    return {seed: mine[seed] - theirs[seed] for seed in seeds if seed in mine and seed in theirs}
