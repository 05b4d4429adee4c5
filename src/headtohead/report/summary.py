"""The ledger's runs → one frozen summary: every number that the tables and reports show."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headtohead.analysis.statistics import Spread, seeds_needed, spread
from headtohead.errors import UsageError
from headtohead.models.constants import BATCH_NORM_MOMENTUM
from headtohead.records import EpochRecord, Parameters
from headtohead.report.comparisons import HeadComparison, comparisons_of
from headtohead.report.pairs import (
    PairEstimate,
    Targets,
    answers_on_test,
    estimates,
    targets_of,
)
from headtohead.report.results import METRICS, RunResult, run_result
from headtohead.study.ledger import Ledger, StudyFile
from headtohead.study.looks import LooksRecord, read_looks
from headtohead.study.pictures import read_pictures

UNSETTLED = 0.01
"""Share of the initial values in batch norm's moving averages above which a note is due."""

__all__ = ["HeadComparison", "HeadResult", "Summary", "Winner", "reference_of", "summarize"]


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

    `comparisons` get verdicts, `estimates` are every other pair and metric and get none. `looks`
    is the sequential design that the study follows, with the looks taken.
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
    notes: tuple[str, ...]

    @property
    def runs(self) -> list[RunResult]:
        """All runs that are over, head by head in the study's order."""
        return [run for head in self.heads for run in head.runs]


def summarize(ledger: Ledger) -> Summary:
    """Everything the ledger says, from its records and evidence alone.

    Raises UsageError for records that do not belong to the study, as `Ledger.run` does, and for a
    ledger of trials.
    """
    file = ledger.file
    if file.tunes is not None:
        raise UsageError(
            f"{ledger.out} holds the trials of a search, no study to report: see tuning.md in the "
            f"folder above, and `headtohead compare` tuned.yaml there."
        )
    runs = ledger.runs()
    results = [run_result(ledger, run) for run in runs]
    every = {name: [r for r in results if r.head == name] for name in file.study.heads}
    grouped = {name: mine for name, mine in every.items() if mine}
    heads = tuple(_head_result(name, mine) for name, mine in grouped.items())
    looks = read_looks(ledger.out)
    unfinished = _unfinished(file, results, looks)
    reference = reference_of(file)
    pictures = read_pictures(ledger.out)
    groups = pictures.shared_groups() if pictures is not None else {}
    answers = answers_on_test(ledger, results)
    comparisons = comparisons_of(file, grouped, answers, groups, looks)
    targets = targets_of(ledger, runs, grouped, reference)
    return Summary(
        file=file,
        heads=heads,
        unfinished=unfinished,
        winner=_winner(heads),
        reference=reference,
        comparisons=comparisons,
        seeds_needed=seeds_needed(len(file.study.heads) - 1, file.study.verdict.level),
        looks=looks,
        targets=targets,
        estimates=tuple(estimates(ledger, grouped, reference, answers, groups, targets)),
        notes=(
            *_notes(file, heads, unfinished, reference, comparisons),
            *_picture_notes(file, comparisons, pictures is not None),
        ),
    )


def reference_of(file: StudyFile) -> str:
    """The head that others are compared with: the study's, else `gap`, else the first.

    Never one chosen by results.
    """
    return file.study.reference


def _unfinished(
    file: StudyFile, results: Sequence[RunResult], looks: LooksRecord | None
) -> tuple[tuple[str, int], ...]:
    """What was planned and is not over. Seeds that looks added are planned for two heads alone."""
    done = {(run.head, run.seed) for run in results}
    pair = {looks.reference, looks.other} if looks else set()
    base = looks.seeds if looks else file.study.seeds
    return tuple(
        (head, seed)
        for seed in range(file.study.seeds)
        for head in file.study.heads
        if (head, seed) not in done and (seed < base or head in pair)
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
    seeds (on each head's own where they share none). A failed run counts as the majority share.
    """
    able = [head for head in heads if any(run.finished and run.best for run in head.runs)]
    if not able:
        return None
    shared = set.intersection(*({run.seed for run in head.runs} for head in able))
    means = {head.head: _validation(head, shared) for head in able}
    head = min(able, key=lambda head: (-means[head.head], head.parameters.total))
    shipped: RunResult | None = None
    for run in head.runs:
        before = shipped.best if shipped else None
        if run.finished and run.best and (before is None or _better(run.best, before)):
            shipped = run
    assert shipped is not None  # noqa: S101 - `able` heads have one
    seeds = shared or {run.seed for run in head.runs}
    return Winner(head.head, shipped.seed, means[head.head], tuple(sorted(seeds)))


def _validation(head: HeadResult, seeds: set[int]) -> float:
    runs = [run for run in head.runs if not seeds or run.seed in seeds]
    return float(
        np.mean([run.scored_validation for run in runs if run.scored_validation is not None])
    )


def _better(mine: EpochRecord, other: EpochRecord) -> bool:
    """Between seeds the epoch's number says nothing: the earlier seed keeps a tie."""
    return (mine.val_accuracy, -mine.val_loss) > (other.val_accuracy, -other.val_loss)


def _picture_notes(
    file: StudyFile, comparisons: Sequence[HeadComparison], grouped: bool
) -> Iterator[str]:
    """What intervals over pictures, and seeds that share pictures, cannot say."""
    if not any(item.pictures for item in comparisons):
        return
    if file.study.split.mode == "per-seed":
        yield (
            "Pictures are split anew for each seed, so that one seed's test pictures train other "
            "seeds' networks: neither interval says what other photographs would give, the one "
            "over seeds is likely too short for that (Nadeau & Bengio 2003), and the one over "
            "pictures takes the networks as they are."
        )
    if not grouped:
        yield (
            "No pictures.csv: intervals over pictures take every picture as its own, near-"
            "duplicates too. The command that made the study writes it."
        )


def few_steps(file: StudyFile) -> Iterator[str]:
    """Where training is too short for batch norm's moving averages to have settled."""
    pictures = sum(file.counts["train"].values())
    heads: dict[int, list[str]] = {}
    for head in file.study.heads:
        recipe = file.study.recipe_for(head)
        steps = recipe.epochs * recipe.steps(pictures)
        heads.setdefault(steps, []).append(head)
    for steps, names in heads.items():
        left = BATCH_NORM_MOMENTUM**steps
        if left > UNSETTLED:
            yield (
                f"Few steps: {steps:,} of them ({', '.join(names)}) leave {100 * left:.0f} % of "
                f"batch norm's moving averages (momentum {BATCH_NORM_MOMENTUM}) where they began, "
                f"so that evaluation lags behind training. Give more epochs or a smaller batch "
                f"size."
            )


def _precisions(file: StudyFile) -> Iterator[str]:
    """Where a verdict is one about another arithmetic than float32."""
    heads: dict[str, list[str]] = {}
    for head in file.study.heads:
        heads.setdefault(file.study.recipe_for(head).arithmetic, []).append(head)
    for precision, names in heads.items():
        if precision != "float32":
            yield (
                f"Trained in {precision}: {', '.join(names)}. Verdicts are about networks trained "
                f"so; the networks are evaluated in float32."
            )


def _notes(
    file: StudyFile,
    heads: Sequence[HeadResult],
    unfinished: Sequence[tuple[str, int]],
    reference: str,
    comparisons: Sequence[HeadComparison],
) -> Iterator[str]:
    """What a reader of the numbers must know about them."""
    runs = [run for head in heads for run in head.runs]
    if not any(run.finished for run in runs):
        yield "No run is finished yet: there is nothing to compare."
    share = 100 * file.majority_share("test")
    for run in runs:
        if run.failure is not None:
            yield (
                f"{run.head} seed {run.seed} failed: {run.failure}. Means leave it out; in "
                f"comparisons it counts as the majority class's share, {share:.1f} % of the test "
                f"split."
            )
    yield from few_steps(file)
    yield from _precisions(file)
    if unfinished:
        yield f"Unfinished: {_by_head(unfinished)}. The same command again goes on with them."
    silent = [(run.head, run.seed) for run in runs if run.finished and run.test_best is None]
    if silent:
        yield f"No predictions on the test split: {_by_head(silent)}. Their test metrics show –."
    for item in comparisons:
        for unlike in dict.fromkeys(item.flagged.values()):
            seeds = [seed for seed, found in item.flagged.items() if found == unlike]
            yield (
                f"{reference} and {item.other} are no pair at {_seeds(seeds)}: they ran in "
                f"different environments ({unlike})."
            )
    if runs and len(file.study.heads) > 1 and reference not in {run.head for run in runs}:
        yield f"No comparison: the reference {reference} has no run yet."


def _by_head(pairs: Sequence[tuple[str, int]]) -> str:
    """`fc seeds 0–2, 5; gap seed 1`."""
    found: dict[str, list[int]] = {}
    for head, seed in pairs:
        found.setdefault(head, []).append(seed)
    return "; ".join(f"{head} {_seeds(seeds)}" for head, seeds in found.items())


def _seeds(seeds: Sequence[int]) -> str:
    """`seeds 0–2, 5`: seeds in order, neighbours joined."""
    ranges: list[list[int]] = []
    for seed in sorted(seeds):
        if ranges and seed == ranges[-1][-1] + 1:
            ranges[-1].append(seed)
        else:
            ranges.append([seed])
    parts = (f"{r[0]}" if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in ranges)
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(parts)}"
