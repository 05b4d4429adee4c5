"""Which runs learned nothing: those that stayed at the largest class, those that train nothing."""

from collections.abc import Collection, Mapping, Sequence

from headtohead.analysis.baseline import Baseline
from headtohead.analysis.run_results import RunResult
from headtohead.config.study import StudySpec
from headtohead.config.verdict import Metric
from headtohead.core.text import names

NEAR = 0.1
"""How far from the largest class's share a run's accuracy may lie to count as it: this part of
the share, or of what is missing to 1 where that is less. Five points for two equal classes, one
for ten."""


def room(share: float) -> float:
    """How far from the largest class's `share` an accuracy still counts as it."""
    return NEAR * min(share, 1 - share)


def stayed(run: RunResult, found: Baseline, metric: Metric) -> bool:
    """Whether a finished run is, at its best epoch, no other than always the largest class.

    Its accuracies on the training and on the validation images, evaluated, lie within `room` of
    the largest class's share, and that on the test images (balanced accuracy where verdicts are
    not about accuracy) lies no further above it.
    """
    if not run.finished or run.best is None:
        return False
    name = "test_accuracy" if metric == "test_accuracy" else "test_balanced_accuracy"
    test, constant = run.metrics[name], found.metrics[name]
    level = all(
        abs(accuracy - share) <= room(share)
        for accuracy, share in (
            (run.best.train_accuracy, found.train),
            (run.best.val_accuracy, found.validation),
        )
    )
    return level and (test is None or test - constant <= room(constant))


def ended_there(run: RunResult, found: Baseline) -> bool:
    """Whether a finished run is at its last epoch, too, no other than always the largest class.

    On the training and on the validation images: such a run fits nothing, and so over-fits nothing.
    """
    val, train = run.metrics["last_val_accuracy"], _last_training(run)
    if val is None or train is None:
        return False
    ends = ((train, found.train), (val, found.validation))
    return all(abs(accuracy - share) <= room(share) for accuracy, share in ends)


def _last_training(run: RunResult) -> float | None:
    """A finished run's accuracy on its training images, evaluated at the last epoch."""
    val, gap = run.metrics["last_val_accuracy"], run.metrics["last_overfit"]
    return None if not run.finished or val is None or gap is None else val + gap


def seeds_that_stayed(
    by_head: Mapping[str, Sequence[RunResult]],
    found: Baseline,
    metric: Metric,
    aside: Collection[str],
) -> dict[str, list[int]]:
    """Head → the seeds of its runs that stayed, where there are any; heads `aside` are left out."""
    every = {
        head: [run.seed for run in runs if stayed(run, found, metric)]
        for head, runs in by_head.items()
        if head not in aside
    }
    return {head: seeds for head, seeds in every.items() if seeds}


def untrained(study: StudySpec, by_head: Mapping[str, Sequence[RunResult]]) -> list[str]:
    """Heads in closed form on a backbone that other heads train: it stays as it began.

    None on a frozen backbone, which is the same for all, and none that start from the backbone
    that another head left. Older records count the backbone as trained all the same: there it is a
    head without parameters whose one epoch is fewer than the recipe's.
    """
    if study.backbone.frozen:
        return []
    return [
        head
        for head, runs in by_head.items()
        if study.heads[head].after is None
        and any(_nothing_trained(run, study.recipe_for(head).epochs) for run in runs)
    ]


def in_closed_form(study: StudySpec, by_head: Mapping[str, Sequence[RunResult]]) -> list[str]:
    """Heads that are computed in one pass, not trained in epochs: they have no way to a target."""
    return [
        head
        for head, runs in by_head.items()
        if any(run.finished and run.epochs < study.recipe_for(head).epochs for run in runs)
    ]


def no_epochs(heads: Sequence[str]) -> str:
    """Why these heads are not among those that took epochs to a target."""
    one = len(heads) == 1
    return (
        f"{names(heads)} {'is' if one else 'are'} computed in closed form: "
        f"{'it has' if one else 'they have'} no epochs of training"
    )


def fitted(by_head: Mapping[str, Sequence[RunResult]], found: Baseline) -> dict[str, float]:
    """Head → accuracy on its training images, of heads that more training has nothing to teach.

    Evaluated at the last epoch, a mean over finished runs.
    """
    reached = {}
    for head, runs in by_head.items():
        accuracies = [a for run in runs if (a := _last_training(run)) is not None]
        if accuracies:
            reached[head] = sum(accuracies) / len(accuracies)
    return {head: share for head, share in reached.items() if fits(share, found.train)}


def fits(accuracy: float, largest: float) -> bool:
    """Whether more training has nothing to teach at this accuracy on the training images.

    What is missing to 1 is at most NEAR of what always the largest class, of the share `largest`,
    misses: five points for two equal classes, nine for ten.
    """
    return 1 - accuracy <= NEAR * (1 - largest)


def _nothing_trained(run: RunResult, epochs: int) -> bool:
    counts = run.parameters
    computed = counts.head == 0 and run.epochs == 1 < epochs
    return run.finished and (counts.trainable == 0 or computed)
