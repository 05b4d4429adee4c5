"""Always predicting the largest class: what a head must beat to have learned anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headtohead.stats.metrics import constant_scores
from headtohead.stats.over_images import (
    Answers,
    PictureInterval,
    picture_interval,
    share_interval,
)
from headtohead.store.ledger import SplitName, StudyFile


@dataclass(frozen=True)
class Baseline:
    """Accuracies of always predicting `name`, the test split's largest class, shares in [0, 1].

    Of the first seed's splits, where each seed has its own.

    `low` and `high` bound the exact binomial interval of `test` over its `images` at confidence
    1 - level: what other test images would give.
    """

    name: str
    train: float
    validation: float
    test: float
    low: float
    high: float
    level: float
    images: int
    balanced: float
    macro_f1: float

    @property
    def shares(self) -> dict[SplitName, float]:
        """Its accuracy on each split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def metrics(self) -> dict[str, float]:
        """Its values of METRICS, in their units; the others it has not."""
        overfit = self.train - self.validation
        return {
            "best_val_accuracy": self.validation,
            "last_val_accuracy": self.validation,
            "best_overfit": overfit,
            "last_overfit": overfit,
            "test_accuracy": self.test,
            "test_auroc": 0.5,
            "test_accuracy_last": self.test,
            "test_auroc_last": 0.5,
            "test_balanced_accuracy": self.balanced,
            "test_balanced_accuracy_last": self.balanced,
            "test_macro_f1": self.macro_f1,
            "test_macro_f1_last": self.macro_f1,
        }


@dataclass(frozen=True)
class Standing:
    """One head's test accuracy minus the baseline's, over test images.

    It is balanced accuracy where the study's verdicts are not about accuracy. `over_images` is None
    without predictions, and where all of the head's runs failed. `beats` says whether the interval
    lies above 0: this head's networks, on other test images, would still classify more of them
    correctly than always predicting the largest class.
    """

    head: str
    over_images: PictureInterval | None

    @property
    def beats(self) -> bool | None:
        """Whether the head is shown to be above the largest class; None where it is not known."""
        if self.over_images is None:
            return None
        return self.over_images.low is not None and self.over_images.low > 0


def baseline_of(file: StudyFile) -> Baseline:
    """The largest class of the study's test split; ties go to the first one."""
    counts = file.images("test")
    scores = constant_scores(counts)
    images, largest = sum(counts), int(np.argmax(counts))
    level = file.study.verdict.level
    low, high = share_interval(counts[largest], images, level)
    return Baseline(
        name=file.classes[largest],
        train=file.majority_share("train"),
        validation=file.majority_share("validation"),
        test=file.majority_share("test"),
        low=low,
        high=high,
        level=level,
        images=images,
        balanced=scores["balanced_accuracy"],
        macro_f1=scores["macro_f1"],
    )


def standings(
    heads: Sequence[str],
    answers: Mapping[tuple[str, int], Answers],
    always: Mapping[int, Answers],
    groups: Mapping[int, int],
    level: float,
) -> tuple[Standing, ...]:
    """Every head against the baseline; `always` has, for each seed, the baseline's answers.

    A run that failed counts as the baseline itself, as in comparisons.
    """
    return tuple(
        Standing(
            head,
            picture_interval(
                {
                    seed: (mine, always[seed])
                    for (name, seed), mine in answers.items()
                    if name == head and seed in always
                },
                groups,
                level,
            ),
        )
        for head in heads
    )
