"""The ledger: the folder of a study. Every number of a report is computed from it.

<out>/study.yaml          the study, its digest, its pictures (StudyFile)
<out>/pictures.csv        every picture: its row in the prepared set, name, label, split
<out>/runs/<head>/seed-<n>/run.json, history.jsonl, best/last/resume.safetensors
<out>/evidence/…          what probes measured, see `headtohead.store.evidence`
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import yaml
from filelock import FileLock, Timeout
from pydantic import ValidationError

from headtohead.config.study import StudySpec
from headtohead.core.errors import StorageError, UsageError
from headtohead.core.files import storage_error, write_atomic
from headtohead.store.records import RECORD, EpochRecord, Record, RunRecord, read_history

STUDY_FILE = "study.yaml"
STUDY_FORMAT: Literal[2] = 2
"""Of `study.yaml`. Files of format 1 say nothing of `batch_norm`: their runs were evaluated with
moving averages."""

SplitName: TypeAlias = Literal["train", "validation", "test"]

MASKS_ELSEWHERE = "MASKS"
"""Stands for a folder of masks that was named by an absolute path: it is one machine's own."""


class StudyFile(Record):
    """`study.yaml`: the study as it was resolved, and which pictures it was run on.

    `counts` gives the number of pictures per split and class, of the first seed's split. `given`
    names the splits that the source gave as folders, and `leaks` counts groups of near-duplicates
    that lie in more than one split, of the first seed's; `quarantined` counts each class's files
    that could not be decoded, and `two_labels` groups of the same images under more than one
    label; ledgers of earlier versions do not say (None). `masks` is the folder of masks as
    `--masks` named it, or MASKS_ELSEWHERE. `tunes` is there where the runs are trials: the study
    whose heads are tuned by them, on validation alone, so that they are not probed.
    """

    format: Literal[2] = STUDY_FORMAT
    headtohead: str
    digest: str
    prepared: str
    classes: tuple[str, ...]
    counts: dict[SplitName, dict[str, int]]
    given: tuple[SplitName, ...] | None = None
    leaks: int | None = None
    quarantined: dict[str, int] | None = None
    two_labels: int | None = None
    masks: str | None = None
    study: StudySpec
    tunes: StudySpec | None = None

    def majority_share(self, split: SplitName) -> float:
        """The accuracy of always naming the split's most frequent class, in [0, 1]."""
        counts = self.counts[split].values()
        return max(counts) / sum(counts)


@dataclass(frozen=True)
class Run:
    """A run that is over: its record and its epochs."""

    record: RunRecord
    history: tuple[EpochRecord, ...]

    @property
    def best(self) -> EpochRecord | None:
        """The epoch chosen on validation; None where no epoch was completed."""
        if self.record.best_epoch is None:
            return None
        return next(e for e in self.history if e.epoch == self.record.best_epoch)


@dataclass(frozen=True)
class Ledger:
    """A study's folder, open for reading; `create` and `extend` are the only writers."""

    out: Path
    file: StudyFile

    @classmethod
    def open(cls, out: Path) -> Self:
        """Raises UsageError where `out` holds no study or one of a format unknown here."""
        path = out / STUDY_FILE
        if not path.is_file():
            raise UsageError(
                f"{out} holds no study (no {STUDY_FILE}): name the folder that "
                f"`headtohead compare` printed."
            )
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            return cls(out, StudyFile.model_validate(_upgraded(content)))
        except (yaml.YAMLError, ValidationError, UnicodeDecodeError) as error:
            reason = "it is empty" if path.stat().st_size == 0 else " ".join(str(error).split())
            raise UsageError(
                f"{path} cannot be read as a study of this version: {reason[:300]}. "
                f"Restore it from a copy, or choose another folder."
            ) from error

    @classmethod
    def create(cls, out: Path, file: StudyFile) -> Self:
        """Open `out` for this study: a new folder, or one of the same digest, extended.

        The caller holds the folder (`hold`). Heads and seeds grow; what was there stays. Raises
        UsageError where the folder holds another study, or a head of the same name trained
        otherwise.
        """
        if (out / STUDY_FILE).is_file():
            before = cls.open(out)
            file = before._extended(file)
            if file == before.file:
                return before
        content = yaml.safe_dump(
            file.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100
        )
        write_atomic(out / STUDY_FILE, content.encode())
        return cls(out, file)

    def _extended(self, file: StudyFile) -> StudyFile:
        if file.digest != self.file.digest:
            raise UsageError(
                f"{self.out} holds another study ({self.file.study.name}, digest "
                f"{self.file.digest[:8]}; this one has {file.digest[:8]}): pictures, split, "
                f"backbone or recipe differ. Choose another --out."
            )
        heads = dict(self.file.study.heads)
        for name, head in file.study.heads.items():
            if heads.setdefault(name, head) != head:
                raise UsageError(
                    f"{self.out} has a head {name!r} with other settings ({heads[name]!r}; "
                    f"received {head!r}). Give the new one another name, or choose another --out."
                )
        seeds = max(self.file.study.seeds, file.study.seeds)
        study = file.study.model_copy(update={"heads": heads, "seeds": seeds})
        # A command without --masks leaves those that an earlier one kept.
        return file.model_copy(update={"study": study, "masks": file.masks or self.file.masks})

    def remember_masks(self, folder: Path) -> None:
        """Write into `study.yaml` which folder of masks `--masks` named. Raises StorageError."""
        name = MASKS_ELSEWHERE if folder.is_absolute() else folder.as_posix()
        self.create(self.out, self.file.model_copy(update={"masks": name}))

    def run_folder(self, head: str, seed: int) -> Path:
        """Where the run of `head` with `seed` is or will be."""
        return self.out / "runs" / head / f"seed-{seed}"

    def run_key(self, head: str, seed: int) -> str:
        """The key that a run of this study must have."""
        return self.file.study.run_key(self.file.digest, head, seed)

    def run(self, head: str, seed: int) -> Run | None:
        """A run that is over, or None. Raises UsageError for a record that does not belong here."""
        folder = self.run_folder(head, seed)
        path = folder / RECORD
        if not path.is_file():
            return None
        try:
            record = RunRecord.model_validate_json(path.read_bytes())
            history = read_history(folder)
        except ValidationError as error:
            raise UsageError(
                f"{path} cannot be read as a run of this version: {error}. "
                f"Delete the folder {folder} to have it trained again."
            ) from error
        if record.key != self.run_key(head, seed):
            raise UsageError(
                f"{path} belongs to another study or head (key {record.key[:8]}, expected "
                f"{self.run_key(head, seed)[:8]}). Delete {folder} to have it trained again."
            )
        return Run(record, history)

    def runs(self) -> list[Run]:
        """All runs that are over, seed by seed, heads in the study's order."""
        study = self.file.study
        pairs = [(head, seed) for seed in range(study.seeds) for head in study.heads]
        found = (self.run(head, seed) for head, seed in pairs)
        return [run for run in found if run is not None]

    def failures(self) -> list[str]:
        """Runs that failed, in words."""
        return [
            f"{run.record.head} seed {run.record.seed}: {run.record.failure.reason} "
            f"(epoch {run.record.failure.epoch}, step {run.record.failure.step})"
            for run in self.runs()
            if run.record.failure
        ]


def _upgraded(content: Any) -> Any:
    """A `study.yaml` of an earlier format in the present one; anything else as it is."""
    if not isinstance(content, dict) or content.get("format") != 1:
        return content
    studies = (content.get("study"), content.get("tunes"))
    for study in (study for study in studies if isinstance(study, dict)):
        study["recipe"] = {"batch_norm": "moving", **study.get("recipe", {})}
    return {**content, "format": STUDY_FORMAT}


@contextmanager
def hold(out: Path) -> Iterator[None]:
    """Hold the folder of a study for writing, making it where it is not there yet.

    Raises UsageError where the folder holds something else, and StorageError where it may not be
    written or another process holds it.
    """
    refuse_foreign(out)
    lock = FileLock(out / ".lock", timeout=0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise StorageError(
            f"another headtohead is writing to {out}: wait for it, or choose another --out."
        ) from None
    except OSError as error:
        raise storage_error(out, error) from error
    try:
        yield
    finally:
        lock.release()


def refuse_foreign(out: Path) -> None:
    """A folder without a study that holds anything but a lock is somebody else's.

    Raises UsageError, and StorageError where one may not look.
    """
    try:
        if (out / STUDY_FILE).is_file():
            return
        if out.exists() and not out.is_dir():
            raise UsageError(f"--out {out} is a file; name a folder.")
        strangers = [p.name for p in out.iterdir() if p.name != ".lock"] if out.exists() else []
    except OSError as error:
        raise storage_error(out, error) from error
    if strangers:
        raise UsageError(
            f"--out {out} is not empty and holds no study (found {json.dumps(strangers[0])}): "
            f"choose another folder."
        )
