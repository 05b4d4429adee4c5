"""TensorBoard event files, derived from a run's history: charts as Keras writes them, and HParams.

<out>/tensorboard/<head>/seed-<n>/            HParams: what was chosen, and what came of it
<out>/tensorboard/<head>/seed-<n>/train       epoch_* (running), evaluation_* (evaluation mode)
<out>/tensorboard/<head>/seed-<n>/validation  epoch_*

Written through TensorBoard's own record writer and protocol buffers, one synchronous file each:
its asynchronous writer keeps a thread per file, and prints tracebacks from it on a full disk.
"""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

from tensorboard.compat.proto.event_pb2 import Event, SourceMetadata
from tensorboard.compat.proto.summary_pb2 import Summary as SummaryProto
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from headtohead.analysis.run_results import PRIMARY, RunResult
from headtohead.core.files import digest_of, storage_error, write_atomic
from headtohead.store.records import EpochRecord
from headtohead.study_data import StudyData

FORMAT = 1
VERSION = "brain.Event:2"
PREFIX = "events.out.tfevents."
WHOLE = "whole.sha256"
"""Beside the event files of a run that is over: the digest of what they were written from."""

TRAIN = {
    "epoch_accuracy": "accuracy",
    "epoch_loss": "loss",
    "evaluation_accuracy": "train_accuracy",
    "evaluation_loss": "train_loss",
}
VALIDATION = {"epoch_accuracy": "val_accuracy", "epoch_loss": "val_loss"}
RESULTS = {
    "best_val_accuracy": "validation accuracy at the best epoch",
    "last_val_accuracy": "validation accuracy at the last epoch",
    "test_accuracy": "test accuracy at the best epoch",
    "last_overfit": "training minus validation accuracy at the last epoch, a share",
    "test_balanced_accuracy": "balanced accuracy on test at the best epoch",
    "test_macro_f1": "macro-F1 on test at the best epoch",
}
"""Of METRICS: the results that the HParams tab shows, as `result/<name>`; the last two where the
study's verdicts are about them."""

RUNNING = "over the epoch's batches, while weights change and dropout acts"
EVALUATED = "after the epoch, in evaluation mode"
ABOUT = {
    **dict.fromkeys(("accuracy", "loss"), RUNNING),
    "train_accuracy": f"{EVALUATED}, on a fixed sample of training images",
    "train_loss": f"{EVALUATED}, on a fixed sample of training images",
    "val_accuracy": f"{EVALUATED}, on the validation images",
    "val_loss": f"{EVALUATED}, on the validation images",
}
"""How a field of a history is measured, for whoever points at its chart."""

Choice = bool | int | float | str


class RunEvents:
    """The event files of one run, growing while it trains.

    Opening rewrites the run's folder from `history`, so that a resumed run shows no epoch twice.
    Raises StorageError where the files cannot be written.
    """

    def __init__(
        self, data: StudyData, head: str, seed: int, history: Sequence[EpochRecord] = ()
    ) -> None:
        self._folder = run_folder(data.out, head, seed)
        self._now = time.time() - sum(epoch.seconds for epoch in history)
        self._step = 0
        _clear(self._folder)
        self._run = _EventFile(self._folder, self._now)
        self._train = _EventFile(self._folder / "train", self._now)
        self._validation = _EventFile(self._folder / "validation", self._now)
        choices = hparams(data, head, seed)
        self._run.add(_experiment(data, seed, self._now), self._now)
        self._run.add(_session_start(choices, f"{head}/seed-{seed}", self._now), self._now)
        for epoch in history:
            self.epoch(epoch)
        self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def epoch(self, record: EpochRecord) -> None:
        """Show one more epoch, at once."""
        self._step = record.epoch
        self._now += record.seconds
        for file, tags in ((self._train, TRAIN), (self._validation, VALIDATION)):
            for tag, field in tags.items():
                scalar = scalar_pb(tag, getattr(record, field), ABOUT[field])
                file.add(scalar, self._now, record.epoch)
        self._flush()

    def finish(self, results: Mapping[str, float | None], *, failed: bool = False) -> None:
        """Add what came of the run, `result/<name>` for each value that is known, and its end."""
        for name, value in results.items():
            if value is not None and math.isfinite(value):
                scalar = scalar_pb(f"result/{name}", value, RESULTS[name])
                self._run.add(scalar, self._now, self._step)
        status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
        self._run.add(_session_end(status, self._now), self._now)
        self._flush()

    def close(self) -> None:
        """Close the files; nothing can be added after."""
        for file in (self._run, self._train, self._validation):
            file.close()

    def _flush(self) -> None:
        for file in (self._run, self._train, self._validation):
            file.flush()


def make_whole(data: StudyData, run: RunResult) -> bool:
    """Write the event files of a run that is over, unless they are there; returns whether it did.

    Raises StorageError where they cannot be written.
    """
    over = data.run(run.head, run.seed)
    history = over.history if over else ()
    folder = run_folder(data.out, run.head, run.seed)
    results = {name: run.metrics[name] for name in _results(data)}
    content = {
        "format": FORMAT,
        "choices": hparams(data, run.head, run.seed),
        "results": {name: repr(value) for name, value in results.items()},
        "failure": run.failure,
        "history": [epoch.model_dump_json() for epoch in history],
    }
    marker, digest = folder / WHOLE, digest_of(content).encode()
    if marker.is_file() and marker.read_bytes() == digest:
        return False
    with RunEvents(data, run.head, run.seed, history) as events:
        events.finish(results, failed=not run.finished)
    write_atomic(marker, digest)
    return True


def _results(data: StudyData) -> list[str]:
    """The results that are shown of a study's runs, what its verdicts are about among them."""
    asked = ("test_accuracy", PRIMARY[data.study.verdict.metric])
    return [name for name in RESULTS if name in asked or name not in PRIMARY.values()]


def run_folder(out: Path, head: str, seed: int) -> Path:
    """Where the event files of a run are."""
    return out / "tensorboard" / head / f"seed-{seed}"


def hparams(data: StudyData, head: str, seed: int) -> dict[str, Choice]:
    """What distinguishes a run: head, seed, its recipe and its head's options, flat.

    What is not set has no entry, and what it then is by default has its name. The head's parameters
    are in it once one of the head's runs is over.
    """
    study = data.study
    recipe, spec = study.recipe_for(head), study.heads[head]
    usual = {
        "optimizer": recipe.optimizer or "adam",
        "schedule": recipe.schedule or "constant",
        "precision": recipe.arithmetic,
    }
    choices: dict[str, Choice] = {"head": head, "seed": seed}
    choices |= _flat("", recipe.model_dump() | usual)
    choices |= _flat("option.", spec.options)
    if spec.after is not None:
        choices["after"] = spec.after
    over = data.run(head, seed)
    if over is not None:
        choices["parameters"] = over.record.parameters.total
        choices["head_parameters"] = over.record.parameters.head
    return choices


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Choice]:
    flat: dict[str, Choice] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(f"{prefix}{name}.", value)
        elif value is not None:
            known = isinstance(value, bool | int | float | str)
            flat[f"{prefix}{name}"] = value if known else str(value)
    return flat


class _EventFile:
    """One event file, written synchronously; every OSError becomes a StorageError."""

    def __init__(self, folder: Path, started: float) -> None:
        # Ordered by name as TensorBoard reads them: a rewritten run's file comes after.
        self._path = folder / f"{PREFIX}{time.time_ns():020d}.headtohead"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._handle: BinaryIO = self._path.open("wb")
        except OSError as error:
            raise storage_error(self._path, error) from error
        self._records = RecordWriter(self._handle)
        source = SourceMetadata(writer="headtohead")
        self._write(Event(wall_time=started, file_version=VERSION, source_metadata=source))

    def add(self, summary: SummaryProto, wall_time: float, step: int = 0) -> None:
        self._write(Event(wall_time=wall_time, step=step, summary=summary))

    def flush(self) -> None:
        try:
            self._handle.flush()
        except OSError as error:
            raise storage_error(self._path, error) from error

    def close(self) -> None:
        try:
            self._handle.close()
        except OSError as error:
            raise storage_error(self._path, error) from error

    def _write(self, event: Event) -> None:
        try:
            self._records.write(event.SerializeToString())
        except OSError as error:
            raise storage_error(self._path, error) from error


def _clear(folder: Path) -> None:
    """Remove a run's event files, and only those: a watching TensorBoard keeps the folders."""
    try:
        (folder / WHOLE).unlink(missing_ok=True)
        for path in folder.rglob(f"{PREFIX}*"):
            path.unlink()
    except OSError as error:
        raise storage_error(folder, error) from error


def _experiment(data: StudyData, seed: int, now: float) -> SummaryProto:
    """The HParams tab's columns, any head's: it reads them from the first run that it finds."""
    choices: dict[str, Choice] = {}
    for head in data.study.heads:
        choices |= hparams(data, head, seed)
    kinds = {bool: api_pb2.DATA_TYPE_BOOL, str: api_pb2.DATA_TYPE_STRING}
    experiment = api_pb2.Experiment(
        time_created_secs=now,
        hparam_infos=[
            api_pb2.HParamInfo(name=name, type=kinds.get(type(value), api_pb2.DATA_TYPE_FLOAT64))
            for name, value in choices.items()
        ],
        metric_infos=[
            api_pb2.MetricInfo(
                name=api_pb2.MetricName(group="", tag=f"result/{name}"),
                display_name=name.replace("_", " "),
                description=RESULTS[name],
            )
            for name in _results(data)
        ],
    )
    content = plugin_data_pb2.HParamsPluginData(experiment=experiment)
    return _hparams_summary(metadata.EXPERIMENT_TAG, content)


def _session_start(choices: Mapping[str, Choice], name: str, now: float) -> SummaryProto:
    """One row of the HParams table. A group of its own, or runs would be averaged unasked."""
    info = plugin_data_pb2.SessionStartInfo(group_name=name, start_time_secs=now)
    for key, value in choices.items():
        if isinstance(value, bool):
            info.hparams[key].bool_value = value
        elif isinstance(value, str):
            info.hparams[key].string_value = value
        else:
            info.hparams[key].number_value = value
    content = plugin_data_pb2.HParamsPluginData(session_start_info=info)
    return _hparams_summary(metadata.SESSION_START_INFO_TAG, content)


def _session_end(status: int, now: float) -> SummaryProto:
    info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=now)
    content = plugin_data_pb2.HParamsPluginData(session_end_info=info)
    return _hparams_summary(metadata.SESSION_END_INFO_TAG, content)


def _hparams_summary(tag: str, content: Any) -> SummaryProto:
    """As `tensorboard.plugins.hparams.summary` has it, which asks for TensorFlow."""
    summary = SummaryProto()
    found = metadata.create_summary_metadata(content)
    summary.value.add(tag=tag, metadata=found, tensor=metadata.NULL_TENSOR)
    return summary
