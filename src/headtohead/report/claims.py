"""The ledger → the five claims about its reference head, from records and evidence alone."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from headtohead.probes.base import read_session
from headtohead.probes.costs import COSTS
from headtohead.probes.speed import SPEED, Speed
from headtohead.probes.translation import TRANSLATION, Translation
from headtohead.report.desk import Desk
from headtohead.report.lags import lags, why_not_judged
from headtohead.report.pairs import Targets, targets_of
from headtohead.report.sight import class_map_question
from headtohead.stats import estimate
from headtohead.stats.claims import (
    BySeed,
    Claim,
    Goal,
    Pace,
    Question,
    Size,
    Unit,
    decide,
    faster,
    fewer_parameters,
    measure,
    pairs,
)
from headtohead.store.ledger import Ledger

COUNTED = ("parameters",)
"""Claims that rest on no evaluation: a head that lags has the parameters that it has."""


def claims_of(ledger: Ledger) -> tuple[Claim, ...]:
    """The five claims about the study's reference against the head it names; none for one head.

    Parameters, over-fitting, class maps, translation, speed, in this order. What is not there is
    said in rules and notes. Where evaluation of one of the two heads lags behind its weights, only
    what is counted is judged. Raises UsageError for records that do not belong to the study.
    """
    study = ledger.file.study
    against = study.claims_against
    if against is None:
        return ()
    desk = Desk.open(ledger, study.reference, against)
    questions = (_overfitting(desk), class_map_question(desk), _translation(desk))
    claims = (
        fewer_parameters(desk.reference, against, _sizes(desk)),
        *decide(questions, study.verdict.level),
        _speed(desk),
    )
    reason = why_not_judged((desk.reference, against), lags(desk.runs))
    return tuple(_trusted(claim, reason) for claim in claims)


def _trusted(claim: Claim, reason: str) -> Claim:
    """The claim, without its verdict where there is a reason to believe none."""
    if not reason or claim.name in COUNTED:
        return claim
    return dataclasses.replace(claim, outcome="not judged", rule=reason)


def _sizes(desk: Desk) -> dict[str, Size]:
    found = desk.evidence(COSTS)
    costs = {head: found[head, seed] for head, seed in reversed(list(found))}
    sizes = {}
    for result in reversed(desk.results):
        counts, cost = result.parameters, costs.get(result.head)
        sizes[result.head] = Size(
            head=counts.head,
            model=counts.total,
            multiply_adds_head=cost.multiply_adds_head if cost else None,
            multiply_adds=cost.multiply_adds if cost else None,
            weight_bytes=cost.weight_bytes if cost else None,
            activation_bytes=cost.activation_bytes if cost else None,
        )
    return {head: sizes[head] for head in desk.heads}


def _overfitting(desk: Desk) -> Question:
    gap = desk.by_seed((r.head, r.seed, r.metrics["last_overfit"]) for r in desk.finished)
    best = desk.by_seed((r.head, r.seed, r.metrics["best_overfit"]) for r in desk.finished)
    histories = {(run.record.head, run.record.seed): run.history for run in desk.runs}
    rises = desk.by_seed(
        (r.head, r.seed, history[-1].val_loss - min(epoch.val_loss for epoch in history))
        for r in desk.finished
        if (history := histories[r.head, r.seed])
    )
    return Question(
        name="overfitting",
        statement=f"{desk.reference} over-fits less than {desk.against}",
        tested=(
            f"training minus validation accuracy at the last epoch, {desk.against} minus "
            f"{desk.reference}"
        ),
        differences=pairs(gap, desk.against, desk.reference, desk.seeds),
        measures=(
            measure("training minus validation accuracy, last epoch", "points", gap),
            measure("training minus validation accuracy, best epoch", "points", best),
            measure("rise of the validation loss after its minimum", "nats", rises),
        ),
        notes=(
            *_at_odds(desk, gap, rises),
            *_controls(desk, gap),
        ),
    )


def _at_odds(desk: Desk, gap: BySeed, rises: BySeed) -> Iterator[str]:
    """Where the two measures of over-fitting name different heads."""
    gaps, risen = (
        pairs(values, desk.against, desk.reference, desk.seeds) for values in (gap, rises)
    )
    if not gaps or not risen:
        return
    by_gap, by_rise = (float(np.mean(list(found.values()))) for found in (gaps, risen))
    if by_gap * by_rise < 0:
        less, more = (
            (desk.reference, desk.against) if by_gap > 0 else (desk.against, desk.reference)
        )
        yield (
            f"The measures point in opposite directions: {less}'s accuracies lie closer together "
            f"(by {100 * abs(by_gap):.1f} points), but after its minimum its validation loss "
            f"rises more than {more}'s (by {abs(by_rise):.3f} nats)"
        )


def _controls(desk: Desk, gap: BySeed) -> Iterator[str]:
    """Every further head beside the reference, which tells pooling from few parameters."""
    level = desk.ledger.file.study.verdict.level
    for head in desk.heads:
        if head in (desk.reference, desk.against):
            continue
        found = estimate(
            list(pairs(gap, head, desk.reference, desk.paired_with(head)).values()), level
        )
        if found.mean is not None and found.low is not None and found.high is not None:
            yield (
                f"{head} minus {desk.reference}: {100 * found.mean:+.2f} points "
                f"({100 * (1 - level):g} % t interval {100 * found.low:+.2f} to "
                f"{100 * found.high:+.2f}, {found.n} seeds; an estimate, no verdict)"
            )


def _translation(desk: Desk) -> Question:
    found = desk.evidence(TRANSLATION)
    known = {run: moved for run, moved in found.items() if len(moved.rows)}

    def of(value: Callable[[Translation], float]) -> BySeed:
        return desk.by_seed((*run, value(moved)) for run, moved in known.items())

    steady = of(lambda moved: float(moved.steadiness[1:].mean()))
    rows: Sequence[tuple[str, Unit, Callable[[Translation], float]]] = (
        ("accuracy on the centre crop", "share", lambda m: float(m.accuracy[0])),
        (
            "accuracy in single-pixel steps, less the centre's",
            "points",
            lambda m: float(m.accuracy[m.fine][1:].mean() - m.accuracy[0]),
        ),
        (
            "accuracy in large steps, less the centre's",
            "points",
            lambda m: float(m.accuracy[~m.fine].mean() - m.accuracy[0]),
        ),
        (
            "agreement with the centre in single-pixel steps",
            "share",
            lambda m: float(m.agreement[m.fine][1:].mean()),
        ),
        (
            "agreement with the centre in large steps",
            "share",
            lambda m: float(m.agreement[~m.fine].mean()),
        ),
    )
    return Question(
        name="translation",
        statement=f"{desk.reference} is more robust to translation than {desk.against}",
        tested=(
            f"agreement with the centre crop beyond chance (Cohen's kappa), mean over all moved "
            f"windows, {desk.reference} minus {desk.against}"
        ),
        differences=pairs(steady, desk.reference, desk.against, desk.seeds),
        measures=(
            measure("agreement with the centre beyond chance, all windows", "share", steady),
            *(measure(name, unit, of(value)) for name, unit, value in rows),
        ),
        notes=desk.missing(found, "moved windows"),
    )


def _speed(desk: Desk) -> Claim:
    file = desk.ledger.file
    results = {head: [r for r in desk.results if r.head == head] for head in desk.heads}
    targets = targets_of(desk.ledger, desk.runs, results, desk.reference)
    goal = None
    if targets is not None and targets.heads:
        horizon = targets.heads[0].epochs.horizon
        majority = file.majority_share("validation")
        goal = Goal(targets.target, horizon, majority, targets.declared)
    level = file.study.verdict.level
    paces = paces_of(desk.ledger, targets)
    return faster(desk.reference, desk.against, paces, desk.seeds, goal, level)


def measured_speed(ledger: Ledger) -> Speed | None:
    """The speed session of this study's heads, or of those that have runs, where there is one."""
    return read_session(ledger, SPEED)


def paces_of(ledger: Ledger, targets: Targets | None) -> dict[str, Pace]:
    """Head → how fast it trains; empty without a speed session or a target."""
    speed = measured_speed(ledger)
    if speed is None or targets is None:
        return {}
    pictures = sum(ledger.file.counts["train"].values())
    paces = {}
    for item in targets.heads:
        recipe = ledger.file.study.recipe_for(item.head)
        place = speed.heads.index(item.head)
        paces[item.head] = Pace(
            step=speed.cpu[place] / speed.batch_size[place],
            wall=speed.wall[place] / speed.batch_size[place],
            epochs=dict(zip(item.seeds, item.epochs.values, strict=True)),
            reached=item.epochs.reached,
            pictures=recipe.batch(pictures) * recipe.steps(pictures),
        )
    return paces
