"""The ledger's runs → one frozen summary: every number that the tables and reports show."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headtohead.analysis.baseline import Baseline, Standing, baseline_of, standings
from headtohead.analysis.learning import fitted, in_closed_form, seeds_that_stayed, untrained
from headtohead.analysis.pairs import PairEstimate, Targets, estimates
from headtohead.analysis.run_results import IN_WORDS, METRICS, RunResult
from headtohead.core.errors import UsageError
from headtohead.report.comparisons import HeadComparison, comparisons_of, most_seeds
from headtohead.report.notes import (
    change_notes,
    early_notes,
    label_notes,
    learning_notes,
    picture_notes,
    run_notes,
    state_notes,
    training_notes,
)
from headtohead.stats import Lag, Spread, seeds_needed, spread
from headtohead.store.ledger import StudyFile
from headtohead.store.looks import LooksRecord
from headtohead.store.picture_table import PictureTable
from headtohead.store.records import EpochRecord, Parameters
from headtohead.study_data import StudyData


@dataclass(frozen=True)
class HeadResult:
    """One head over its finished runs: `spreads` has every name of METRICS."""

    head: str
    parameters: Parameters
    runs: tuple[RunResult, ...]
    spreads: Mapping[str, Spread | None]

    @property
    def finished(self) -> int:
        """How many runs came to their end."""
        return sum(run.finished for run in self.runs)


@dataclass(frozen=True)
class Winner:
    """The head chosen on validation, over `seeds`, and the seed of it that ships."""

    head: str
    seed: int
    validation: float
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Summary:
    """Everything a study's ledger says by now.

    `comparisons` get verdicts, `estimates` are other pairs and metrics and get none. `looks`
    is the sequential design that the study follows, with the looks taken. `leaks` counts groups of
    near-duplicates that lie in more than one split, of the first seed's; None where not known.
    `lags` has the heads whose evaluation lags behind their weights, so that they are not judged.
    `baseline` is always predicting the largest class, and `standings` each head against it.
    """

    file: StudyFile
    heads: tuple[HeadResult, ...]
    unfinished: tuple[tuple[str, int], ...]
    winner: Winner | None
    reference: str
    comparisons: tuple[HeadComparison, ...]
    seeds_needed: int
    looks: LooksRecord | None
    targets: Targets | None
    estimates: tuple[PairEstimate, ...]
    leaks: int | None
    notes: tuple[str, ...]
    lags: Mapping[str, Lag]
    baseline: Baseline
    standings: tuple[Standing, ...]

    @property
    def metric(self) -> str:
        """What verdicts are about, in words: `test accuracy`."""
        return IN_WORDS[self.file.study.verdict.metric]

    @property
    def chance(self) -> str:
        """What always predicting the largest class scores, where heads are compared with it."""
        if self.file.study.verdict.metric == "test_accuracy":
            return f"{100 * self.baseline.test:.1f} %"
        return f"{100 * self.baseline.balanced:.1f} % balanced accuracy"

    @property
    def at_majority(self) -> list[str]:
        """Heads that are not shown to beat the largest class; those that lag say nothing of it."""
        return [
            found.head
            for found in self.standings
            if found.beats is False and found.head not in self.lags
        ]

    @property
    def stuck(self) -> list[str]:
        """Those of which every finished run stayed at the largest class, on all splits."""
        aside = [*self.lags, *self.untrained]
        found = seeds_that_stayed(
            self._by_head, self.baseline, self.file.study.verdict.metric, aside
        )
        finished = {head.head: head.finished for head in self.heads}
        return [h for h in self.at_majority if len(found.get(h, ())) == finished[h]]

    @property
    def untrained(self) -> list[str]:
        """Heads of which nothing is trained, on a backbone that others train."""
        return untrained(self.file.study, self._by_head)

    @property
    def _by_head(self) -> dict[str, Sequence[RunResult]]:
        return {head.head: head.runs for head in self.heads}

    @property
    def nothing_learned(self) -> bool:
        """No head beats the largest class, and evaluation that lags hides none that might."""
        known = [found for found in self.standings if found.beats is not None]
        return bool(known) and not self.lags and not any(found.beats for found in known)

    @property
    def level_with_winner(self) -> list[str]:
        """Heads that do as well on validation as the one chosen; none has fewer parameters."""
        winner = self.winner
        if winner is None:
            return []
        others = [head for head in self.heads if head.finished and head.head != winner.head]
        best, seeds = unrounded(winner.validation), winner.seeds
        return [head.head for head in others if unrounded(validation(head, seeds)) == best]

    def won(self, head: str) -> bool:
        """Whether `head` is the one chosen on validation."""
        return self.winner is not None and self.winner.head == head

    def few_seeds(self, items: Sequence[HeadComparison]) -> bool:
        """Whether no comparison of these has the seeds that a verdict takes; looks need fewer."""
        return most_seeds(items) < self.seeds_needed and self.looks is None

    def is_looked_at(self, item: HeadComparison) -> bool:
        """Whether the pair is the one that the study's sequential design decides, by its metric."""
        looks, asked = self.looks, (*item.heads, self.file.study.verdict.metric)
        return looks is not None and asked == (looks.reference, looks.other, looks.metric)

    def unmeasured(self, item: HeadComparison) -> bool:
        """Whether nothing was measured of either head: all their runs failed."""
        return set(item.heads) <= set(self.failed)

    @property
    def failed(self) -> list[str]:
        """Heads with runs that are over, all of which failed: nothing was measured of them."""
        return [head.head for head in self.heads if not head.finished]

    @property
    def in_closed_form(self) -> list[str]:
        """Heads that are computed in one pass, not trained in epochs."""
        return in_closed_form(self.file.study, self._by_head)

    @property
    def fitted(self) -> dict[str, float]:
        """Heads that classify nearly all their training images correctly, and how many."""
        return fitted(self._by_head, self.baseline)

    @property
    def runs(self) -> list[RunResult]:
        """All runs that are over, head by head in the study's order."""
        return [run for head in self.heads for run in head.runs]

    @property
    def planned(self) -> int:
        """How many runs the study has when none is unfinished; looks may add more."""
        return len(self.runs) + len(self.unfinished)


def summarize(data: StudyData) -> Summary:
    """Everything the study's records and evidence say.

    Raises UsageError for records that do not belong to the study, as `Ledger.run` does, and for a
    ledger of trials.
    """
    file = data.file
    if file.tunes is not None:
        raise UsageError(
            f"{data.out} holds the trials of a search, no study to report: see tuning.md in the "
            f"folder above, and `headtohead compare` tuned.yaml there."
        )
    heads = tuple(_head_result(name, mine) for name, mine in data.by_head.items())
    looks, images, lagging = data.looks, data.image_table, data.lags
    unfinished = _unfinished(file, data.results, looks)
    groups = images.shared_groups() if images is not None else {}
    answers, level = data.answers, file.study.verdict.level
    standing = _standings(data, heads, groups)
    idle = [found.head for found in standing if found.beats is False]
    comparisons = comparisons_of(file, data.by_head, answers.runs, groups, looks, lagging, idle)
    leaks = _leaks(file, images)
    return Summary(
        file=file,
        heads=heads,
        unfinished=unfinished,
        winner=_winner(heads),
        reference=data.reference,
        comparisons=comparisons,
        seeds_needed=seeds_needed(len(file.study.family), level),
        looks=looks,
        targets=data.targets,
        estimates=tuple(
            estimates(file, data.by_head, data.reference, answers.runs, groups, data.targets)
        ),
        leaks=leaks,
        notes=tuple(_notes(data, heads, unfinished, comparisons, leaks)),
        lags=lagging,
        baseline=baseline_of(file),
        standings=standing,
    )


def _standings(
    data: StudyData, heads: Sequence[HeadResult], groups: Mapping[int, int]
) -> tuple[Standing, ...]:
    """Each head against the largest class; one without a finished run has no guesses."""
    able = {head.head for head in heads if head.finished}
    guesses = {run: found for run, found in data.guesses.runs.items() if run[0] in able}
    level = data.study.verdict.level
    return standings(data.heads, guesses, data.guesses.majority, groups, level)


def _notes(
    data: StudyData,
    heads: Sequence[HeadResult],
    unfinished: tuple[tuple[str, int], ...],
    comparisons: tuple[HeadComparison, ...],
    leaks: int | None,
) -> Iterator[str]:
    """What a reader must know of the runs, their training, the labels and the images."""
    file, ordered = data.file, [run for head in heads for run in head.runs]
    yield from change_notes(data.late_changes)
    yield from run_notes(data)
    yield from state_notes(file, ordered, unfinished, comparisons)
    yield from early_notes(unfinished, comparisons, data.looks)
    yield from training_notes(file, ordered, data.lags)
    yield from learning_notes(file, data.by_head, data.lags)
    yield from label_notes(file)
    yield from picture_notes(file, comparisons, data.image_table is not None, leaks)


def _leaks(file: StudyFile, pictures: PictureTable | None) -> int | None:
    """As the study's file says; an older one leaves it to `pictures.csv`."""
    if file.leaks is not None or pictures is None:
        return file.leaks
    return pictures.divided()


def _unfinished(
    file: StudyFile, results: Sequence[RunResult], looks: LooksRecord | None
) -> tuple[tuple[str, int], ...]:
    """What was planned and is not over.

    Seeds that looks added are planned for two heads alone, which have those up to the next look,
    or the last, unless the latest command asked for no look.
    """
    done = {(run.head, run.seed) for run in results}
    study = file.study
    planned = dict.fromkeys(study.heads, study.seeds if looks is None else looks.seeds)
    if looks is not None:
        last = looks.next_look or looks.taken[-1].n
        pairs = study.seeds if study.verdict.until_decided is None else last
        planned |= {head: pairs for head in (looks.reference, looks.other) if head in planned}
    return tuple(
        (head, seed)
        for seed in range(max(planned.values()))
        for head in study.heads
        if seed < planned[head] and (head, seed) not in done
    )


def _head_result(head: str, runs: Sequence[RunResult]) -> HeadResult:
    spreads: dict[str, Spread | None] = {}
    for name in METRICS:
        values = (run.metrics[name] for run in runs if run.finished)
        spreads[name] = spread([value for value in values if value is not None])
    return HeadResult(head, runs[0].parameters, tuple(runs), spreads)


def _winner(heads: Sequence[HeadResult]) -> Winner | None:
    """Highest mean best validation accuracy, then fewer parameters, then the study's order.

    Over the seeds that all heads have, so that a head with fewer runs is not judged on easier
    seeds (on each head's own where they share none). A failed run counts as the largest class does.
    """
    able = [head for head in heads if any(run.finished and run.best for run in head.runs)]
    if not able:
        return None
    shared = set.intersection(*({run.seed for run in head.runs} for head in able))
    means = {head.head: validation(head, shared) for head in able}
    head = min(able, key=lambda head: (-unrounded(means[head.head]), head.parameters.total))
    best = shipped(head)
    assert best is not None  # noqa: S101 - `able` heads have one
    seeds = shared or {run.seed for run in head.runs}
    return Winner(head.head, best.seed, means[head.head], tuple(sorted(seeds)))


def shipped(head: HeadResult) -> RunResult | None:
    """The head's finished run that is best on validation; None where there is none."""
    found: RunResult | None = None
    for run in head.runs:
        before = found.best if found else None
        if run.finished and run.best and (before is None or _better(run.best, before)):
            found = run
    return found


def validation(head: HeadResult, seeds: Collection[int]) -> float:
    """Mean best validation accuracy over `seeds`, over all of the head's where they are none.

    A failed run counts as the largest class does.
    """
    runs = [run for run in head.runs if not seeds or run.seed in seeds]
    return float(
        np.mean([run.scored_validation for run in runs if run.scored_validation is not None])
    )


def unrounded(mean: float) -> float:
    """Without the rounding of an addition, which depends on the order of the seeds."""
    return round(mean, 9)


def _better(mine: EpochRecord, other: EpochRecord) -> bool:
    """Between seeds the epoch's number says nothing: the earlier seed keeps a tie."""
    return (mine.val_accuracy, -mine.val_loss) > (other.val_accuracy, -other.val_loss)
