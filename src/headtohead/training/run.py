"""One run, start to end: one head, one seed."""

import time
from pathlib import Path

import numpy as np

from headtohead.core.files import sha256_of, sync_file, write_atomic
from headtohead.data.split import Split
from headtohead.store.records import (
    BEST,
    HISTORY,
    LAST,
    RECORD,
    RESUME,
    EpochRecord,
    Failure,
    RunRecord,
)
from headtohead.training import checkpoint
from headtohead.training.device import check_precision
from headtohead.training.epochs import Epochs, Watcher, epochs_of, recompute
from headtohead.training.inference import loss_and_accuracy
from headtohead.training.inputs import Inputs
from headtohead.training.plans import RunPlan
from headtohead.training.sample import training_sample
from headtohead.training.state import RunState


def train(
    plan: RunPlan, pictures: Inputs, split: Split, folder: Path, watcher: Watcher
) -> RunRecord:
    """Train the run into `folder`, going on from its last saved epoch, and record it.

    The same plan and images give bit-identical epochs on the same machine, interrupted or not.
    `split` is read in its own order where the recipe has a stored one. A loss that is not finite
    ends the run with status "failed". Raises UsageError where the device has no such precision,
    RunError where the head's logits have another shape, the backbone to start from is gone or, on
    a GPU, the step cannot be captured,
    and StorageError where the folder cannot be written.
    """
    check_precision(plan.recipe.arithmetic, pictures.device)
    state = RunState.begin(plan, pictures.device, len(split.train), folder, watcher)
    watcher.start(len(state.history))
    inputs = pictures.for_head(state.model.head)
    training = epochs_of(plan, state.model, state.optimizer, inputs, split.train)
    failure = None
    while failure is None and len(state.history) < plan.epochs(state.model):
        failure = _train_epoch(plan, state, training, split, folder, watcher)
    return _finish(plan, state, folder, failure)


def _train_epoch(
    plan: RunPlan,
    state: RunState,
    training: Epochs,
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
    measures = _measured(plan, state, training.pictures, split)
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
    state.save(plan, folder)
    watcher.epoch(record)
    return None


def _measured(plan: RunPlan, state: RunState, inputs: Inputs, split: Split) -> dict[str, float]:
    """Loss and accuracy in evaluation mode, on a sample of the training split and on validation."""
    measures: dict[str, float] = {}
    recompute(plan, state.model, inputs, split.train)
    sample = training_sample(plan, inputs.labels, split)
    seen = plan.recipe.validation_pictures
    for name, rows, count in (("train", sample, None), ("val", split.validation, seen)):
        loss, accuracy = loss_and_accuracy(state.model, inputs, rows, seen=count)
        measures |= {f"{name}_loss": loss, f"{name}_accuracy": accuracy}
    return measures


def _finish(plan: RunPlan, state: RunState, folder: Path, failure: Failure | None) -> RunRecord:
    """Write the last weights and, last of all, the record that says the run is over."""
    if failure is None:
        weights, epoch = state.model.state_dict(), len(state.history)
        checkpoint.save(folder / LAST, weights, sync=False, key=plan.key, epoch=epoch)
    kept = [HISTORY, *(name for name in (BEST, LAST) if (folder / name).exists())]
    for name in kept:
        sync_file(folder / name)
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
        environment=state.environment,
        seconds=sum(e.seconds for e in state.history),
        cpu_seconds=sum(e.cpu_seconds for e in state.history),
        files={name: sha256_of(folder / name) for name in kept},
        source=plan.source,
    )
    write_atomic(folder / RECORD, record.model_dump_json(indent=1).encode())
    (folder / RESUME).unlink(missing_ok=True)
    return record
