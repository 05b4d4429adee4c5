"""What a reader of a study's numbers must know about them: the notes of page, file and terminal."""

from collections.abc import Iterator, Sequence

import numpy as np

from headtohead.backbones.constants import BATCH_NORM_MOMENTUM
from headtohead.report.comparisons import HeadComparison
from headtohead.report.results import RunResult
from headtohead.store.ledger import Ledger, Run, StudyFile

UNSETTLED = 0.01
"""Share of the initial values in batch norm's moving averages above which a note is due."""

LAG = 0.03
"""How far running training accuracy may exceed the evaluated one: sampling noise does so much."""


def state_notes(
    file: StudyFile,
    runs: Sequence[RunResult],
    unfinished: Sequence[tuple[str, int]],
    comparisons: Sequence[HeadComparison],
) -> Iterator[str]:
    """What is missing, what failed, and which pairs are none."""
    reference = file.study.reference
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


def run_notes(ledger: Ledger, runs: Sequence[Run]) -> Iterator[str]:
    """Runs that are not what they were, or not all of one thing."""
    for head, seed, why in ledger.damaged():
        yield f"{head} seed {seed} is left out: {why}. `headtohead compare` trains it again."
    for head in ledger.file.study.heads:
        sources = {run.record.source for run in runs if run.record.head == head}
        if len(sources) > 1:
            yield (
                f"The runs of {head} are of {len(sources)} versions of its source (or of one that "
                f"was not recorded): its means mix them. `headtohead compare --retrain-changed` "
                f"trains them again."
            )


def training_notes(file: StudyFile, runs: Sequence[Run]) -> Iterator[str]:
    """What training did that the numbers alone do not say."""
    yield from few_steps(file)
    yield from _lags(runs)
    yield from _precisions(file)
    for name, head in file.study.heads.items():
        if head.after is not None:
            yield (
                f"{name} starts from the backbone that {head.after} left: what is said of it "
                f"against other heads mixes the head with that head start."
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


def lags(runs: Sequence[Run]) -> dict[str, tuple[float, float]]:
    """Head → its running and its evaluated training accuracy, where the running one is far ahead.

    Both at the last epoch, means over finished runs. Weights that move, augmentation and dropout
    all lower the running one, so that little but evaluation that lags makes it the larger one.
    """
    last: dict[str, list[tuple[float, float]]] = {}
    for run in runs:
        if run.record.status == "finished" and run.history:
            epoch = run.history[-1]
            last.setdefault(run.record.head, []).append((epoch.accuracy, epoch.train_accuracy))
    means = {head: np.mean(values, axis=0).tolist() for head, values in last.items()}
    return {
        head: (running, evaluated)
        for head, (running, evaluated) in means.items()
        if running - evaluated > LAG
    }


def _lags(runs: Sequence[Run]) -> Iterator[str]:
    found = lags(runs)
    if found:
        told = "; ".join(
            f"{head} {100 * running:.1f} % as it trains, {100 * evaluated:.1f} % evaluated, "
            f"{100 * (running - evaluated):.1f} points less"
            for head, (running, evaluated) in found.items()
        )
        yield (
            f"Evaluation is not settled. Accuracy on training pictures at the last epoch, mean "
            f"over seeds: {told}. Batch norm evaluates with moving averages (momentum "
            f"{BATCH_NORM_MOMENTUM}), and they lag behind weights that still move fast. "
            f"Over-fitting and numbers of the last epoch show this lag too, and the best epoch "
            f"is chosen among noisy ones. More epochs or a smaller learning rate help."
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


def picture_notes(
    file: StudyFile, comparisons: Sequence[HeadComparison], grouped: bool, leaks: int | None
) -> Iterator[str]:
    """What splits and intervals over pictures cannot say; `grouped` where pictures.csv is there."""
    if leaks:
        groups = "1 group" if leaks == 1 else f"{leaks:,} groups"
        yield (
            f"{groups} of near-identical pictures lie in more than one split, as the source gave "
            f"them: accuracy on such pictures is partly memory. `headtohead data check` lists "
            f"them."
        )
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
