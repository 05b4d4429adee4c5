"""The answer in words: first a sentence for whoever must decide, then how sure and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from headtohead.core.text import counted, names, points
from headtohead.report.comparisons import HeadComparison, most_seeds
from headtohead.report.page import validity
from headtohead.report.page.on_validation import (
    another_head,
    best_of_all,
    best_so_far,
    without_verdict,
)
from headtohead.report.page.parameter_words import (
    clearly_lightest,
    fewer_parameters,
    more_or_fewer,
)
from headtohead.report.page.reasons import reason
from headtohead.report.remedy import largest_lead, seeds_for_verdict, seeds_may_help
from headtohead.report.summary import HeadResult, Summary, unrounded, validation
from headtohead.stats.power import MOST_SEEDS

Certainty = Literal["decided", "open", "nothing", "unjudged", "few", "unlearned", "failed"]


@dataclass(frozen=True)
class ShortAnswer:
    """The sentence, what goes with it, how firm it is, what supports it, and the head to take.

    `chosen` is empty where nothing is decided.
    """

    sentence: str
    more: str
    certainty: Certainty
    reasons: tuple[str, ...]
    chosen: str = ""


def answer(summary: Summary) -> ShortAnswer:
    """What a study says to someone who must choose a head; nothing that its numbers do not."""
    able = [head for head in summary.heads if head.finished]
    if summary.runs and not able:
        more = validity.failed_remedy(summary)
        return ShortAnswer(validity.all_failed(summary), more, "failed", ())
    if not able:
        return ShortAnswer("Nothing can be said yet: no run is finished.", "", "nothing", ())
    tested = [item for item in summary.comparisons if item.comparison.difference.n]
    if summary.lags and (not tested or not all(item.judged for item in tested)):
        found = _not_judged(summary, tested)
    elif summary.nothing_learned or _all_at_majority(summary, tested):
        found = _nothing_learned(summary, tested)
    else:
        found = _compared(summary, able, tested)
        found = replace(
            found,
            sentence=_joined(found.sentence, validity.lost(summary)),
            more=_joined(validity.lost_fairly(summary), _alike(summary, tested), found.more),
        )
    doubtful = "" if found.certainty == "unjudged" else validity.not_trusted(summary)
    return replace(
        found,
        sentence=_joined(found.sentence, validity.failed(summary)),
        more=_joined(found.more, doubtful, validity.failed_remedy(summary)),
    )


def _all_at_majority(summary: Summary, tested: Sequence[HeadComparison]) -> bool:
    """Whether no head of any pair beats the largest class, nor another that can be judged."""
    heads = {head for item in tested for head in item.heads}
    trusted = [found for found in summary.standings if found.head not in summary.lags]
    learned = any(found.beats for found in trusted)
    return bool(heads) and heads <= set(summary.at_majority) and not learned


def _nothing_learned(summary: Summary, tested: Sequence[HeadComparison]) -> ShortAnswer:
    reasons = tuple(reason(summary, item) for item in tested)
    if validity.too_few_images(summary):
        return ShortAnswer(validity.not_shown(summary), validity.MORE_IMAGES, "few", reasons)
    more = validity.learn_more(summary)
    return ShortAnswer(validity.nothing_learned(summary), more, "unlearned", reasons)


def opening(summary: Summary) -> Iterator[str]:
    """What stands before any table: what cannot be judged, or was not learned; else nothing."""
    found = answer(summary)
    if found.certainty in ("unjudged", "few", "unlearned", "failed"):
        yield f"{found.sentence} {found.more}"
    elif summary.at_majority or summary.failed or summary.lags:
        yield _joined(
            validity.not_trusted(summary),
            validity.lost(summary),
            validity.lost_fairly(summary),
            validity.failed(summary),
            validity.failed_remedy(summary),
        )


def _joined(*parts: str) -> str:
    """The parts that say something, one after the other."""
    return " ".join(filter(None, parts))


def _compared(
    summary: Summary, able: Sequence[HeadResult], tested: Sequence[HeadComparison]
) -> ShortAnswer:
    """The answer where every head's measurements can be trusted."""
    if len(summary.file.study.heads) == 1:
        more = "With one head there is nothing to compare it with."
        return ShortAnswer(f"{_reached(able[0])}.", more, "nothing", ())
    if not tested:
        return _without_pairs(summary, able)
    reasons = tuple(reason(summary, item) for item in tested)
    mine = [item for item in tested if item.first == summary.reference]
    if not mine:
        return _of_other_pairs(summary, tested, reasons)
    found = _of_the_reference(summary, mine, reasons)
    others = " ".join(_of_pair(summary, item) for item in tested if item not in mine)
    told = {summary.winner.head} if summary.winner and not summary.few_seeds(mine) else set()
    return replace(found, more=_joined(found.more, others, without_verdict(summary, told)))


def _of_the_reference(
    summary: Summary, mine: Sequence[HeadComparison], reasons: tuple[str, ...]
) -> ShortAnswer:
    """What the reference's own comparisons come to."""
    chosen = _decided(summary, mine)
    planned = [pair for pair in summary.file.study.family if pair[0] == summary.reference]
    if chosen is not None and len(mine) == len(planned):
        sentence, head = chosen
        return ShortAnswer(sentence, another_head(summary, head), "decided", reasons, head)
    if summary.few_seeds(mine):
        sentence, more = _too_few(summary, mine), best_so_far(summary)
    else:
        sentence, more = _undecided(summary, mine), _may_be_chance(summary, mine)
    return ShortAnswer(sentence, more, "open", reasons)


def _of_other_pairs(
    summary: Summary, tested: Sequence[HeadComparison], reasons: tuple[str, ...]
) -> ShortAnswer:
    """A family without the reference: each pair's verdict, and no choice among all heads."""
    if summary.few_seeds(tested):
        return ShortAnswer(_too_few(summary, tested), best_so_far(summary), "open", reasons)
    sentence = " ".join(_of_pair(summary, item) for item in tested)
    settled = len(tested) == len(summary.file.study.family) and not _open(tested)
    more = _joined(best_so_far(summary), without_verdict(summary))
    return ShortAnswer(sentence, more, "decided" if settled else "open", reasons)


def _of_pair(summary: Summary, item: HeadComparison) -> str:
    """What a declared pair comes to, in a sentence."""
    first, other = item.heads
    better, worse, equal = _settled([item])
    if better or worse:
        ahead, behind = (first, other) if better else (other, first)
        return f"{ahead} beats {behind}."
    if equal:
        margin = points(summary.file.study.verdict.margin)
        return f"{first} is at least as good as {other} within {margin}."
    return f"Between {first} and {other} no head is shown to be better."


def _not_judged(summary: Summary, tested: Sequence[HeadComparison]) -> ShortAnswer:
    """What cannot be judged first, then what can, then the heads that learned nothing."""
    parts = [validity.not_judged(summary, tested)]
    judged = [item for item in tested if item.judged]
    mine = [item for item in judged if item.first == summary.reference]
    if mine:
        parts.append(_of_the_rest(summary, mine))
    elif judged and summary.few_seeds(judged):
        parts.append(_too_few(summary, judged))
        judged = []
    parts += [_of_pair(summary, item) for item in judged if item not in mine]
    parts.append(validity.lost(summary))
    reasons = tuple(reason(summary, item) for item in tested)
    more = _joined(validity.why_and_remedy(summary), validity.lost_fairly(summary))
    return ShortAnswer(_joined(*parts), more, "unjudged", reasons)


def _of_the_rest(summary: Summary, judged: Sequence[HeadComparison]) -> str:
    """What the verdicts say of the pairs that are judged; no choice, for others are not."""
    if summary.few_seeds(judged):
        return f"Against {names([item.other for item in judged])}: {_too_few(summary, judged)}"
    better, worse, equal = _settled(judged)
    reference, margin = summary.reference, points(summary.file.study.verdict.margin)
    parts = [f"{reference} beats {names(better)}"] if better else []
    parts += [f"{names(worse)} beat{'s' if len(worse) == 1 else ''} {reference}"] if worse else []
    if equal:
        parts.append(f"{reference} is at least as good as {names(equal)} within {margin}")
    unsettled = names([item.other for item in _open(judged)])
    if unsettled:
        parts.append(f"between {reference} and {unsettled} no head is shown to be better")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text.startswith("between") else f"{text}."


def _reached(head: HeadResult) -> str:
    spread = head.spreads["test_accuracy"]
    if spread is None:
        return f"{head.head} has no test predictions yet"
    over = f" on average over {spread.n} seeds" if spread.n > 1 else ""
    return f"{head.head} classifies {100 * spread.mean:.1f} % of the test images correctly{over}"


def _without_pairs(summary: Summary, able: Sequence[HeadResult]) -> ShortAnswer:
    return ShortAnswer(
        "Nothing can be compared yet.",
        f"{summary.reference}, the reference, and another head must have finished the same seed, "
        f"with test predictions. So far: {'; '.join(map(_reached, able))}.",
        "nothing",
        (),
    )


def _decided(summary: Summary, tested: Sequence[HeadComparison]) -> tuple[str, str] | None:
    """The sentence and its head, where the family's verdicts name a choice."""
    reference, margin = summary.reference, summary.file.study.verdict.margin
    better, worse, equal = _settled(tested)
    if worse:
        return _beaten(summary, tested, worse)
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


def _settled(tested: Sequence[HeadComparison]) -> tuple[list[str], list[str], list[str]]:
    """Heads that the reference beats, that beat it, and that it is as good as within the margin."""
    better = [i.other for i in tested if i.comparison.better.outcome == "supported"]
    worse = [i.other for i in tested if i.comparison.better.outcome == "refuted"]
    equal = [
        i.other
        for i in tested
        if i.other not in (*better, *worse) and i.comparison.not_worse.outcome == "supported"
    ]
    return better, worse, equal


def _beaten(
    summary: Summary, tested: Sequence[HeadComparison], worse: Sequence[str]
) -> tuple[str, str]:
    """The reference loses: validation chooses among the heads that beat it, the test does not."""
    reference = summary.reference
    rivals = [head for head in summary.heads if head.head in worse]
    chosen_on = summary.winner.seeds if summary.winner else ()
    # Seeds that only some of them have would decide by their luck.
    seeds = set(chosen_on).intersection(*({run.seed for run in head.runs} for head in rivals))
    means = {head.head: unrounded(validation(head, seeds)) for head in rivals}
    best = min(rivals, key=lambda head: (-means[head.head], head.parameters.total)).head
    parameters = more_or_fewer(summary, best, reference)
    if len(worse) == 1:
        with_them = f", with {parameters}" if parameters else ""
        lead = f"{_by(tested, best)} of {summary.metric}"
        return f"{best} beats {reference} by {lead}{with_them}. Choose {best}.", best
    beating = names([f"{name} (by {_by(tested, name)})" for name in worse])
    with_them = f", with {parameters} than {reference}" if parameters else ""
    return (
        f"{beating} beat {reference} on {summary.metric}. Choose {best}: of these it does best on "
        f"validation{with_them}.",
        best,
    )


def _by(tested: Sequence[HeadComparison], name: str) -> str:
    item = next(item for item in tested if item.other == name)
    lead = abs(100 * (item.comparison.difference.mean or 0.0))
    return f"{lead:.1f} points" if round(lead, 1) else f"{lead:.1g} points"


def _too_few(summary: Summary, tested: Sequence[HeadComparison]) -> str:
    if not any(seeds_may_help(summary, item) for item in tested):
        return "Not decided: more seeds would not tell these heads apart."
    return (
        f"Not decided: {counted(most_seeds(tested), 'seed')} cannot tell a difference from chance; "
        f"it takes at least {summary.seeds_needed}."
    )


def _open(tested: Sequence[HeadComparison]) -> list[HeadComparison]:
    return [item for item in tested if not any(_settled([item]))]


def _undecided(summary: Summary, tested: Sequence[HeadComparison]) -> str:
    """What is settled, what is not, and which head is the cheapest."""
    unsettled = names([item.other for item in _open(tested)])
    if not unsettled:
        return "Not decided: some heads have no finished runs to compare."
    better, _, equal = _settled(tested)
    margin = points(summary.file.study.verdict.margin)
    known = [f"beats {names(better)}"] if better else []
    known += [f"is at least as good as {names(equal)} within {margin}"] if equal else []
    sentence = "No head is shown to be better."
    if known:
        sentence = (
            f"{summary.reference} {' and '.join(known)}. Against {unsettled} no head is shown to "
            f"be better."
        )
    family = list(dict.fromkeys(head for pair in summary.file.study.family for head in pair))
    lightest = clearly_lightest(summary, family)
    fewer = fewer_parameters(summary, lightest, family) if lightest else ""
    return f"{sentence} {lightest} needs {fewer}." if fewer else sentence


def _may_be_chance(summary: Summary, tested: Sequence[HeadComparison]) -> str:
    """The largest lead that is open, how many seeds would settle it, and what validation says."""
    parts = []
    unsettled = [i for i in _open(tested) if seeds_may_help(summary, i)]
    if unsettled:
        item = largest_lead(unsettled)
        difference = item.comparison.difference
        mean = 100 * (difference.mean or 0.0)
        if round(mean, 1):
            ahead, behind = item.heads if mean > 0 else item.heads[::-1]
            parts.append(
                f"{ahead} was {abs(mean):.1f} points of {summary.metric} ahead of {behind} on "
                f"average, which may be chance. {_seeds_to_settle(summary, item)}".strip()
            )
    parts.append(best_of_all(summary))
    return _joined(*parts)


def _seeds_to_settle(summary: Summary, item: HeadComparison) -> str:
    """How many seeds a lead as large as this one takes; empty under a sequential design."""
    difference = item.comparison.difference
    if summary.looks is not None or not difference.sd or not difference.mean:
        return ""
    found = seeds_for_verdict(summary, item)
    if found is None:
        return f"It would take more than {MOST_SEEDS} seeds to settle a lead of that size."
    return (
        f"With a lead of that size about {found.number} seeds give the verdict that "
        f"{found.verdict}, with 80 % power."
    )


def _alike(summary: Summary, tested: Sequence[HeadComparison]) -> str:
    """Pairs whose two heads are one function, so that their difference is chance."""
    found = []
    for item in tested:
        if function := summary.file.same_function(*item.heads):
            apart = "" if any(_settled([item])) else ", and more seeds do not tell them apart"
            found.append(
                f"{item.first} and {item.other} are the same function, {function}: they differ in "
                f"their initial weights alone{apart}."
            )
    return " ".join(found)
