"""One run, start to end: one head, one seed."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headtohead.backbones.frozen import with_checkpointing, with_frozen_norms
from headtohead.config.recipe import RecipeSpec
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.core.errors import RunError
from headtohead.core.files import append_line, sha256_of, write_atomic
from headtohead.core.streams import stream, stream_seed
from headtohead.data.split import Split
from headtohead.heads.classifier import Classifier, build_classifier, check_outputs
from headtohead.store.records import (
    BEST,
    HISTORY,
    LAST,
    RECORD,
    RESUME,
    EpochRecord,
    Failure,
    RunRecord,
    read_history,
)
from headtohead.training import checkpoint
from headtohead.training.acceleration import fastest, kernels_of
from headtohead.training.augment import Augmentation, augmentation
from headtohead.training.batch_norm import recompute_statistics, statistics_rows
from headtohead.training.class_weights import class_weights
from headtohead.training.closed_form import fit
from headtohead.training.device import check_precision, environment
from headtohead.training.evaluate import cross_entropy, infer, measure, predicted
from headtohead.training.inputs import Inputs
from headtohead.training.optimizer import Optimizer, optimizer_of
from headtohead.training.sampler import epoch_order
from headtohead.training.schedule import schedule_of
from headtohead.training.step import EagerGradients, Step, gradients_on_device

FEWEST_SAMPLED = 1000
"""Training images that over-fitting is measured on, where there are so many: an accuracy of 90 %
has a standard error of one point on them."""


@dataclass(frozen=True)
class RunPlan:
    """All that determines a run, apart from the pictures.

    `after` is the folder of the run whose backbone this one starts from; None where it has its own.
    `source` is the SHA-256 of the code of a head of the user's own.
    """

    key: str
    head: str
    seed: int
    head_spec: HeadSpec
    backbone: BackboneSpec
    recipe: RecipeSpec
    image_size: int
    classes: int
    after: Path | None = None
    source: str | None = None

    def build(self) -> Classifier:
        """The model before its first step, by the fastest kernels that are there."""
        model = self.build_plain()
        if self.recipe.batch_norm == "frozen" and not model.is_frozen:
            model.backbone = with_frozen_norms(model.backbone)
        if self.recipe.checkpointing and not model.is_frozen:
            model.backbone = with_checkpointing(model.backbone)
        model.backbone = fastest(model.backbone)
        return model

    def build_plain(self) -> Classifier:
        """The same model by PyTorch's own kernels alone."""
        return build_classifier(
            self.backbone,
            self.head,
            self.head_spec,
            image_size=self.image_size,
            classes=self.classes,
            seed=self.seed,
        )

    def epochs(self, model: Classifier) -> int:
        """How many epochs the run has: one where the head is computed, not trained."""
        return 1 if model.head.closed_form else self.recipe.epochs


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


def train(
    plan: RunPlan, pictures: Inputs, split: Split, folder: Path, watcher: Watcher
) -> RunRecord:
    """Train the run into `folder`, going on from its last complete epoch, and record it.

    The same plan and pictures give bit-identical epochs on the same machine, interrupted or not.
    `split` is read in its own order where the recipe has a stored one. A loss that is not finite
    ends the run with status "failed". Raises UsageError where the device has no such precision,
    RunError where the head's logits have another shape, the backbone to start from is gone or, on
    a GPU, the step cannot be captured,
    and StorageError where the folder cannot be written.
    """
    check_precision(plan.recipe.arithmetic, pictures.device)
    state = _State.begin(plan, pictures.device, len(split.train), folder, watcher)
    watcher.start(len(state.history))
    training = _begin(plan, state, pictures, split.train)
    failure = None
    while failure is None and len(state.history) < plan.epochs(state.model):
        failure = _train_epoch(plan, state, training, split, folder, watcher)
    return _finish(plan, state, pictures.device, folder, failure)


@dataclass
class _State:
    """What an epoch changes."""

    model: Classifier
    optimizer: Optimizer
    history: list[EpochRecord] = field(default_factory=list)
    best: EpochRecord | None = None

    @classmethod
    def begin(
        cls, plan: RunPlan, device: torch.device, train: int, folder: Path, watcher: Watcher
    ) -> "_State":
        """The state before the first epoch, or after the last one that is whole on disk.

        `train` is the number of training images.
        """
        model = plan.build().to(device)
        check_outputs(model, plan.head, image_size=plan.image_size, classes=plan.classes)
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = optimizer_of(model, plan.recipe, schedule_of(plan.recipe, train))
        state = cls(model, optimizer)
        try:
            tensors, position = checkpoint.load(folder / RESUME)
        except FileNotFoundError:
            tensors, position = {}, {}
        except checkpoint.DamagedCheckpointError as error:
            watcher.note(f"{error}; training this run from its first epoch")
            tensors, position = {}, {}
        if position and position.get("source") != plan.source:
            watcher.note(f"The source of {plan.head} changed: training it from its first epoch")
            tensors, position = {}, {}
        history = list(read_history(folder))
        epoch = int(position.get("epoch") or 0)
        if position.get("key") == plan.key and 0 < epoch <= len(history):
            state._restore(tensors, int(position["steps"] or 0))
            state.history = history[:epoch]
            for record in state.history:
                state.best = record if record.beats(state.best) else state.best
        elif plan.after is not None:
            _inherit(model, plan.after)
        lines = "".join(record.model_dump_json() + "\n" for record in state.history)
        write_atomic(folder / HISTORY, lines.encode())
        return state

    def _restore(self, tensors: dict[str, Tensor], steps: int) -> None:
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}}
        for name, value in tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = value
        self.model.load_state_dict(parts["model"])
        self.optimizer.restore(parts["optimizer"], steps)

    def save(self, plan: RunPlan, folder: Path) -> None:
        """Weights of the best epoch, then the position: a crash between costs one epoch."""
        record = self.history[-1]
        weights = self.model.state_dict()
        if self.best is record:
            checkpoint.save(folder / BEST, weights, key=plan.key, epoch=record.epoch)
        tensors = {f"model/{name}": value for name, value in weights.items()}
        tensors |= {f"optimizer/{name}": value for name, value in self.optimizer.state().items()}
        checkpoint.save(
            folder / RESUME,
            tensors,
            key=plan.key,
            epoch=record.epoch,
            steps=self.optimizer.steps,
            **({} if plan.source is None else {"source": plan.source}),
        )


class _Epochs(Protocol):
    """How this run's epochs are trained."""

    @property
    def pictures(self) -> Inputs:
        """What it is trained on."""

    def epoch(self, epoch: int, watcher: Watcher) -> tuple[Tensor, Tensor, int]:
        """Train in this epoch's order; losses per step, number correct, pictures seen."""


def _begin(plan: RunPlan, state: _State, pictures: Inputs, rows: NDArray[np.int64]) -> _Epochs:
    if state.model.head.closed_form:
        return _Fitting(plan, state.model, pictures, rows)
    return _Training.begin(plan, state, pictures, rows)


@dataclass(frozen=True)
class _Fitting:
    """The one epoch of a head that is computed from all training images."""

    plan: RunPlan
    model: Classifier
    pictures: Inputs
    rows: NDArray[np.int64]

    def epoch(self, epoch: int, watcher: Watcher) -> tuple[Tensor, Tensor, int]:
        """As `_Epochs` says, of the head as it is in the end."""
        size = self.plan.recipe.batch(len(self.rows))
        _recompute(self.plan, self.model, self.pictures, self.rows)
        fit(self.model, self.pictures, self.rows, size)
        watcher.step(epoch, len(self.rows), len(self.rows))
        logits, labels = infer(self.model, self.pictures, self.rows)
        right = (predicted(logits) == labels).sum()
        return cross_entropy(logits, labels)[None], right, len(self.rows)


@dataclass(frozen=True)
class _Training:
    """Step by step."""

    plan: RunPlan
    model: Classifier
    pictures: Inputs
    rows: NDArray[np.int64]
    augment: Augmentation | None
    step: Step

    @classmethod
    def begin(
        cls, plan: RunPlan, state: _State, pictures: Inputs, rows: NDArray[np.int64]
    ) -> "_Training":
        """Ready for any epoch of `state`'s model on `rows`; it moves nothing of the state."""
        recipe, device = plan.recipe, pictures.device
        augment = augmentation(recipe.augment, device)
        weights = class_weights(recipe, pictures.labels[rows], plan.classes, device)
        eager = EagerGradients(state.model, pictures, augment, recipe.arithmetic, weights)
        batch = rows[: recipe.batch(len(rows))]
        draws = None if augment is None else augment.draw(len(batch), plan.seed, epoch=0)
        gradients = gradients_on_device(eager, pictures.rows(batch), draws)
        return cls(plan, state.model, pictures, rows, augment, Step(gradients, state.optimizer))

    def epoch(self, epoch: int, watcher: Watcher) -> tuple[Tensor, Tensor, int]:
        """Train in this epoch's order; losses per step, number correct, pictures seen.

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


def _train_epoch(
    plan: RunPlan,
    state: _State,
    training: _Epochs,
    split: Split,
    folder: Path,
    watcher: Watcher,
) -> Failure | None:
    """One pass over the training split and its evaluation, then everything to disk."""
    epoch = len(state.history) + 1
    wall, cpu = time.perf_counter(), time.process_time()
    losses, correct, trained = training.epoch(epoch, watcher)
    values = losses.cpu().numpy()
    training_wall = time.perf_counter() - wall
    if not np.isfinite(values).all():
        step = int(np.flatnonzero(~np.isfinite(values))[0]) + 1
        return Failure(reason="the training loss is not finite", epoch=epoch, step=step)
    measures: dict[str, float] = {}
    _recompute(plan, state.model, training.pictures, split.train)
    sample = training_sample(plan, training.pictures.labels, split)
    seen = plan.recipe.validation_pictures
    for name, rows, count in (("train", sample, None), ("val", split.validation, seen)):
        loss, accuracy = measure(state.model, training.pictures, rows, seen=count)
        measures |= {f"{name}_loss": loss, f"{name}_accuracy": accuracy}
    record = EpochRecord(
        epoch=epoch,
        loss=float(values.mean(dtype=np.float64)),
        accuracy=int(correct) / trained,
        **measures,
        seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        pictures_per_second=trained / training_wall,
    )
    if not np.isfinite([record.train_loss, record.val_loss]).all():
        return Failure(reason="the evaluation loss is not finite", epoch=epoch, step=len(values))
    state.history.append(record)
    state.best = record if record.beats(state.best) else state.best
    append_line(folder / HISTORY, record.model_dump_json())
    state.save(plan, folder)
    watcher.epoch(record)
    return None


def _recompute(
    plan: RunPlan, model: Classifier, pictures: Inputs, train: NDArray[np.int64]
) -> None:
    """Batch-norm statistics by the weights as they stand, unless the averages are asked for."""
    if plan.recipe.batch_norm != "moving":
        rows = statistics_rows(train, plan.seed)
        recompute_statistics(model, pictures, rows, plan.recipe.batch(len(train)))


def _finish(
    plan: RunPlan, state: _State, device: torch.device, folder: Path, failure: Failure | None
) -> RunRecord:
    """Write the last weights and, last of all, the record that says the run is over."""
    if failure is None:
        checkpoint.save(
            folder / LAST, state.model.state_dict(), key=plan.key, epoch=len(state.history)
        )
    kept = [HISTORY, *(name for name in (BEST, LAST) if (folder / name).exists())]
    pixels = plan.image_size
    record = RunRecord(
        key=plan.key,
        head=plan.head,
        seed=plan.seed,
        status="finished" if failure is None else "failed",
        failure=failure,
        epochs=len(state.history),
        best_epoch=state.best.epoch if state.best else None,
        parameters=state.model.parameters_count(),
        feature_maps=(state.model.backbone.channels, *state.model.backbone.map_size(pixels)),
        environment=environment(
            device,
            plan.recipe.arithmetic,
            kernels_of(state.model, device, plan.recipe.arithmetic),
        ),
        seconds=sum(e.seconds for e in state.history),
        cpu_seconds=sum(e.cpu_seconds for e in state.history),
        files={name: sha256_of(folder / name) for name in kept},
        source=plan.source,
    )
    write_atomic(folder / RECORD, record.model_dump_json(indent=1).encode())
    (folder / RESUME).unlink(missing_ok=True)
    return record


def training_sample(plan: RunPlan, labels: NDArray[np.int64], split: Split) -> NDArray[np.int64]:
    """Rows of the training split to measure over-fitting on, the same for every head and epoch.

    As many as validation has, and at least FEWEST_SAMPLED where there are as many; each class by
    its share. With moving averages as version 0.1 drew it: regardless of class, and no larger.
    `labels` are those of all images.
    """
    shuffled = stream(plan.seed, "sample").permutation(np.sort(split.train))
    size = min(len(split.train), len(split.validation))
    if plan.recipe.batch_norm == "moving":
        return np.sort(shuffled[:size])
    size = min(len(split.train), max(size, FEWEST_SAMPLED))
    return np.sort(stratified(shuffled, labels[shuffled], size))


def stratified(rows: NDArray[np.int64], labels: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The first rows of each class, as many as its share of `size` is, to the nearest whole.

    `labels` are those of `rows`. Between equal remainders the class with the lower number wins.
    """
    classes, counts = np.unique(labels, return_counts=True)
    shares = counts * size / len(rows)
    taken = np.floor(shares).astype(np.int64)
    largest = np.argsort(taken - shares, kind="stable")[: size - int(taken.sum())]
    taken[largest] += 1
    parts = [rows[labels == label][:n] for label, n in zip(classes, taken, strict=True)]
    return np.concatenate(parts)


def _inherit(model: Classifier, folder: Path) -> None:
    """Give `model` the backbone that the run in `folder` left. Raises RunError without it."""
    try:
        weights, _ = checkpoint.load(folder / LAST)
    except (FileNotFoundError, checkpoint.DamagedCheckpointError) as error:
        raise RunError(
            f"this run starts from the backbone that the run in {folder} left, and there are no "
            f"last weights of it ({error}): it failed, or they were deleted. Delete that folder "
            f"to have it trained again."
        ) from error
    prefix = "backbone."
    own = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
    model.backbone.load_state_dict(own)
