"""The records a run leaves in the ledger, as frozen models: the file formats, in one place."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from headtohead.config.study import problems
from headtohead.core.errors import UsageError
from headtohead.core.files import unreadable, write_atomic

FORMAT: Literal[1] = 1
HISTORY, RECORD = "history.jsonl", "run.json"
BEST, LAST, RESUME = "best.safetensors", "last.safetensors", "resume.safetensors"

NUMERIC_ENVIRONMENT = ("torch", "platform", "device", "processor", "threads", "kernels")
"""Entries of a run's environment that change its numbers: where they differ, no pair is made."""

FUSED_PRECISIONS = (None, "float32")
"""Precisions that the fused kernels compute in; records before there was a choice say none."""


class Record(BaseModel):
    """Base of all records: immutable; an unknown field is an error, so a newer format shows."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)


SomeRecord = TypeVar("SomeRecord", bound=Record)


def read_record(path: Path, kind: type[SomeRecord], what: str, lost: str) -> SomeRecord | None:
    """What a study's folder says in the file `path` of its own; None where there is no such file.

    Raises UsageError for a file that says something else than `what`, with what is `lost` without
    it, and StorageError for one that cannot be read.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(path, error) from error
    except ValidationError as error:
        raise UsageError(
            f"{path} cannot be read as {what} of this version: {problems(error)}. Restore it: "
            f"without it nothing says {lost}."
        ) from error


def write_record(path: Path, record: Record) -> None:
    """Write a file that `read_record` reads, whole or not at all."""
    content = json.dumps(record.model_dump(mode="json"), indent=1, ensure_ascii=False)
    write_atomic(path, f"{content}\n".encode())


class EpochRecord(Record):
    """One line of `history.jsonl`.

    `loss` and `accuracy` are the running training metrics, as Keras prints them: means over the
    epoch's batches while the weights move and dropout acts. `train_*` are measured in evaluation
    mode after the epoch on the fixed sample of the training split, `val_*` likewise on the whole
    validation split. Accuracies are shares in [0, 1]; losses are cross-entropies in nats.
    """

    epoch: int
    loss: float
    accuracy: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float
    cpu_seconds: float
    pictures_per_second: float

    def beats(self, other: "EpochRecord | None") -> bool:
        """Whether this epoch is the better one: validation accuracy, then loss, then earlier."""
        if other is None:
            return True
        mine = (self.val_accuracy, -self.val_loss, -self.epoch)
        return mine > (other.val_accuracy, -other.val_loss, -other.epoch)


class Parameters(Record):
    """Parameter counts of a model. `total` has batch-norm statistics in it, as Keras counts."""

    backbone: int
    head: int
    trainable: int
    total: int

    @property
    def has_statistics(self) -> bool:
        """Whether a model holds more than its parameters: batch-norm statistics."""
        return self.total > self.backbone + self.head


class Failure(Record):
    """Why and where a run stopped: the step counts from 1 within its epoch."""

    reason: str
    epoch: int
    step: int


class RunRecord(Record):
    """`run.json`: written last and atomically, so that a run is finished or it is not.

    `files` maps each of the run's other files to its sha256. `key` identifies what was trained:
    study digest, the head with its options and recipe, and the seed. `source` is the SHA-256 of
    the code of a head of the user's own (`headtohead.core.source_code`); None for shipped heads,
    and in records of version 0.1.
    """

    format: Literal[1] = FORMAT
    key: str
    head: str
    seed: int
    status: Literal["finished", "failed"]
    failure: Failure | None = None
    epochs: int
    best_epoch: int | None
    parameters: Parameters
    feature_maps: tuple[int, int, int]
    environment: dict[str, str]
    seconds: float
    cpu_seconds: float
    files: dict[str, str]
    source: str | None = None


def read_history(folder: Path) -> tuple[EpochRecord, ...]:
    """The epochs in a run's `history.jsonl`; empty where there is none.

    A last line cut short by a crash is left out: its epoch is computed again. Raises
    pydantic.ValidationError for lines of another format.
    """
    path = folder / HISTORY
    return parse_history(path.read_bytes()) if path.is_file() else ()


def parse_history(content: bytes) -> tuple[EpochRecord, ...]:
    """What `read_history` reads, from the file's bytes; raises as it does."""
    return tuple(EpochRecord.model_validate_json(line) for line in content.split(b"\n")[:-1])


def with_kernels(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with its kernels: version 0.1 fused on the CPU in float32, and did not say.

    It knew no other backbone and always had Numba.
    """
    fused = environment.get("device") == "cpu" and environment.get("precision") in FUSED_PRECISIONS
    return {"kernels": "fused" if fused else "plain", **environment}
