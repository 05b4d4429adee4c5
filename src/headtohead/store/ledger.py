"""The ledger: the folder of a study. Every number of a report is computed from it.

<out>/study.yaml          the study, its digest, its images (StudyFile)
<out>/pictures.csv        every image: its row in the prepared set, name, label, split (or .gz)
<out>/runs/<head>/seed-<n>/run.json, history.jsonl, best/last/resume.safetensors
<out>/evidence/…          what probes measured, see `headtohead.store.evidence`
"""

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import yaml
from filelock import FileLock, Timeout
from pydantic import ValidationError

from headtohead.config.differences import differences, head_with_other_settings
from headtohead.config.strict_yaml import write_yaml
from headtohead.config.study import StudySpec, problems
from headtohead.core.errors import StorageError, UsageError, brief
from headtohead.core.files import (
    check_out,
    sha256_of_bytes,
    storage_error,
    unreadable,
    write_atomic,
)
from headtohead.store.records import (
    HISTORY,
    RECORD,
    RESUME,
    EpochRecord,
    Record,
    RunRecord,
    parse_history,
    read_history,
)

STUDY_FILE = "study.yaml"
STUDY_FORMAT: Literal[2] = 2
"""Of `study.yaml`. Files of format 1 say nothing of `batch_norm`: their runs were evaluated with
moving averages."""

SplitName: TypeAlias = Literal["train", "validation", "test"]


class StudyFile(Record):
    """`study.yaml`: the study as it was resolved, and which images it was run on.

    `counts` gives the number of images per split and class, of the first seed's split. `given`
    names the splits that the source gave as folders, and `leaks` counts groups of near-duplicates
    that lie in more than one split, of the first seed's; `quarantined` counts each class's files
    that could not be decoded, and `two_labels` groups of the same images under more than one
    label; ledgers of earlier versions do not say (None). `backbone` is what is known of a backbone
    with weights, in words by topic: its preprocessing, and size, SHA-256 and licence of the
    weights. `functions` is what heads compute, where that is known before they are trained: two of
    one text are the same function. `tunes` is there where the runs are trials: the study whose
    heads are tuned by them, on validation alone, so that they are not probed.
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
    backbone: dict[str, str] | None = None
    functions: dict[str, str] | None = None
    study: StudySpec
    tunes: StudySpec | None = None

    def majority_share(self, split: SplitName) -> float:
        """The accuracy of always predicting the split's most frequent class, in [0, 1]."""
        counts = self.images(split)
        return max(counts) / sum(counts)

    def same_function(self, first: str, other: str) -> str:
        """What both heads compute, in words; empty where they are not known to be alike."""
        functions = self.functions or {}
        found = functions.get(first, "")
        return found if found == functions.get(other) else ""

    @property
    def sizes(self) -> dict[SplitName, int]:
        """The number of images of each split."""
        return {split: sum(counts.values()) for split, counts in self.counts.items()}

    def images(self, split: SplitName) -> list[int]:
        """The number of images of each class, in the order of `classes`."""
        return [self.counts[split].get(name, 0) for name in self.classes]


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
    """A study's folder, open for reading; `create` is its only writer.

    `out` is the folder, `file` what its `study.yaml` says.
    """

    out: Path
    file: StudyFile

    @classmethod
    def open(cls, out: Path) -> Self:
        """The study in the folder `out`, to be read.

        Raises UsageError where it holds no study or one of a format unknown here, and StorageError
        where one may not look.
        """
        path = out / STUDY_FILE
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            return cls(out, StudyFile.model_validate(_upgraded(content)))
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(
                f"{brief(str(out))} holds no study (no {STUDY_FILE}): name the folder that "
                f"`headtohead compare` printed.{_studies_below(out)}"
            ) from None
        except OSError as error:
            raise unreadable(path, error) from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            reason = "it is empty" if path.stat().st_size == 0 else _in_words(error)
            raise UsageError(
                f"{path} cannot be read as a study of this version: {reason}. "
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
        write_atomic(out / STUDY_FILE, write_yaml(file.model_dump(mode="json")).encode())
        return cls(out, file)

    def _extended(self, file: StudyFile) -> StudyFile:
        if file.digest != self.file.digest:
            found = differences(self.file.study, file.study)
            other_images = file.prepared != self.file.prepared
            raise another_study(self, [*["the images"] * other_images, *found] or ["their formats"])
        refuse_other_settings(self, file.study)
        heads = {**self.file.study.heads, **file.study.heads}
        seeds = max(self.file.study.seeds, file.study.seeds)
        # A command without --masks leaves those that an earlier one named.
        masks = file.study.masks or self.file.study.masks
        study = file.study.model_copy(update={"heads": heads, "seeds": seeds, "masks": masks})
        functions = {**(self.file.functions or {}), **(file.functions or {})} or None
        return file.model_copy(update={"study": study, "functions": functions})

    def run_folder(self, head: str, seed: int) -> Path:
        """Where the run of `head` with `seed` is or will be."""
        return self.out / "runs" / head / f"seed-{seed}"

    def run_key(self, head: str, seed: int) -> str:
        """The key that a run of this study must have."""
        return self.file.study.run_key(self.file.digest, head, seed)

    def run(self, head: str, seed: int) -> Run | None:
        """A run that is over and whole, or None (see `damage`).

        Raises UsageError for a record that does not belong here, and StorageError.
        """
        found = self.look_up(head, seed)
        return found if isinstance(found, Run) else None

    def damage(self, head: str, seed: int) -> str | None:
        """In words, why a run that was over is no longer counted: its files were changed.

        None for a run that is whole or not over. Raises as `run` does.
        """
        found = self.look_up(head, seed)
        return found if isinstance(found, str) else None

    def look_up(self, head: str, seed: int) -> Run | str | None:
        """What `run` gives, or else what `damage` gives, read at once. Raises as `run` does."""
        folder = self.run_folder(head, seed)
        path = folder / RECORD
        try:
            record = RunRecord.model_validate_json(path.read_bytes())
            if record.key != self.run_key(head, seed):
                raise UsageError(
                    f"{path} belongs to another study or head (key {record.key[:8]}, expected "
                    f"{self.run_key(head, seed)[:8]}). Delete {folder} to have it trained again."
                )
            if (digest := record.files.get(HISTORY)) is None:
                return Run(record, read_history(folder))
            content = (folder / HISTORY).read_bytes()
            if sha256_of_bytes(content) != digest:
                return f"its {HISTORY} was changed after the run"
            return Run(record, parse_history(content))
        except FileNotFoundError as error:
            return None if error.filename == str(path) else f"its {HISTORY} is gone"
        except NotADirectoryError:
            return None
        except OSError as error:
            raise unreadable(path, error) from error
        except ValidationError as error:
            raise UsageError(
                f"{path} cannot be read as a run of this version: {problems(error)}. "
                f"Delete the folder {folder} to have it trained again."
            ) from error

    def runs(self) -> list[Run]:
        """All runs that are over, seed by seed, heads in the study's order."""
        study = self.file.study
        pairs = [(head, seed) for seed in range(study.seeds) for head in study.heads]
        found = (self.run(head, seed) for head, seed in pairs)
        return [run for run in found if run is not None]

    def heads_with_runs(self) -> tuple[str, ...]:
        """The heads that have a run that is over, in the study's order."""
        have = {run.record.head for run in self.runs()}
        return tuple(head for head in self.file.study.heads if head in have)

    def failures(self) -> list[str]:
        """Runs that failed, in words."""
        return failures_of(self.runs())


def another_study(ledger: Ledger, differences: Iterable[str]) -> UsageError:
    """That the folder has another study, and in what it differs."""
    return UsageError(
        f"{ledger.out} holds another study ({ledger.file.study.name}, digest "
        f"{ledger.file.digest[:8]}): {', '.join(differences)} differ. Choose another --out."
    )


def refuse_other_settings(ledger: Ledger, study: StudySpec) -> None:
    """Raises UsageError where a head of the ledger has other settings in `study`."""
    name = head_with_other_settings(ledger.file.study, study)
    if name is not None:
        raise UsageError(
            f"{ledger.out} has a head {name!r} with other settings "
            f"({ledger.file.study.heads[name]!r}; received {study.heads[name]!r}). Give the new "
            f"one another name, or choose another --out."
        )


def refuse_another(out: Path, study: StudySpec, prepared: str | None = None) -> None:
    """Refuse what `hold` and `Ledger.create` would, before any image is decoded.

    `prepared` is the digest of the images, where it is known. Raises UsageError where `out` holds
    something else or another study, and StorageError.
    """
    refuse_foreign(out)
    if not (out / STUDY_FILE).is_file():
        return
    ledger = Ledger.open(out)
    if found := differences(ledger.file.study, study):
        raise another_study(ledger, found)
    if prepared not in (None, ledger.file.prepared):
        raise another_study(ledger, ["the images"])
    refuse_other_settings(ledger, study)


def failures_of(runs: Iterable[Run]) -> list[str]:
    """Those of `runs` that failed, in words."""
    return [
        f"{run.record.head} seed {run.record.seed}: {run.record.failure.reason} "
        f"(epoch {run.record.failure.epoch}, step {run.record.failure.step})"
        for run in runs
        if run.record.failure
    ]


def _upgraded(content: Any) -> Any:
    """A `study.yaml` of an earlier format in the present one; anything else as it is."""
    if not isinstance(content, dict):
        return content
    if "masks" in content and isinstance(content.get("study"), dict):  # beside the study once
        content["study"].setdefault("masks", content.pop("masks"))
    if content.get("format") != 1:
        return content
    studies = (content.get("study"), content.get("tunes"))
    for study in (study for study in studies if isinstance(study, dict)):
        study["recipe"] = {"batch_norm": "moving", **study.get("recipe", {})}
    return {**content, "format": STUDY_FORMAT}


def _in_words(error: Exception) -> str:
    text = problems(error) if isinstance(error, ValidationError) else str(error)
    return brief(" ".join(text.split()), 300)


@contextmanager
def hold(out: Path) -> Iterator[None]:
    """Hold the folder of a study for writing, making it where it is not there yet.

    What killed writers left in it is removed.
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
        _sweep(out)
        yield
    finally:
        lock.release()


def _sweep(out: Path) -> None:
    """Remove files that were never whole, and positions of runs that are over."""
    folders = ("", "logs/", "runs/**/", "evidence/**/")
    with contextlib.suppress(OSError):  # what cannot be removed is in nobody's way
        left = [path for folder in folders for path in out.glob(f"{folder}.*.tmp")]
        left = [path for path in left if path.stem.rpartition(".")[2].isdecimal()]
        left += [record.with_name(RESUME) for record in out.glob(f"runs/*/*/{RECORD}")]
        for path in left:
            path.unlink(missing_ok=True)


def refuse_foreign(out: Path) -> None:
    """A folder without a study that holds anything but a lock is somebody else's.

    Raises UsageError, and StorageError where one may not look or write.
    """
    check_out(out)
    try:
        if (out / STUDY_FILE).is_file():
            return
        strangers = [p.name for p in out.iterdir() if p.name != ".lock"] if out.exists() else []
    except OSError as error:
        raise storage_error(out, error) from error
    if strangers:
        raise UsageError(
            f"--out {out} is not empty and holds no study (found {brief(repr(strangers[0]))}): "
            f"choose another folder."
        )


def _studies_below(out: Path) -> str:
    """The newest study in `out` or its `runs`, as a proposal; else nothing."""
    with contextlib.suppress(OSError):
        below = [*out.glob(f"*/{STUDY_FILE}"), *out.glob(f"runs/*/{STUDY_FILE}")]
        if below:
            newest = max(below, key=lambda path: path.stat().st_mtime).parent
            return f" The newest in it is {brief(repr(str(newest)), 200)}."
    return ""
