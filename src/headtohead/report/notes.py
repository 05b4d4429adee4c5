"""What a reader of a study's numbers must know about them: the notes of page, file and terminal."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from headtohead.analysis.baseline import baseline_of
from headtohead.analysis.lags import lags_note
from headtohead.analysis.learning import room, seeds_that_stayed, untrained
from headtohead.analysis.run_results import IN_WORDS, RunResult
from headtohead.backbones.constants import BATCH_NORM_MOMENTUM
from headtohead.config.verdict import Metric
from headtohead.core.text import counted, names
from headtohead.report.comparisons import HeadComparison
from headtohead.stats import Lag
from headtohead.store.changes import LateChange
from headtohead.store.ledger import StudyFile
from headtohead.store.looks import LooksRecord
from headtohead.study_data import StudyData

UNSETTLED = 0.01
"""Share of the initial values in batch norm's moving averages above which a note is due."""


def state_notes(
    file: StudyFile,
    runs: Sequence[RunResult],
    unfinished: Sequence[tuple[str, int]],
    comparisons: Sequence[HeadComparison],
) -> Iterator[str]:
    """What is missing, what failed, and which pairs are none."""
    reference = file.study.reference
    if not any(run.finished for run in runs):
        why = "finished: every run failed. There" if runs else "is finished yet: there"
        yield f"No run {why} is nothing to compare."
    yield from _failures(runs, file.study.verdict.metric)
    if runs and file.study.split.mode == "per-seed":
        yield (
            "Each seed has a split of its own. The largest class is shown for the split of seed 0. "
            "A failed run is scored by its own seed's split where another head has predictions "
            "for that seed, and by that of seed 0 where none has."
        )
    if unfinished:
        yield f"Unfinished: {runs_by_head(unfinished)}. Run the same command to resume."
    silent = [(run.head, run.seed) for run in runs if run.finished and run.test_best is None]
    if silent:
        told = runs_by_head(silent)
        yield f"No predictions on the test split: {told}. Their test metrics show –."
    for item in comparisons:
        for unlike in dict.fromkeys(item.flagged.values()):
            seeds = [seed for seed, found in item.flagged.items() if found == unlike]
            yield (
                f"{item.first} and {item.other} are not compared at {_seeds(seeds)}: they ran "
                f"in different environments ({unlike})."
            )
    if runs and len(file.study.heads) > 1 and reference not in {run.head for run in runs}:
        yield f"No comparison: the reference {reference} has no run yet."


def early_notes(
    unfinished: Sequence[tuple[str, int]],
    comparisons: Sequence[HeadComparison],
    looks: LooksRecord | None,
) -> Iterator[str]:
    """That verdicts rest on part of what was planned."""
    todo = {head for head, _ in unfinished}
    if looks is not None:
        if todo and looks.next_look is not None:
            yield (
                "The claims are tested once, when the sequential design has come to its end: "
                "what is said of them by now is early."
            )
        return
    found = [item.comparison for item in comparisons if todo.intersection(item.heads)]
    outcomes = {verdict.outcome for one in found for verdict in (one.better, one.not_worse)}
    if outcomes & {"supported", "refuted"}:
        yield (
            "Verdicts rest on the pairs that are finished, not on all that were planned: stopping "
            "because of them makes false verdicts more frequent."
        )


def _failures(runs: Sequence[RunResult], metric: Metric) -> Iterator[str]:
    """A note for each head and reason: a large study has many failed runs."""
    alike: dict[tuple[str, float, str], list[RunResult]] = {}
    for run in runs:
        if run.failure is not None:
            reason = run.failure.partition(" (")[0]
            alike.setdefault((run.head, run.scored or 0.0, reason), []).append(run)
    for (head, scored, _), failed in alike.items():
        share = 100 * scored
        counts = f"as the majority class's share, {share:.1f} % of the test split"
        if metric != "test_accuracy":
            counts = f"as always predicting the largest class: {share:.1f} % {IN_WORDS[metric]}"
        why = str(failed[0].failure)
        if len(failed) > 1:
            why = why.replace(" (", f" (seed {failed[0].seed}: ", 1)
        yield (
            f"{head} failed with {_seeds([run.seed for run in failed])}: {why}. Left out of means; "
            f"in comparisons {'it' if len(failed) == 1 else 'each'} counts {counts}."
        )


def run_notes(data: StudyData) -> Iterator[str]:
    """Runs that are not what they were, or not all of one thing."""
    for head, seed, why in data.damaged:
        yield f"{head} seed {seed} is left out: {why}. `headtohead compare` trains it again."
    for head in data.study.heads:
        sources = {run.record.source for run in data.runs if run.record.head == head}
        if len(sources) > 1:
            yield (
                f"The runs of {head} are of {len(sources)} versions of its source (or of one that "
                f"was not recorded): its means mix them. `headtohead compare --retrain-changed` "
                f"trains them again."
            )


def change_notes(changes: Sequence[LateChange]) -> Iterator[str]:
    """What of the design was not the first one, though verdicts could be seen by that."""
    seeds = [change.seeds for change in changes if change.seeds is not None]
    if seeds:
        told = ", then ".join(map(str, (seeds[0][0], *(after for _, after in seeds))))
        yield (
            f"Seeds were added after the runs could give verdicts: {told}. Where someone had "
            f"looked at the results, false verdicts are more frequent than the level says."
        )
    values: dict[str, list[str]] = {}
    for change in changes:
        for name, (before, after) in change.rules.items():
            values.setdefault(name, [before]).append(after)
    if values:
        told = "; ".join(f"{name} {', then '.join(known)}" for name, known in values.items())
        yield (
            f"The rule was changed after the runs could give verdicts: {told}. Whoever has seen "
            f"verdicts by one rule and takes another has tested twice."
        )


def training_notes(
    file: StudyFile, runs: Sequence[RunResult], lags: Mapping[str, Lag]
) -> Iterator[str]:
    """What training did that the numbers alone do not say.

    Too few steps are a forecast: once a head has finished runs, `lags` has what came of them.
    """
    yield from unsettled_averages(file, {run.head for run in runs if run.finished})
    if lags:
        yield lags_note(lags)
    yield from _precisions(file)
    for name, head in file.study.heads.items():
        if head.after is not None:
            yield (
                f"{name} starts from the backbone that {head.after} left: what is said of it "
                f"against other heads mixes the head with that head start."
            )


def learning_notes(
    file: StudyFile, by_head: Mapping[str, Sequence[RunResult]], lags: Collection[str]
) -> Iterator[str]:
    """Single runs that stayed at the largest class, and heads of which nothing is trained.

    Of a head all of whose runs stayed the headline tells.
    """
    still = untrained(file.study, by_head)
    found, metric = baseline_of(file), file.study.verdict.metric
    for head, seeds in seeds_that_stayed(by_head, found, metric, [*lags, *still]).items():
        finished = sum(run.finished for run in by_head[head])
        if len(seeds) < finished:
            near = counted(float(f"{100 * room(found.train):.2g}"), "point")
            yield (
                f"{head}: {len(seeds)} of {finished} runs stayed at the largest class "
                f"({_seeds(seeds)}): training and validation accuracy at the best epoch lie within "
                f"{near} of its share."
            )
    if still and len(by_head) > len(still):
        its, them = ("it is", "it") if len(still) == 1 else ("they are", "them")
        yield (
            f"Nothing of {names(still)} is trained: {its} computed on the backbone as it began, "
            f"which the other heads train. What is said of {them} against those mixes the head "
            f"with the training of the backbone."
        )


def unsettled_averages(file: StudyFile, measured: Collection[str] = ()) -> Iterator[str]:
    """Where training is too short for batch norm's moving averages to have settled.

    Of heads that are evaluated by those averages and not `measured`: of those that are, one knows
    whether evaluation lags.
    """
    heads: dict[int, list[str]] = {}
    for head in file.study.heads:
        if head in measured:
            continue
        recipe = file.study.recipe_for(head)
        if recipe.batch_norm != "moving":
            continue
        steps = recipe.epochs * recipe.steps(file.sizes["train"])
        heads.setdefault(steps, []).append(head)
    for steps, those in heads.items():
        left = BATCH_NORM_MOMENTUM**steps
        if left > UNSETTLED:
            yield (
                f"Few steps: {steps:,} of them ({', '.join(those)}) leave {100 * left:.0f} % of "
                f"batch norm's moving averages (momentum {BATCH_NORM_MOMENTUM}) where they began, "
                f"so that evaluation lags behind training. Give more epochs or a smaller batch "
                f"size."
            )


def _precisions(file: StudyFile) -> Iterator[str]:
    """Where a verdict is one about another arithmetic than float32."""
    heads: dict[str, list[str]] = {}
    for head in file.study.heads:
        heads.setdefault(file.study.recipe_for(head).arithmetic, []).append(head)
    for precision, those in heads.items():
        if precision != "float32":
            yield (
                f"Trained in {precision}: {', '.join(those)}. Verdicts are about networks trained "
                f"so; the networks are evaluated in float32."
            )


def label_notes(file: StudyFile) -> Iterator[str]:
    """Images that are missing, or that have two labels: what every number here rests on."""
    if file.two_labels:
        one = file.two_labels == 1
        yield (
            f"{counted(file.two_labels, 'group')} of near-identical images "
            f"{'lies' if one else 'lie'} across classes: the same image under two labels. One of "
            f"the labels is wrong, or the classes cannot be told apart. `headtohead data check` "
            f"lists them."
        )
    if file.quarantined:
        count = sum(file.quarantined.values())
        used = {
            name: sum(file.counts[s].get(name, 0) for s in file.counts) for name in file.classes
        }
        told = ", ".join(
            f"{name} {lost:,} of {lost + used.get(name, 0):,}"
            for name, lost in sorted(file.quarantined.items(), key=lambda item: -item[1])[:8]
        )
        yield (
            f"Quarantined: {counted(count, 'file')} could not be decoded "
            f"({told}). `headtohead data check` lists them with the reasons."
        )


def picture_notes(
    file: StudyFile, comparisons: Sequence[HeadComparison], grouped: bool, leaks: int | None
) -> Iterator[str]:
    """What splits and intervals over images cannot say; `grouped` where pictures.csv is there."""
    if leaks:
        yield (
            f"{counted(leaks, 'group')} of near-identical images lie in more than one split, as "
            f"the source gave them: accuracy on such images is partly memory. `headtohead data "
            f"check` lists them."
        )
    if not any(item.pictures for item in comparisons):
        return
    if file.study.split.mode == "per-seed":
        yield (
            "Images are split anew for each seed, so that one seed's test images train other "
            "seeds' networks: neither interval covers other images: the one "
            "over seeds is likely too short for that (Nadeau & Bengio 2003), and the one over "
            "images takes the networks as they are."
        )
    if not grouped:
        yield (
            "No pictures.csv: intervals over images take every image as its own, near-"
            "duplicates too. The command that made the study writes it."
        )


def runs_by_head(pairs: Sequence[tuple[str, int]]) -> str:
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
