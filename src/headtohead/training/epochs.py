"""One epoch of a run: step by step, or at once where a head is computed from all images."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headtohead.core.streams import stream_seed
from headtohead.heads.classifier import Classifier
from headtohead.store.records import EpochRecord
from headtohead.training.augment import Augmentation, augmentation
from headtohead.training.batch_norm import recompute_statistics, statistics_rows
from headtohead.training.class_weights import class_weights
from headtohead.training.closed_form import fit
from headtohead.training.inference import cross_entropy, infer, predicted
from headtohead.training.inputs import Inputs
from headtohead.training.optimizer import Optimizer
from headtohead.training.plans import RunPlan
from headtohead.training.sampler import epoch_order
from headtohead.training.step import EagerGradients, Step, gradients_on_device


class Watcher(Protocol):
    """Who wants to see a run as it goes."""

    def start(self, epochs: int) -> None:
        """Training goes on after `epochs` epochs, 0 for a new run."""

    def step(self, epoch: int, done: int, pictures: int) -> None:
        """Of `pictures` in this epoch, `done` have been trained on."""

    def epoch(self, record: EpochRecord) -> None:
        """An epoch is over and on disk."""

    def note(self, message: str) -> None:
        """Something a user should know."""


class Epochs(Protocol):
    """How this run's epochs are trained."""

    @property
    def pictures(self) -> Inputs:
        """What it is trained on."""

    def epoch(self, epoch: int, watcher: Watcher) -> tuple[Tensor, Tensor, int]:
        """Train in this epoch's order; losses per step, number correct, images seen."""


def epochs_of(
    plan: RunPlan,
    model: Classifier,
    optimizer: Optimizer,
    pictures: Inputs,
    rows: NDArray[np.int64],
) -> Epochs:
    """The epochs of a run on `rows`, as its head asks for them."""
    if model.head.closed_form:
        return Fitting(plan, model, pictures, rows)
    return Training.begin(plan, model, optimizer, pictures, rows)


@dataclass(frozen=True)
class Fitting:
    """The one epoch of a head that is computed from all training images."""

    plan: RunPlan
    model: Classifier
    pictures: Inputs
    rows: NDArray[np.int64]

    def epoch(self, epoch: int, watcher: Watcher) -> tuple[Tensor, Tensor, int]:
        """As `Epochs` says, of the head as it is in the end."""
        size = self.plan.recipe.batch(len(self.rows))
        recompute(self.plan, self.model, self.pictures, self.rows)
        fit(self.model, self.pictures, self.rows, size)
        watcher.step(epoch, len(self.rows), len(self.rows))
        logits, labels = infer(self.model, self.pictures, self.rows)
        right = (predicted(logits) == labels).sum()
        return cross_entropy(logits, labels)[None], right, len(self.rows)


@dataclass(frozen=True)
class Training:
    """Step by step."""

    plan: RunPlan
    model: Classifier
    pictures: Inputs
    rows: NDArray[np.int64]
    augment: Augmentation | None
    step: Step

    @classmethod
    def begin(
        cls,
        plan: RunPlan,
        model: Classifier,
        optimizer: Optimizer,
        pictures: Inputs,
        rows: NDArray[np.int64],
    ) -> "Training":
        """Ready for any epoch of `model` on `rows`; it moves neither weights nor moments."""
        recipe, device = plan.recipe, pictures.device
        augment = augmentation(recipe.augment, device)
        weights = class_weights(recipe, pictures.labels[rows], plan.classes, device)
        eager = EagerGradients(model, pictures, augment, recipe.arithmetic, weights)
        batch = rows[: recipe.batch(len(rows))]
        draws = None if augment is None else augment.draw(len(batch), plan.seed, epoch=0)
        gradients = gradients_on_device(eager, pictures.rows(batch), draws)
        return cls(plan, model, pictures, rows, augment, Step(gradients, optimizer))

    def epoch(self, epoch: int, watcher: Watcher) -> tuple[Tensor, Tensor, int]:
        """Train in this epoch's order; losses per step, number correct, images seen.

        Nothing is read back from the device before the end.
        """
        plan, device = self.plan, self.pictures.device
        size = plan.recipe.batch(len(self.rows))
        order = epoch_order(plan.recipe, self.rows, plan.seed, epoch)
        steps = len(order) // size
        rows = self.pictures.rows(order)
        draws = None if self.augment is None else self.augment.draw(len(order), plan.seed, epoch)
        torch.manual_seed(stream_seed(plan.seed, "dropout", epoch))
        self.model.train()
        losses = torch.empty(steps, device=device)
        correct = torch.zeros((), dtype=torch.int64, device=device)
        for step in range(steps):
            batch = slice(step * size, (step + 1) * size)
            loss, right = self.step(rows[batch], None if draws is None else draws[batch])
            losses[step] = loss
            correct += right
            watcher.step(epoch, batch.stop, len(order))
        return losses, correct, len(order)


def recompute(plan: RunPlan, model: Classifier, pictures: Inputs, train: NDArray[np.int64]) -> None:
    """Batch-norm statistics by the weights as they stand, unless the averages are asked for."""
    if plan.recipe.batch_norm != "moving":
        rows = statistics_rows(train, plan.seed)
        recompute_statistics(model, pictures, rows, plan.recipe.batch(len(train)))
