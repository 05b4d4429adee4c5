"""Two heads on the same seeds: their differences, and how sure these are."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from headtohead.analysis.learning import in_closed_form
from headtohead.analysis.run_results import METRICS, PRIMARY, RunResult
from headtohead.config.verdict import Metric
from headtohead.probes.predictions import Predictions, SplitPredictions
from headtohead.stats import DECIMALS, Estimate, estimate
from headtohead.stats.metrics import picture_scores, predictions
from headtohead.stats.over_images import Answers, PictureInterval, picture_interval
from headtohead.stats.targets import (
    Approach,
    TimeToTarget,
    horizons,
    reached,
    time_to_target,
)
from headtohead.store.ledger import Run, StudyFile
from headtohead.store.records import NUMERIC_ENVIRONMENT, with_kernels

TARGET_STEP = 0.05
MANY = 10
"""Heads above which a study is reported by its reference, its family and its best heads."""

Numbers: TypeAlias = NDArray[np.int64]
Scoring: TypeAlias = Metric | Literal["weighed"]
"""What an image counts for: see `headtohead.stats.metrics.picture_scores`."""


@dataclass(frozen=True)
class Pairing:
    """Two heads' runs of the same seeds. `flagged` seeds ran in unlike environments: no pair."""

    first: str
    second: str
    runs: Mapping[int, tuple[RunResult, RunResult]]
    flagged: Mapping[int, str]

    def scored(self) -> dict[int, float]:
        """Seed → first minus second on the primary metric, failed runs scored as they are."""
        return {
            seed: mine.scored - theirs.scored
            for seed, (mine, theirs) in self.runs.items()
            if mine.scored is not None and theirs.scored is not None
        }


@dataclass(frozen=True)
class PairEstimate:
    """Two heads on one metric, first minus second: estimates over seeds, no verdict.

    `metric` is a name of METRICS or of TARGET_METRICS, in its unit; runs that failed have no
    metrics and are left out, except of times to the target and of the primary metric: there they
    score as in comparisons. `pictures` is the interval over test images, for the primary metric
    alone.
    """

    metric: str
    first: str
    second: str
    over_seeds: Estimate
    pictures: PictureInterval | None


TARGET_METRICS = ("epochs_to_target", "seconds_to_target")


@dataclass(frozen=True)
class HeadTarget:
    """How long one head took to the target accuracy; `seeds` in the order of the values."""

    head: str
    seeds: tuple[int, ...]
    epochs: TimeToTarget
    seconds: TimeToTarget


@dataclass(frozen=True)
class Targets:
    """Times to one validation accuracy, `declared` in the study or taken from the reference."""

    target: float
    declared: bool
    heads: tuple[HeadTarget, ...]


def pairing(first: Sequence[RunResult], second: Sequence[RunResult]) -> Pairing:
    """The pairs of two heads' runs; both heads have at least one run."""
    mine, theirs = ({run.seed: run for run in runs} for runs in (first, second))
    runs: dict[int, tuple[RunResult, RunResult]] = {}
    flagged: dict[int, str] = {}
    for seed in sorted(mine.keys() & theirs.keys()):
        unlike = _environment_difference(mine[seed], theirs[seed])
        if unlike:
            flagged[seed] = unlike
        else:
            runs[seed] = mine[seed], theirs[seed]
    return Pairing(first[0].head, second[0].head, runs, flagged)


def _environment_difference(first: RunResult, second: RunResult) -> str:
    """What of the two environments differs and changes numbers, in words; empty for nothing."""
    mine, theirs = (with_kernels(run.environment) for run in (first, second))
    return ", ".join(
        f"{key} {mine.get(key, 'unknown')} and {theirs.get(key, 'unknown')}"
        for key in NUMERIC_ENVIRONMENT
        if mine.get(key) != theirs.get(key)
    )


@dataclass(frozen=True)
class TestAnswers:
    """Answers on the test split: (head, seed) → of a run, seed → of the majority class."""

    runs: Mapping[tuple[str, int], Answers]
    majority: Mapping[int, Answers]


def answers_on_test(
    file: StudyFile,
    results: Sequence[RunResult],
    known: Mapping[tuple[str, int], Predictions],
    metric: Scoring,
) -> TestAnswers:
    """Every run's answers at the best epoch, scored by `metric`; a failed run names the majority.

    A failed run answers on the images of another head's run of its seed, with the largest class
    there; where there is none, it has no answers.
    """
    found: dict[tuple[str, int], Answers] = {}
    labels: dict[int, SplitPredictions] = {}
    for run in results:
        read = known.get((run.head, run.seed))
        if read is None:
            continue
        labels[run.seed] = read.test
        if run.finished:
            named = predictions(read.test.best)
            found[run.head, run.seed] = answers_scored(
                read.test.rows, read.test.labels, named, len(file.classes), metric
            )
    majority = {
        seed: answers_scored(
            test.rows,
            test.labels,
            np.full_like(test.labels, int(np.argmax(np.bincount(test.labels)))),
            len(file.classes),
            metric,
        )
        for seed, test in labels.items()
    }
    for run in results:
        if not run.finished and run.seed in labels:
            found[run.head, run.seed] = majority[run.seed]
    return TestAnswers(found, majority)


def answers_scored(
    rows: Numbers, labels: Numbers, named: Numbers, classes: int, metric: Scoring
) -> Answers:
    """What predicting the classes `named` (n,) comes to by image; `labels` (n,) are the true."""
    correct = named == labels
    if metric == "test_accuracy":
        return Answers(rows, correct)
    return Answers(rows, correct, picture_scores(metric, named, labels, classes))


def answers_of(
    pair: Pairing, answers: Mapping[tuple[str, int], Answers]
) -> dict[int, tuple[Answers, Answers]]:
    """Seed → both heads' answers, for the seeds where both have some on the same images."""
    found = {}
    for seed in pair.scored():
        mine, theirs = (answers.get((head, seed)) for head in (pair.first, pair.second))
        if mine is not None and theirs is not None and np.array_equal(mine.rows, theirs.rows):
            found[seed] = mine, theirs
    return found


def estimates(
    file: StudyFile,
    heads: Mapping[str, Sequence[RunResult]],
    reference: str,
    answers: Mapping[tuple[str, int], Answers],
    groups: Mapping[int, int],
    targets: Targets | None,
) -> Iterator[PairEstimate]:
    """Every pair of heads on every metric, but for those that get a verdict.

    Of more than MANY heads there are hundreds of pairs: on the primary metric all of them are
    estimated, on other metrics the reference against each head and the family's pairs.
    """
    level, primary = file.study.verdict.level, PRIMARY[file.study.verdict.metric]
    family = set(map(frozenset, file.study.family))
    many = len(heads) > MANY
    names = sorted(heads, key=lambda name: name != reference)
    for first, second in itertools.combinations(names, 2):
        pair = pairing(heads[first], heads[second])
        decided = frozenset((first, second)) in family
        closely = not many or decided or first == reference
        for metric in METRICS if closely else (primary,):
            if metric != primary:
                over_seeds = estimate(_differences(pair, metric), level)
                yield PairEstimate(metric, first, second, over_seeds, None)
            elif not decided:
                over = picture_interval(answers_of(pair, answers), groups, level)
                yield PairEstimate(metric, first, second, estimate(_scored(pair), level), over)
        if targets is not None and closely:
            for metric in TARGET_METRICS:
                over_seeds = estimate(_time_differences(pair, targets, metric), level)
                yield PairEstimate(metric, first, second, over_seeds, None)


def _scored(pair: Pairing) -> list[float]:
    """On the primary metric; nothing of two heads of which no run is finished."""
    if not any(mine.finished or theirs.finished for mine, theirs in pair.runs.values()):
        return []
    return [round(value, DECIMALS) for value in pair.scored().values()]


def _differences(pair: Pairing, metric: str) -> list[float]:
    both = [
        (mine.metrics[metric], theirs.metrics[metric])
        for mine, theirs in pair.runs.values()
        if mine.finished and theirs.finished
    ]
    known = [a - b for a, b in both if a is not None and b is not None]
    return [round(value, DECIMALS) for value in known if math.isfinite(value)]


def _time_differences(pair: Pairing, targets: Targets, metric: str) -> list[float]:
    found = {item.head: item for item in targets.heads}
    if pair.first not in found or pair.second not in found:
        return []
    attribute = metric.removesuffix("_to_target")
    mine, theirs = (
        dict(zip(item.seeds, getattr(item, attribute).values, strict=True))
        for item in (found[pair.first], found[pair.second])
    )
    return [mine[seed] - theirs[seed] for seed in pair.runs]


def targets_of(
    file: StudyFile, runs: Sequence[Run], results: Mapping[str, Sequence[RunResult]]
) -> Targets | None:
    """Epochs and seconds of every head to the study's target accuracy; None without a target."""
    declared = file.study.verdict.target
    reference = results.get(file.study.reference, ())
    target = declared if declared is not None else _default_target(reference)
    histories = {(run.record.head, run.record.seed): run.history for run in runs}
    # They approach nothing, and their one epoch would cut all others short.
    computed = in_closed_form(file.study, results)
    results = {head: mine for head, mine in results.items() if head not in computed}
    approaches = {
        (run.head, run.seed): Approach(
            tuple(epoch.val_accuracy for epoch in histories[run.head, run.seed]),
            tuple(epoch.seconds for epoch in histories[run.head, run.seed]),
            failed=not run.finished,
        )
        for head in results.values()
        for run in head
    }
    limits = horizons(list(approaches.values()))
    if target is None or limits is None:
        return None
    found = []
    for head, mine in results.items():
        times = [reached(approaches[head, run.seed], target) for run in mine]
        epochs = time_to_target([time.epochs for time in times], limits[0])
        seconds = time_to_target([time.seconds for time in times], limits[1])
        if epochs is not None and seconds is not None:
            found.append(HeadTarget(head, tuple(run.seed for run in mine), epochs, seconds))
    return Targets(target, declared is not None, tuple(found))


def _default_target(reference: Sequence[RunResult]) -> float | None:
    """The reference's mean best validation accuracy, down to a multiple of 5 points."""
    best = [run.best.val_accuracy for run in reference if run.finished and run.best]
    if not best:
        return None
    return round(TARGET_STEP * math.floor(float(np.mean(best)) / TARGET_STEP + 1e-9), 2) or None
