"""The second claim: the reference over-fits less."""

from collections.abc import Iterator, Mapping, Sequence
from typing import final

import numpy as np

from headtohead.analysis.baseline import baseline_of
from headtohead.analysis.learning import ended_there
from headtohead.analysis.run_results import loss_rise
from headtohead.claims.base import ClaimFigure, Question, estimate_text, measure, pairs
from headtohead.core.text import counted
from headtohead.report.charts.curves import OVERFIT, curve_chart, tracks_of
from headtohead.stats import bounds, estimate
from headtohead.study_data import BySeed, StudyData


@final
class OverfittingClaim:
    """Training accuracy runs less far ahead of validation accuracy, at the last epoch."""

    name = "overfitting"

    def question(self, data: StudyData) -> Question:
        """The gap at the last epoch decides; the gap at the best one and the loss stand beside.

        A run that fits nothing has no gap, and says nothing of over-fitting: it gives no pair.
        """
        gap = data.by_seed((r.head, r.seed, r.metrics["last_overfit"]) for r in data.finished)
        best = data.by_seed((r.head, r.seed, r.metrics["best_overfit"]) for r in data.finished)
        histories = {(run.record.head, run.record.seed): run.history for run in data.runs}
        rises = data.by_seed(
            (r.head, r.seed, loss_rise(history))
            for r in data.finished
            if (history := histories[r.head, r.seed])
        )
        idle = _fits_nothing(data)
        seeds = [seed for seed in data.seeds if all(seed not in mine for mine in idle.values())]
        return Question(
            statement=f"{data.reference} over-fits less than {data.against}",
            tested=(
                f"training minus validation accuracy at the last epoch, {data.against} minus "
                f"{data.reference}"
            ),
            differences=pairs(gap, data.against, data.reference, seeds),
            measures=(
                measure("training minus validation accuracy, last epoch", "points", gap),
                measure("training minus validation accuracy, best epoch", "points", best),
                measure("rise of the validation loss after its minimum", "nats", rises),
            ),
            notes=(
                *_left_out(idle),
                *_at_odds(data, gap, rises),
                *_controls(data, gap),
            ),
        )

    def figure(self, data: StudyData) -> ClaimFigure:
        """The gap over epochs."""
        tracks = tracks_of(data)
        charts = (curve_chart(OVERFIT, tracks),) if tracks else ()
        return ClaimFigure(charts, anchor="#overfitting")


CLAIM = OverfittingClaim()


def _fits_nothing(data: StudyData) -> dict[str, list[int]]:
    """The two heads → the seeds at which they end as always predicting the largest class."""
    found = baseline_of(data.file)
    return {
        head: [run.seed for run in data.by_head.get(head, ()) if ended_there(run, found)]
        for head in (data.reference, data.against)
    }


def _left_out(idle: Mapping[str, Sequence[int]]) -> Iterator[str]:
    for head, seeds in idle.items():
        if seeds:
            yield (
                f"Left out, {head} ends at the largest class and fits nothing that it could "
                f"over-fit: seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
            )


def _at_odds(data: StudyData, gap: BySeed, rises: BySeed) -> Iterator[str]:
    """Where the two measures of over-fitting name different heads."""
    gaps, risen = (
        pairs(values, data.against, data.reference, data.seeds) for values in (gap, rises)
    )
    if not gaps or not risen:
        return
    by_gap, by_rise = (  # as they are told below: what is 0.000 there points nowhere
        round(unit * float(np.mean(list(found.values()))), decimals)
        for found, unit, decimals in ((gaps, 100, 1), (risen, 1, 3))
    )
    if by_gap * by_rise < 0:
        less, more = (
            (data.reference, data.against) if by_gap > 0 else (data.against, data.reference)
        )
        yield (
            f"On average over {counted(len(gaps), 'seed')} the measures point in opposite "
            f"directions: {less}'s accuracies lie closer together (by {abs(by_gap):.1f} "
            f"points), but after its minimum its validation loss rises more than {more}'s (by "
            f"{abs(by_rise):.3f} nats)"
        )


def _controls(data: StudyData, gap: BySeed) -> Iterator[str]:
    """Every further head beside the reference, which tells pooling from few parameters."""
    level = data.study.verdict.level
    for head in data.heads:
        if head in (data.reference, data.against):
            continue
        found = estimate(
            list(pairs(gap, head, data.reference, data.paired_with(head)).values()), level
        )
        if bounds(found):
            yield (
                f"Over-fitting of {head} minus that of {data.reference}: "
                f"{estimate_text(found)}; an estimate, no verdict"
            )
