"""What an epoch of a run changes, and how it lies on disk between two epochs."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from headtohead.core.errors import RunError
from headtohead.core.files import write_atomic
from headtohead.heads.classifier import Classifier, check_outputs
from headtohead.store.records import BEST, HISTORY, LAST, RESUME, EpochRecord, read_history
from headtohead.training import checkpoint
from headtohead.training.epochs import Watcher
from headtohead.training.optimizer import Optimizer, optimizer_of
from headtohead.training.plans import RunPlan
from headtohead.training.schedule import schedule_of

SLOW, SHARE = 0.5, 0.1
"""Seconds from which a position takes long to write, and the share of a run's time for such."""


@dataclass
class RunState:
    """The model, its optimizer and the epochs so far.

    `written` is when the last position was written, and `took` the seconds that this took.
    """

    model: Classifier
    optimizer: Optimizer
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
        model = plan.build(lent=True).to(device)
        check_outputs(model, plan.head, image_size=plan.image_size, classes=plan.classes)
        trained = model.head if model.is_frozen else model
        trained.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = optimizer_of(model, plan.recipe, schedule_of(plan.recipe, train))
        state = cls(model, optimizer)
        try:
            tensors, position = checkpoint.read(folder / RESUME)
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
        """Weights of the best epoch, then the position: a crash between costs one epoch.

        A position that takes long to write is written less often than epochs end, where these are
        short: a run that is killed repeats the epochs since the last one, to the same bits.
        """
        record = self.history[-1]
        weights = self.model.state_dict()
        if self.best is record:
            checkpoint.save(folder / BEST, weights, key=plan.key, epoch=record.epoch)
        began = time.perf_counter()
        if self.took >= SLOW and began - self.written < self.took / SHARE:
            return
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
        self.written = time.perf_counter()
        self.took = self.written - began


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
    prefix = "backbone."
    own = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
    model.backbone.load_state_dict(own)
