"""The main path, from what is asked for to the report.

preflight (a first worker says whether the study can be run, and on what) → prepare (images decoded
and resized once, split) → train (every head × every seed that is missing) and probe (each finished
run) → measure all heads together (speed) → analyse and report.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeAlias, Unpack

from headtohead.config.from_options import study_from
from headtohead.config.options import StudyOptions, documented
from headtohead.config.steps import step_lines
from headtohead.config.study import StudySpec
from headtohead.core.files import expanded
from headtohead.core.text import names
from headtohead.data.holdout import holdout_lines
from headtohead.data.pipeline import split_study
from headtohead.data.prepared import PreparedSet
from headtohead.probes.probe_images import check_masks_folder, keep_images, margin_of
from headtohead.report.comparisons import look_differences
from headtohead.report.page.thumbnails import keep_thumbnails
from headtohead.report.render import render
from headtohead.report.summary import Summary
from headtohead.result import Comparison
from headtohead.runtime.interim import (
    check_design,
    follow,
    jobs_without_look,
    late_change,
    late_notes,
)
from headtohead.runtime.jobs import Job
from headtohead.runtime.preflight import guidance_of, question_about
from headtohead.runtime.progress import Display
from headtohead.runtime.retraining import Retraining, clear_outdated
from headtohead.runtime.runner import StudyRunner
from headtohead.runtime.startup import check_what_is_named, start_up
from headtohead.store.changes import add_change
from headtohead.store.ledger import Ledger, StudyFile, hold, refuse_another
from headtohead.store.looks import LooksRecord
from headtohead.store.new_study import default_out, study_file
from headtohead.store.picture_table import (
    picture_table,
    refuse_another_split,
    write_pictures,
)
from headtohead.study_data import StudyData

SaveProbeImages: TypeAlias = Callable[[Ledger, set[int]], None]
"""Puts the images that probes look at into a ledger, for some seeds."""


@documented("compare")
def compare(
    study: str | Path | None = None,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    deterministic: bool = False,
    cache: str | Path | None = None,
    retry_failed: bool = False,
    retrain_changed: bool = False,
    **options: Unpack[StudyOptions],
) -> Comparison:
    """Run what is missing of a study, and report on all of it.

    `study` is a shipped study's name or a YAML file; by default it is `quick`, on drawn images,
    or `standard` where `data` is given. The options win over it; they have the names and the
    meaning of the command's. The same call again resumes, skips what is finished and adds what is
    new; for what is trained again see `headtohead.runtime.retraining`.
    Raises UsageError, DataError, StorageError, and RunError where no worker can start; runs that
    failed are told in `Comparison.failures`.
    """
    spec = study_from(study, **options)
    asked, masks = _path(out), _path(spec.masks)
    check_what_is_named(spec, cache)
    question = question_about(spec, device, workers, deterministic=deterministic)
    with start_up(spec, question, cache) as startup:
        spec, preflight, display = startup.study, startup.preflight, startup.display
        for line in (*preflight.notes, *guidance_of(spec, preflight)):
            display.note(f"Note: {line}")
        refuse = partial(_refuse_another, asked, spec)
        refuse()
        source, prepared = startup.prepare(len(spec.heads) * spec.seeds, refuse)
        startup.refuse_too_large(classes=len(prepared.classes))
        file = study_file(spec, prepared, preflight.about, preflight.functions)
        folder = asked or default_out(file)
        save_probe_images = partial(
            keep_images,
            source=source,
            prepared=prepared,
            margin=margin_of(spec.pictures.image_size, preflight.stride),
            masks=masks,
            progress=display.progress,
        )
        with hold(folder), startup.executor(folder, prepared) as executor:
            retraining = Retraining(retry_failed, retrain_changed)
            ledger = _open(folder, file, prepared, retraining, display)
            return _run_and_report(
                ledger, spec.seeds, prepared, StudyRunner(executor, display), save_probe_images
            )


def _path(named: str | Path | None) -> Path | None:
    return None if named is None else expanded(named)


def _refuse_another(folder: Path | None, spec: StudySpec, prepared: str | None = None) -> None:
    """Refuse the folder of another study before any image is decoded."""
    if folder is not None:
        refuse_another(folder, spec, prepared)


def _open(
    folder: Path, file: StudyFile, prepared: PreparedSet, retraining: Retraining, display: Display
) -> Ledger:
    """The study's ledger, new or extended, with its table of images; the caller holds it."""
    spec = file.study
    check_design(folder, file)
    split = split_study(spec, prepared, 0) if spec.split.mode == "fixed" else None
    table = picture_table(prepared, split)
    refuse_another_split(folder, table)
    change = late_change(folder, file)
    for line in late_notes(folder, change):
        display.note(line)
    clear_outdated(folder, file, retraining, display.note)
    if spec.tuning is not None:
        display.note("Using default settings; `headtohead tune` tunes each head first.")
    if spec.masks is not None:
        check_masks_folder(expanded(spec.masks), prepared.names)
    if change is not None:
        add_change(folder, change)
    ledger = Ledger.create(folder, file)
    if others := [head for head in ledger.file.study.heads if head not in spec.heads]:
        display.note(
            f"The study in {folder} also has {names(others)}, which this command trains to as many "
            f"seeds, and reports. With another --out they are left out."
        )
    for line in (
        *holdout_lines(file.sizes["test"], file.given or ()),
        *step_lines(spec, file.sizes["train"]),
    ):
        display.note(line)
    write_pictures(folder, table)
    return ledger


def _run_and_report(
    ledger: Ledger,
    seeds: int,
    prepared: PreparedSet,
    runner: StudyRunner,
    save_probe_images: SaveProbeImages,
) -> Comparison:
    """Train and probe what is missing, measure all heads together, report on everything."""
    spec = ledger.file.study
    failures = _train(ledger, seeds, runner, save_probe_images)
    ledger = Ledger.open(ledger.out)  # looks add seeds
    failures += runner.measure_heads(ledger, spec.heads)
    runner.display.note("Drawing the report")
    summary, missing = _report(ledger, prepared, runner)
    return Comparison(ledger, summary, (*failures, *missing))


def _train(
    ledger: Ledger, seeds: int, runner: StudyRunner, save_probe_images: SaveProbeImages
) -> list[str]:
    """All runs of the study, or as many as its sequential design takes; failures in words.

    `seeds` is how many this command asked for: the ledger's may be those that looks added.
    """
    spec = ledger.file.study.model_copy(update={"seeds": seeds})

    def run(ledger: Ledger, jobs: list[Job]) -> list[str]:
        save_probe_images(ledger, {job.seed for job in jobs})
        return runner.train(ledger, jobs)

    if spec.verdict.until_decided is None:
        return run(ledger, jobs_without_look(ledger, seeds))
    return follow(ledger, spec, run=run, differences=_differences, note=runner.display.note)


def _differences(ledger: Ledger, record: LooksRecord) -> dict[int, float]:
    return look_differences(StudyData(ledger), record)


def _report(
    ledger: Ledger, prepared: PreparedSet, runner: StudyRunner
) -> tuple[Summary, list[str]]:
    """The page here and the figures by the executor, at once; what could not be drawn, in words."""
    with ThreadPoolExecutor(1) as waiting:
        figures = waiting.submit(runner.draw_figures)
        data = StudyData(ledger, frozenset(ledger.file.study.claims))
        keep_thumbnails(data, prepared)
        summary = render(data)
        return summary, figures.result()
