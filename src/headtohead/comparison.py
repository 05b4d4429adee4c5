"""The main path: prepare → plan → run what is missing → probe → report."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import headtohead
from headtohead.data.pipeline import prepare_study, split_study
from headtohead.data.prepared import PreparedSet
from headtohead.display import Display
from headtohead.errors import RunError, UsageError
from headtohead.machine import cache_folder, usable_cores
from headtohead.models.backbones import build_backbone
from headtohead.models.classifier import build_classifier
from headtohead.probes.evidence import read_speed, speed_key, speed_path
from headtohead.probes.pictures import keep_pictures, margin_of
from headtohead.records import EpochRecord, read_history
from headtohead.report.comparisons import look_differences
from headtohead.report.figures import write_figures
from headtohead.report.page.kept import keep_thumbnails
from headtohead.report.render import render
from headtohead.report.summary import Summary
from headtohead.report.tensorboard import RunEvents
from headtohead.spec import StudySpec
from headtohead.study.executor import AnyJob, Event, execute
from headtohead.study.ledger import Ledger, StudyFile, hold
from headtohead.study.looks import follow
from headtohead.study.options import study_from
from headtohead.study.pictures import picture_table, write_pictures
from headtohead.study.plan import Job, SpeedJob, is_done, jobs_of, lost
from headtohead.training.device import choose_device


@dataclass(frozen=True)
class Comparison:
    """A study that was run: its ledger and what it says. `failures` names runs that failed."""

    ledger: Ledger
    summary: Summary
    failures: tuple[str, ...]

    @property
    def out(self) -> Path:
        """The study's folder."""
        return self.ledger.out

    def raise_for_failures(self) -> None:
        """Raises RunError where runs failed; the others are complete."""
        if self.failures:
            raise RunError(
                f"{len(self.failures)} of the runs failed: {'; '.join(self.failures)}. "
                f"The others are complete in {self.out}."
            )


def compare(
    study: str | Path | None = None,
    *,
    data: str | Path | None = None,
    heads: str | Sequence[str] | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    image_size: int | None = None,
    resize: str | None = None,
    limit: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    cache: str | Path | None = None,
    until_decided: str | None = None,
    masks: str | Path | None = None,
) -> Comparison:
    """Run what is missing of a study, and report on all of it.

    `study` is a shipped study's name or a YAML file; by default it is `quick`, on drawn pictures,
    or `standard` where `data` is given. The other arguments have the names and the meaning of the
    command's options and win over it. The same call again resumes, skips what is finished and
    adds what is new. `until_decided` names a head that is compared with the reference
    sequentially: seeds are added until a look decides (see `headtohead.study.looks`).
    `masks` is a folder with a mask of each picture, for scoring class maps
    (see `headtohead.probes.pictures.collect_masks`). Raises UsageError, DataError and
    StorageError; runs that failed are told in `Comparison.failures`.
    """
    spec = study_from(
        study,
        data=data,
        heads=heads,
        seeds=seeds,
        epochs=epochs,
        image_size=image_size,
        resize=resize,
        limit=limit,
        batch_size=batch_size,
        learning_rate=learning_rate,
        until_decided=until_decided,
    )
    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be at least 1; received {workers}.")
    _check_models(spec)
    setups = worker_setups(device, workers)
    with Display() as display:
        source, prepared = prepare_study(spec, cache=cache_folder(cache), progress=display.progress)
        file = study_file(spec, prepared)
        folder = Path(out) if out is not None else default_out(file)
        with hold(folder):
            ledger = Ledger.create(folder, file)
            fixed = spec.split.mode == "fixed"
            split = split_study(spec, prepared, 0) if fixed else None
            write_pictures(folder, picture_table(prepared, split))
            keep = partial(
                keep_pictures,
                source=source,
                prepared=prepared,
                margin=_margin(spec),
                masks=None if masks is None else Path(masks),
                progress=display.progress,
            )
            failures = _run_study(ledger, spec, prepared, setups, display, keep)
            ledger = Ledger.open(folder)  # looks add seeds
            failures += _time_heads(ledger, spec, prepared, setups, display)
            display.note("Drawing the report")
            keep_thumbnails(ledger, prepared)
            summary = render(ledger)
            write_figures(ledger)
    return Comparison(ledger, summary, tuple(failures))


def study_file(spec: StudySpec, prepared: PreparedSet) -> StudyFile:
    """What the ledger remembers of the study and its pictures."""
    parts = split_study(spec, prepared, 0)
    counts = {
        name: {
            label: int((prepared.labels[getattr(parts, name)] == index).sum())
            for index, label in enumerate(prepared.classes)
        }
        for name in ("train", "validation", "test")
    }
    return StudyFile.model_validate(
        {
            "headtohead": headtohead.__version__,
            "digest": spec.digest(prepared.digest),
            "prepared": prepared.digest,
            "classes": prepared.classes,
            "counts": counts,
            "study": spec,
        }
    )


def default_out(file: StudyFile) -> Path:
    """`runs/<study>-<first 8 of the digest>`."""
    return Path("runs") / f"{file.study.name}-{file.digest[:8]}"


def worker_setups(device: str, workers: int | None) -> list[dict[str, Any]]:
    """One setup for each worker process: by default one for each core, or one for each GPU."""
    chosen = choose_device(device)
    cores = usable_cores()
    count = workers or (1 if chosen.type == "cuda" else len(cores))
    # Pinned only where the workers fill the machine: two small studies must not share one core.
    pinned = chosen.type == "cpu" and count == len(cores)
    return [
        {"worker": i, "device": str(chosen), "core": cores[i] if pinned else None}
        for i in range(count)
    ]


def _check_models(spec: StudySpec) -> None:
    """Build every model once, so that a name or size that cannot work is told before the work."""
    for name, head in spec.heads.items():
        build_classifier(
            spec.backbone, name, head, image_size=spec.pictures.image_size, classes=2, seed=0
        )


def _margin(spec: StudySpec) -> int:
    """How far windows move over the probe pictures, in pixels."""
    blocks = len(build_backbone(spec.backbone.name, spec.backbone.options).widths)
    return margin_of(spec.pictures.image_size, 2**blocks)


def _run_study(
    ledger: Ledger,
    spec: StudySpec,
    prepared: PreparedSet,
    setups: list[dict[str, Any]],
    display: Display,
    keep: Callable[[Ledger, set[int]], None],
) -> list[str]:
    """All runs of the study, or as many as its sequential design takes; failures in words.

    `keep` puts the pictures that probes look at into the ledger, for some seeds.
    """

    def run(ledger: Ledger, jobs: list[Job]) -> list[str]:
        keep(ledger, {job.seed for job in jobs})
        return _run_missing(ledger, jobs, prepared, setups, display)

    if spec.verdict.until_decided is None:
        return run(ledger, jobs_of(spec.heads, spec.seeds))
    return follow(ledger, spec, run=run, differences=look_differences, note=display.note)


def _run_missing(
    ledger: Ledger,
    jobs: list[Job],
    prepared: PreparedSet,
    setups: list[dict[str, Any]],
    display: Display,
) -> list[str]:
    """Train what is not there yet; the failures of the study's runs, old and new, in words."""
    waiting = [job for job in jobs if not is_done(ledger, job)]
    watch = _Watch(ledger, display)
    display.begin(ledger, jobs, waiting)
    _execute(waiting, ledger, prepared, setups, watch.event)
    for job in jobs:
        if gone := lost(ledger, job):
            display.note(f"{job}: its weights are gone, and with them {', '.join(gone)}")
    return [
        *(
            f"{run.record.head} seed {run.record.seed}: {run.record.failure.reason} "
            f"(epoch {run.record.failure.epoch}, step {run.record.failure.step})"
            for run in ledger.runs()
            if run.record.failure
        ),
        *watch.errors,
    ]


def _time_heads(
    ledger: Ledger,
    spec: StudySpec,
    prepared: PreparedSet,
    setups: list[dict[str, Any]],
    display: Display,
) -> list[str]:
    """Measure the speed of all heads, one worker alone; what went wrong, in words.

    Anew whenever a head has come: heads are measured together or not at all.
    """
    heads = tuple(ledger.file.study.heads)
    key = speed_key([ledger.run_key(head, 0) for head in heads])
    if read_speed(speed_path(ledger.out), key) is not None:
        return []
    # A head of the user's own runs code: it is imported only where this command names it.
    strangers = [h for h in heads if ":" in (ledger.file.study.heads[h].head or "")]
    if not set(strangers) <= set(spec.heads):
        display.note(f"Speed is not measured anew: name {', '.join(strangers)} in --heads for it")
        return []
    display.note("Timing the heads")
    errors: list[str] = []

    def on_event(job: SpeedJob, event: Event) -> None:
        if event["event"] == "error":
            errors.append(f"{job}: {event['message']}")

    _execute([SpeedJob(heads)], ledger, prepared, setups[:1], on_event)
    return errors


def _execute(
    jobs: Sequence[AnyJob],
    ledger: Ledger,
    prepared: PreparedSet,
    setups: list[dict[str, Any]],
    on_event: Callable[[AnyJob, Event], None],
) -> None:
    shared = {"out": str(ledger.out.resolve()), "prepared": str(prepared.folder.resolve())}
    execute(
        jobs,
        # -P: a torch.py in the user's current folder must not be taken for torch.
        command=[sys.executable, "-P", "-m", "headtohead.worker"],
        setups=[{**setup, **shared} for setup in setups],
        logs=ledger.out / "logs",
        on_event=on_event,
    )


class _Watch:
    """Passes on what workers say: to the display, and to TensorBoard while a run goes on."""

    def __init__(self, ledger: Ledger, display: Display) -> None:
        self._ledger, self._display = ledger, display
        self._events: dict[Job, RunEvents] = {}
        self.errors: list[str] = []

    def event(self, job: Job, event: Event) -> None:
        """One event of the worker that has `job`."""
        self._display.event(job, event)
        kind = event["event"]
        if kind == "start":
            history = read_history(self._ledger.run_folder(job.head, job.seed))
            done = history[: event["epochs"]]
            self._events[job] = RunEvents(self._ledger, job.head, job.seed, done)
        elif kind == "epoch":
            self._events[job].epoch(EpochRecord.model_validate(event["record"]))
        elif kind in ("done", "error"):
            if job in self._events:
                self._events.pop(job).close()
            if kind == "error":
                self.errors.append(f"{job}: {event['message']}")
