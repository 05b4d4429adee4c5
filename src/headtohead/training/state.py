"""What an epoch of a run changes, and how it lies on disk between two epochs."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

import headtohead
from headtohead.core.errors import RunError
from headtohead.core.files import append_line, sha256_of_bytes, write_atomic
from headtohead.heads.classifier import Classifier, check_outputs
from headtohead.store.records import (
    BEST,
    HISTORY,
    LAST,
    NUMERIC_ENVIRONMENT,
    RESUME,
    EpochRecord,
    read_history,
)
from headtohead.training import checkpoint
from headtohead.training.acceleration import kernels_of
from headtohead.training.device import environment
from headtohead.training.epochs import Watcher
from headtohead.training.optimizer import Optimizer, optimizer_of
from headtohead.training.plans import RunPlan
from headtohead.training.schedule import schedule_of

SLOW, SHARE = 0.5, 0.1
"""Seconds from which a position takes long to write, and the share of a run's time for such."""

YOUNG = 5.0
"""Seconds up to which a run is not kept from a power failure: it is soon trained again."""

ANEW = "training this run from its first epoch"


@dataclass
class RunState:
    """The model, its optimizer and the epochs so far.

    `environment` is that of the run's record, and `repeatable` says whether an epoch that is
    computed again gives the same bits. `written` is when the last position was written, and `took`
    the seconds that this took.
    """

    model: Classifier
    optimizer: Optimizer
    environment: dict[str, str]
    repeatable: bool
    history: list[EpochRecord] = field(default_factory=list)
    best: EpochRecord | None = None
    written: float = 0.0
    took: float = 0.0

    @classmethod
    def begin(
        cls, plan: RunPlan, device: torch.device, train: int, folder: Path, watcher: Watcher
    ) -> "RunState":
        """The state before the first epoch, or after the last one that is whole on disk.

        `train` is the number of training images.
        """
        model = plan.to_train(device)
        check_outputs(model, plan.head, image_size=plan.image_size, classes=plan.classes)
        optimizer = optimizer_of(model, plan.recipe, schedule_of(plan.recipe, train))
        precision = plan.recipe.arithmetic
        found = environment(device, precision, kernels_of(model, device, precision))
        state = cls(model, optimizer, found, _is_repeatable(device))
        state._resume(plan, folder, watcher)
        if not state.history and plan.after is not None:
            _inherit(model, plan.after)
        write_atomic(folder / HISTORY, _lines(state.history).encode(), sync=state.old)
        if not state.history:  # weights of an earlier beginning are none of this run's
            for name in (RESUME, BEST, LAST):
                (folder / name).unlink(missing_ok=True)
        return state

    def _resume(self, plan: RunPlan, folder: Path, watcher: Watcher) -> None:
        """Go on from the position in `folder`, where history and best weights are of one with it.

        Best weights of a later epoch than the position's are written again when that epoch is,
        to the same bits where arithmetic is repeatable.
        """
        tensors, position = _position(plan, self.machine, folder, watcher)
        epoch = int(position.get("epoch") or 0)
        history = list(read_history(folder))[:epoch]
        if position.get("key") != plan.key or not 0 < epoch == len(history):
            return
        best = None
        for record in history:
            best = record if record.beats(best) else best
        held = _epoch_of(folder / BEST, plan)
        same = best is not None and best.epoch in (held, epoch)
        known = position.get("history") in (None, _digest(history))
        again = held > epoch and position.get("repeatable") == self._repeats()
        if not known or not (same or (again and self.repeatable)):
            watcher.note(
                f"The best weights or the epochs in {folder} are of another time than the position "
                f"to go on from; {ANEW}"
            )
            return
        self._restore(tensors, int(position["steps"] or 0))
        self.history, self.best = history, best
        if best is not None and best.epoch == epoch != held:
            self._save_best(plan, folder)

    @property
    def machine(self) -> str:
        """What the numbers of a run here depend on, in words: no run has epochs of two such."""
        return ", ".join(f"{name} {self.environment[name]}" for name in NUMERIC_ENVIRONMENT)

    def _restore(self, tensors: dict[str, Tensor], steps: int) -> None:
        self.model.load_state_dict(checkpoint.within(tensors, "model/"))
        self.optimizer.restore(checkpoint.within(tensors, "optimizer/"), steps)

    @property
    def old(self) -> bool:
        """Whether what is written of it is to outlast a power failure at once."""
        return sum(record.seconds for record in self.history) > YOUNG

    def save(self, plan: RunPlan, folder: Path) -> None:
        """The epoch, weights of the best one, and the position: a crash between costs one epoch.

        A position that takes long to write is written less often than epochs end, where these are
        short: a run that is killed repeats the epochs since the last one, to the same bits. Where
        it could not, best weights are never of a later epoch than the position.
        """
        append_line(folder / HISTORY, self.history[-1].model_dump_json(), sync=self.old)
        best = self.best is self.history[-1]
        if self.repeatable and best:
            self._save_best(plan, folder)
        late = time.perf_counter() - self.written >= self.took / SHARE
        if self.took < SLOW or late or (best and not self.repeatable):
            self._save_position(plan, folder)
        if best and not self.repeatable:
            self._save_best(plan, folder)

    def _save_position(self, plan: RunPlan, folder: Path) -> None:
        began = time.perf_counter()
        weights = self.model.state_dict()
        tensors = {f"model/{name}": value for name, value in weights.items()}
        tensors |= {f"optimizer/{name}": value for name, value in self.optimizer.state().items()}
        checkpoint.save(
            folder / RESUME,
            tensors,
            sync=self.old,
            key=plan.key,
            epoch=self.history[-1].epoch,
            steps=self.optimizer.steps,
            history=_digest(self.history),
            machine=self.machine,
            repeatable=self._repeats(),
            **({} if plan.source is None else {"source": plan.source}),
        )
        self.written = time.perf_counter()
        self.took = self.written - began

    def _repeats(self) -> str:
        """By which version an epoch that is computed again gives the same bits, if any does."""
        return f"by {headtohead.__version__}" if self.repeatable else "no"

    def _save_best(self, plan: RunPlan, folder: Path) -> None:
        weights, epoch = self.model.state_dict(), self.history[-1].epoch
        checkpoint.save(folder / BEST, weights, sync=self.old, key=plan.key, epoch=epoch)


def _position(
    plan: RunPlan, machine: str, folder: Path, watcher: Watcher
) -> tuple[dict[str, Tensor], dict[str, int | str | None]]:
    """Where an earlier process left the run; nothing where there is no position to go on from."""
    try:
        tensors, position = checkpoint.read(folder / RESUME)
    except FileNotFoundError:
        return {}, {}
    except checkpoint.DamagedCheckpointError as error:
        watcher.note(f"{error}; {ANEW}")
        return {}, {}
    if position.get("source") != plan.source:
        watcher.note(f"The source of {plan.head} changed; {ANEW}")
        return {}, {}
    if (before := position.get("machine", machine)) != machine:
        watcher.note(
            f"{plan.head} seed {plan.seed} was begun where numbers differ ({before}; here "
            f"{machine}); {ANEW}"
        )
        return {}, {}
    return tensors, position


def _is_repeatable(device: torch.device) -> bool:
    """Whether an epoch that is computed again gives the same bits."""
    return device.type == "cpu" or torch.are_deterministic_algorithms_enabled()


def _epoch_of(path: Path, plan: RunPlan) -> int:
    """Of which epoch of the run these weights are; 0 where they are damaged, or not there."""
    try:
        _, saved = checkpoint.read(path)
    except (FileNotFoundError, checkpoint.DamagedCheckpointError):
        return 0
    return int(saved.get("epoch") or 0) if saved.get("key") == plan.key else 0


def _lines(history: list[EpochRecord]) -> str:
    return "".join(record.model_dump_json() + "\n" for record in history)


def _digest(history: list[EpochRecord]) -> str:
    """Tells one beginning of a run from another: seconds differ where all else is alike."""
    return sha256_of_bytes(_lines(history).encode())


def _inherit(model: Classifier, folder: Path) -> None:
    """Give `model` the backbone that the run in `folder` left. Raises RunError without it."""
    try:
        weights, _ = checkpoint.read(folder / LAST)
    except (FileNotFoundError, checkpoint.DamagedCheckpointError) as error:
        raise RunError(
            f"this run starts from the backbone that the run in {folder} left, and there are no "
            f"last weights of it ({error}): it failed, or they were deleted. Delete that folder "
            f"to have it trained again."
        ) from error
    model.backbone.load_state_dict(checkpoint.within(weights, "backbone."))
