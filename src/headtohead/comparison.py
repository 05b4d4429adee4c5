"""The main path: prepare → plan → run what is missing → probe → report."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias, Unpack

import torch

import headtohead
from headtohead.crew import Crew, worker_setups
from headtohead.data.pipeline import prepare_study, split_study
from headtohead.data.prepared import GIVEN_SPLITS, PreparedSet
from headtohead.data.split import leaks
from headtohead.display import Display
from headtohead.errors import UsageError
from headtohead.finished import Comparison
from headtohead.machine import cache_folder
from headtohead.models.backbones import build_backbone
from headtohead.models.classifier import build_classifier
from headtohead.probes.pictures import keep_pictures, margin_of
from headtohead.report.comparisons import look_differences
from headtohead.report.figures import write_figures
from headtohead.report.page.kept import keep_thumbnails
from headtohead.report.render import render
from headtohead.spec import StudySpec
from headtohead.study.ledger import Ledger, StudyFile, hold
from headtohead.study.looks import check_design, follow
from headtohead.study.options import StudyOptions, study_from
from headtohead.study.pictures import picture_table, write_pictures
from headtohead.study.plan import Job, jobs_of
from headtohead.training.device import check_precision

Keep: TypeAlias = Callable[[Ledger, set[int]], None]
"""Puts the pictures that probes look at into a ledger, for some seeds."""


def compare(
    study: str | Path | None = None,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    deterministic: bool = False,
    cache: str | Path | None = None,
    masks: str | Path | None = None,
    **options: Unpack[StudyOptions],
) -> Comparison:
    """Run what is missing of a study, and report on all of it.

    `study` is a shipped study's name or a YAML file; by default it is `quick`, on drawn pictures,
    or `standard` where `data` is given. `options` (data, heads, seeds, epochs, image_size, resize,
    limit, batch_size, learning_rate, precision, until_decided: see StudyOptions) win over it. All
    have the names and the meaning of the command's. The same call again resumes, skips what is
    finished and adds what is new. `deterministic` makes runs on a GPU repeatable to the bit, as
    those on a CPU always are.
    `masks` is a folder with a mask of each picture, for scoring class maps
    (see `headtohead.probes.pictures.collect_masks`). Raises UsageError, DataError and
    StorageError; runs that failed are told in `Comparison.failures`.
    """
    spec = study_from(study, **options)
    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be at least 1; received {workers}.")
    _check_models(spec)
    setups = worker_setups(device, workers, deterministic=deterministic)
    for head in spec.heads:
        check_precision(spec.recipe_for(head).arithmetic, torch.device(setups[0]["device"]))
    with Display() as display:
        source, prepared = prepare_study(spec, cache=cache_folder(cache), progress=display.progress)
        file = study_file(spec, prepared)
        folder = Path(out) if out is not None else default_out(file)
        keep = partial(
            keep_pictures,
            source=source,
            prepared=prepared,
            margin=_margin(spec),
            masks=None if masks is None else Path(masks),
            progress=display.progress,
        )
        with hold(folder), Crew(folder, prepared, setups, display) as crew:
            return _compare(folder, file, crew, keep)


def _compare(folder: Path, file: StudyFile, crew: Crew, keep: Keep) -> Comparison:
    """Everything that is written into the study's `folder`, which the caller holds."""
    spec, prepared = file.study, crew.prepared
    check_design(folder, file)
    if spec.tuning is not None:
        crew.display.note(
            "This study's heads are compared as they are, untuned: `headtohead tune` searches each "
            "one's settings and writes the study that compares the winners."
        )
    ledger = Ledger.create(folder, file)
    split = split_study(spec, prepared, 0) if spec.split.mode == "fixed" else None
    write_pictures(folder, picture_table(prepared, split))
    failures = _run_study(ledger, spec, crew, keep)
    ledger = Ledger.open(folder)  # looks add seeds
    failures += crew.time_heads(ledger, spec.heads)
    crew.display.note("Drawing the report")
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
            "given": [name for name in GIVEN_SPLITS if name in prepared.given],
            "leaks": len(leaks(prepared, parts)),
            "study": spec,
        }
    )


def default_out(file: StudyFile) -> Path:
    """`runs/<study>-<first 8 of the digest>`."""
    return Path("runs") / f"{file.study.name}-{file.digest[:8]}"


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


def _run_study(ledger: Ledger, spec: StudySpec, crew: Crew, keep: Keep) -> list[str]:
    """All runs of the study, or as many as its sequential design takes; failures in words."""

    def run(ledger: Ledger, jobs: list[Job]) -> list[str]:
        keep(ledger, {job.seed for job in jobs})
        return crew.train(ledger, jobs)

    if spec.verdict.until_decided is None:
        return run(ledger, jobs_of(spec.heads, spec.seeds))
    return follow(ledger, spec, run=run, differences=look_differences, note=crew.display.note)
