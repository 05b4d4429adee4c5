"""The comparisons that get verdicts: a study's family."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from headtohead.analysis.lags import why_not_judged
from headtohead.analysis.pairs import Pairing, answers_of, pairing
from headtohead.analysis.run_results import RunResult
from headtohead.core.text import confidence, counted
from headtohead.stats import (
    Lag,
    PairComparison,
    Verdict,
    bounds,
    compare_pairs,
    not_judged,
    seeds_needed,
)
from headtohead.stats.family import Pair, points
from headtohead.stats.over_images import (
    Answers,
    McNemar,
    PictureInterval,
    mcnemar,
    picture_interval,
)
from headtohead.store.ledger import StudyFile
from headtohead.store.looks import LooksRecord
from headtohead.study_data import StudyData


@dataclass(frozen=True)
class HeadComparison:
    """Two heads on the primary metric at the best epoch: `first` less `other`.

    `seeds` are the pairs in it; `flagged` are pairs left out because the two runs' environments
    differ, each with what differs. `pictures` is the interval over test images that stands
    beside the one over seeds, `mcnemar` describes each seed's two networks.
    """

    first: str
    other: str
    seeds: tuple[int, ...]
    flagged: Mapping[int, str]
    comparison: PairComparison
    pictures: PictureInterval | None
    mcnemar: tuple[McNemar, ...]

    @property
    def heads(self) -> Pair:
        """Both of them, `first` first."""
        return self.first, self.other

    @property
    def pair(self) -> str:
        """`gap minus fc`."""
        return f"{self.first} minus {self.other}"

    @property
    def judged(self) -> bool:
        """Whether what was measured of both heads can be trusted."""
        return self.comparison.better.outcome != "not judged"


def most_seeds(items: Sequence[HeadComparison]) -> int:
    """Of these comparisons, the seeds of the one that has the most."""
    return max((item.comparison.difference.n for item in items), default=0)


def comparisons_of(
    file: StudyFile,
    runs: Mapping[str, Sequence[RunResult]],
    answers: Mapping[tuple[str, int], Answers],
    groups: Mapping[int, int],
    looks: LooksRecord | None,
    lags: Mapping[str, Lag],
    idle: Collection[str],
) -> tuple[HeadComparison, ...]:
    """The family's pairs of which both heads have runs.

    Every pair that the study declares is in the family, be it without runs. A study that follows
    a sequential design has one primary comparison, that one; the reference's others get no
    verdict. Pairs of which a head is in `lags` are not judged, and stay in the family: they make
    no other easier. `idle` heads learned nothing: between two of them more seeds would find
    nothing either, nor between two that are one function. Two heads of which no run is finished get
    no verdict.
    """
    rule = file.study.verdict
    family = file.study.family
    pairs: dict[Pair, Pairing] = {
        (first, other): pairing(runs[first], runs[other])
        for first, other in family
        if first in runs and other in runs
    }
    scored = {pair: pairs[pair].scored() if pair in pairs else {} for pair in family}
    values = {pair: list(differences.values()) for pair, differences in scored.items()}
    compared = compare_pairs(values, rule.level, rule.margin)
    alike = [pair for pair in family if file.same_function(*pair)]
    failed = [head for head, mine in runs.items() if not any(run.finished for run in mine)]
    found = []
    for heads, paired in pairs.items():
        both = answers_of(paired, answers)
        over = picture_interval(both, groups, rule.level)
        judged = _judged(compared[heads], (*heads, rule.metric), looks, idle, alike, failed)
        judged = _trusted(judged, why_not_judged(heads, lags))
        seeds = tuple(scored[heads])
        found.append(HeadComparison(*heads, seeds, paired.flagged, judged, over, mcnemar(both)))
    return tuple(found)


def _judged(
    comparison: PairComparison,
    compared: tuple[str, str, str],
    looks: LooksRecord | None,
    idle: Collection[str],
    alike: Collection[Pair],
    failed: Collection[str],
) -> PairComparison:
    """What the two heads' comparison comes to, by the study's design and by what became of them.

    `compared` is the two heads and the metric that the comparison is about.
    A sequential design says by itself when to stop: of it no seeds are told to be of no use.
    """
    heads = compared[:2]
    without = [head for head in heads if head in failed]
    if looks is not None:
        followed = _followed(comparison, looks, compared)
        return _with_failures(followed, without) if len(without) > 1 else followed
    if set(heads) <= set(idle):
        comparison = _without_seeds(comparison, "neither head beats the largest class")
    if heads in alike:
        comparison = _without_seeds(comparison, "the two heads are the same function")
    return _with_failures(comparison, without)


def look_differences(data: StudyData, record: LooksRecord) -> dict[int, float]:
    """Seed → difference on the primary metric of the two heads that are looked at sequentially."""
    mine, theirs = (data.by_head.get(head) for head in (record.reference, record.other))
    return pairing(mine, theirs).scored() if mine and theirs else {}


def _with_failures(comparison: PairComparison, failed: Sequence[str]) -> PairComparison:
    """The comparison, where no run of the heads `failed` is finished.

    Of two such heads nothing was measured: they are not "as good" as one another.
    """
    if not failed:
        return comparison
    reason = f"no run of {' or '.join(failed)} is finished"
    if len(failed) == 1:
        return _without_seeds(comparison, reason)
    return _inconclusive(comparison, reason)


def _without_seeds(comparison: PairComparison, why: str) -> PairComparison:
    """The comparison, which where seeds are too few does not ask for more, and says why."""
    found = comparison.difference
    if found.n >= seeds_needed(comparison.tests, found.level):
        return comparison
    return _inconclusive(comparison, f"{counted(found.n, 'seed')}; {why}")


def _inconclusive(comparison: PairComparison, reason: str) -> PairComparison:
    return dataclasses.replace(
        comparison,
        better=Verdict(comparison.better.claim, "inconclusive", reason),
        not_worse=Verdict(comparison.not_worse.claim, "inconclusive", reason),
        deciding=None,
        deciding_margin=None,
    )


def _trusted(comparison: PairComparison, reason: str) -> PairComparison:
    """The comparison, without its verdicts where there is a reason to believe none of them."""
    if not reason:
        return comparison
    return dataclasses.replace(
        comparison,
        better=not_judged(comparison.better, reason),
        not_worse=not_judged(comparison.not_worse, reason),
        deciding=None,
        deciding_margin=None,
    )


def _followed(
    comparison: PairComparison, looks: LooksRecord, compared: tuple[str, str, str]
) -> PairComparison:
    """The comparison with the verdict of the sequential design, or none where it is another's.

    `compared` is the two heads and the metric that the comparison is about.
    """
    pair = looked_at(looks, compared[2])
    reason = f"an estimate: the study's sequential design spends its level on {pair}"
    untested = Verdict(comparison.not_worse.claim, "inconclusive", reason)
    if compared != (looks.reference, looks.other, looks.metric):
        better = Verdict(comparison.better.claim, "inconclusive", reason)
    else:
        better = looks_verdict(looks)
    # What stood against a verdict of all pairs at once says nothing of one by looks.
    return dataclasses.replace(
        comparison, better=better, not_worse=untested, deciding=None, deciding_margin=None
    )


def looked_at(looks: LooksRecord, metric: str) -> str:
    """The pair that a sequential design decides; and by which metric, if not by `metric`."""
    pair = f"{looks.reference} against {looks.other}"
    return pair if metric == looks.metric else f"{pair} by {looks.metric.replace('_', ' ')}"


def looks_verdict(looks: LooksRecord) -> Verdict:
    """What the sequential design says by now, with the looks that were taken."""
    claim = f"{looks.reference} beats {looks.other}"
    declared = (
        f"sequential, declared beforehand: looks at {', '.join(map(str, looks.looks))} pairs, "
        f"level {looks.level:g} spent by {looks.spending}"
    )
    if not looks.taken:
        return Verdict(claim, "inconclusive", f"{declared}; no look taken yet")
    look = looks.taken[-1]
    interval = "no interval"
    if ends := bounds(look):
        interval = (
            f"repeated {confidence(look.nominal, 4)} t interval {points(ends[0])} to "
            f"{points(ends[1])} points"
        )
    numbers = (
        f"{declared}; look {len(looks.taken)} of {len(looks.looks)} at {look.n} pairs: mean "
        f"{points(look.mean)}, {interval}, sign-flip p = {look.p:.3g} of {look.spent:.3g} spent, "
        f"t p = {look.p_t:.3g} of {look.nominal:.3g}"
    )
    if looks.decision:
        outcome = "supported" if looks.decision > 0 else "refuted"
        return Verdict(claim, outcome, f"{numbers}: decided")  # type: ignore[arg-type]
    ahead = f"next look at {looks.next_look} pairs" if looks.next_look else "this was the last look"
    return Verdict(claim, "inconclusive", f"{numbers}: not decided, {ahead}")
