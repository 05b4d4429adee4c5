"""One job, done: a run trained and probed, all heads measured, or a figure drawn.

Needs the ledger's folder and the prepared set, and nothing else: any process on any machine that
has both can do it.
"""

import time
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch

from headtohead.core.errors import RunError
from headtohead.core.source_code import loaded_digest, source_digest
from headtohead.data.feature_cache import FeatureKey, key_of
from headtohead.data.pipeline import split_study
from headtohead.data.prepared import PreparedSet, load_prepared
from headtohead.data.split import Split, in_stored_order
from headtohead.probes.stage import collect_missing, collect_session
from headtohead.runtime.jobs import AnyJob, FiguresJob, Job, SessionJob
from headtohead.store.ledger import STUDY_FILE, Ledger
from headtohead.store.records import EpochRecord
from headtohead.training.feature_extraction import CachedFeatures
from headtohead.training.inputs import Features, Inputs, Pictures
from headtohead.training.plans import RunPlan, run_plan
from headtohead.training.run import train

STEP_INTERVAL = 0.5  # seconds between two signs of life within an epoch


class Tell(Protocol):
    """Passes on an event of a job (see `headtohead.runtime.executor.Event`)."""

    def __call__(self, event: str, **details: Any) -> None:
        """One event and its details, as JSON has them."""


class Workplace:
    """What stays from job to job: the ledger's folder, the images, a split and the device."""

    def __init__(self, out: Path, prepared: Path, device: torch.device) -> None:
        self.out = out
        self.prepared: PreparedSet = load_prepared(prepared)
        self.device = device
        self._features: tuple[FeatureKey, Features] | None = None
        self._ledger: tuple[tuple[int, ...], Ledger] | None = None
        self._split: tuple[tuple[str, int], Split] | None = None

    @cached_property
    def pictures(self) -> Pictures:
        """All images, on the device; nobody asks for them where the backbone is frozen."""
        return Pictures(self.prepared.images, self.prepared.labels, self.device)

    def ledger(self) -> Ledger:
        """The ledger, whose study is read again when its file is another.

        Raises as `Ledger.open` does.
        """
        try:
            found = (self.out / STUDY_FILE).stat()
        except OSError:
            return Ledger.open(self.out)  # which says what is wrong
        written = (found.st_ino, found.st_mtime_ns, found.st_size)
        if self._ledger is None or self._ledger[0] != written:
            self._ledger = written, Ledger.open(self.out)
        return self._ledger[1]

    def split(self, ledger: Ledger, seed: int) -> Split:
        """The split that replicate `seed` is trained on; the last one is kept. Raises DataError."""
        study = ledger.file.study
        key = (ledger.file.digest, study.split.seed_for(seed))
        if self._split is None or self._split[0] != key:
            self._split = key, split_study(study, self.prepared, seed)
        return self._split[1]

    def inputs(self, ledger: Ledger, seed: int, watch: "Watch") -> Inputs:
        """The images; their features, kept from job to job, where the backbone is frozen."""
        study, device = ledger.file.study, self.device
        if not study.backbone.frozen:
            return self.pictures
        key = key_of(study, self.prepared.digest, seed=seed, device=device.type)
        if self._features is None or self._features[0] != key:
            self._features = None  # their memory is free before the next are read
            cache = self.prepared.folder.parents[1]
            cached = CachedFeatures(key, study.backbone, cache, seed, device)
            self._features = key, cached.of_prepared(self.prepared, watch.features)
        return self._features[1]


def run_job(job: AnyJob, place: Workplace, tell: Tell) -> str:
    """Do one job; "finished" or "failed". What happens is told while it happens.

    Raises the errors of `headtohead.training.run.train` and of probes.
    """
    ledger = place.ledger()
    watch = Watch(tell)
    if isinstance(job, SessionJob):
        plans = tuple(_plan(ledger, head, 0) for head in job.heads)
        parts = place.split(ledger, 0)
        inputs = place.inputs(ledger, 0, watch)
        collect_session(ledger, job.probe, plans, inputs, parts, watch.note)
        return "finished"
    if isinstance(job, FiguresJob):
        # matplotlib, which no other job needs
        from headtohead.report.formats import figures
        from headtohead.study_data import StudyData

        write = [known for known in figures.CURVE_METRICS if known.name == job.metric]
        figures.write_figures(StudyData(ledger), write)
        return "finished"
    return _train_and_probe(ledger, job, place, watch)


def _train_and_probe(ledger: Ledger, job: Job, place: Workplace, watch: "Watch") -> str:
    plan = _plan(ledger, job.head, job.seed)
    parts = place.split(ledger, job.seed)
    run = ledger.run(job.head, job.seed)
    ordered = in_stored_order(parts, place.prepared) if plan.recipe.stored_order else parts
    inputs = place.inputs(ledger, job.seed, watch)
    folder = ledger.run_folder(job.head, job.seed)
    record = run.record if run else train(plan, inputs, ordered, folder, watch)
    if record.status == "finished":
        collect_missing(ledger, plan, inputs, parts, watch.note)
    return record.status


def _plan(ledger: Ledger, head: str, seed: int) -> RunPlan:
    spec = ledger.file.study.heads[head]
    return replace(run_plan(ledger, head, seed), source=_source(head, spec.head or head))


class Watch:
    """Tells of a run as it goes."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._last_step = tell, 0.0

    def start(self, epochs: int) -> None:
        """Training resumes after `epochs` epochs."""
        self._tell("start", epochs=epochs)

    def step(self, epoch: int, done: int, pictures: int) -> None:
        """A sign of life, not too often."""
        if self._due():
            self._tell("step", epoch=epoch, done=done, pictures=pictures)

    def features(self, done: int, pictures: int, left: float) -> None:
        """Features are being computed: a sign of life, not too often, and the last."""
        if self._due() or done == pictures:
            self._tell("features", done=done, pictures=pictures, left=left)

    def epoch(self, record: EpochRecord) -> None:
        """An epoch is on disk."""
        self._tell("epoch", record=record.model_dump())

    def note(self, message: str) -> None:
        """Something a user should know."""
        self._tell("note", message=message)

    def _due(self) -> bool:
        now = time.monotonic()
        due = now - self._last_step >= STEP_INTERVAL
        self._last_step = now if due else self._last_step
        return due


def _source(name: str, head: str) -> str | None:
    """The digest of the code that this process has of `head`. Raises RunError where it is old."""
    loaded = loaded_digest(head)
    if source_digest(head) != loaded:
        raise RunError(
            f"the source of {name} changed while the study ran. Give the same command again once "
            f"it stays as it is."
        )
    return loaded
