"""The main path: prepare → plan → run what is missing → probe → time the heads → report."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeAlias

import headtohead
from headtohead.claims.table import own_claim
from headtohead.config.reading import name_after
from headtohead.config.study import StudySpec
from headtohead.core.files import expanded
from headtohead.core.system import cache_folder
from headtohead.data.holdout import holdout_lines
from headtohead.data.pipeline import prepare_study, split_study, told
from headtohead.data.prepare import unreadable_per_class
from headtohead.data.prepared import GIVEN_SPLITS, PreparedSet
from headtohead.data.split import leaks, mislabelled
from headtohead.probes.images import keep_images, margin_of
from headtohead.probes.table import probes_of
from headtohead.report.comparisons import look_differences
from headtohead.report.page.thumbnails import keep_thumbnails
from headtohead.report.render import render
from headtohead.report.summary import Summary
from headtohead.result import Comparison
from headtohead.runtime.interim import LooksRecord, check_design, follow
from headtohead.runtime.jobs import Job, jobs_of
from headtohead.runtime.preflight import answer_of
from headtohead.runtime.process import Recruits
from headtohead.runtime.progress import Display
from headtohead.runtime.renewal import Renewal, renew
from headtohead.runtime.steps import step_lines
from headtohead.runtime.workers import Crew
from headtohead.store.ledger import Ledger, StudyFile, hold
from headtohead.store.picture_table import picture_table, write_pictures
from headtohead.study_data import StudyData

Keep: TypeAlias = Callable[[Ledger, set[int]], None]
"""Puts the pictures that probes look at into a ledger, for some seeds."""


def conduct(
    spec: StudySpec,
    recruits: Recruits,
    *,
    out: str | Path | None,
    cache: str | Path | None,
    masks: str | Path | None,
    renewal: Renewal,
) -> Comparison:
    """Run what is missing of a study, once the first of `recruits` says that it can be run.

    The rest is as in `headtohead.comparison.compare`.
    """
    probes_of(spec)  # what cannot be imported is told before the work
    for entry in spec.claims:
        own_claim(entry)
    machine = answer_of(recruits)
    spec = spec.model_copy(update={"backbone": machine.backbone})
    recruits.call(min(len(machine.setups), len(spec.heads) * spec.seeds))
    with Display() as display:
        for note in machine.notes:
            display.note(note)
        source, prepared = prepare_study(spec, cache=cache_folder(cache), progress=display.progress)
        for line in told(source, prepared):
            display.note(line)
        file = study_file(spec, prepared)
        folder = expanded(out) if out is not None else default_out(file)
        keep = partial(
            keep_images,
            source=source,
            prepared=prepared,
            margin=margin_of(spec.pictures.image_size, machine.stride),
            masks=None if masks is None else expanded(masks),
            progress=display.progress,
        )
        with hold(folder), Crew(folder, prepared, machine.setups, display, recruits) as crew:
            return _compare(folder, file, crew, keep, renewal)


def _compare(folder: Path, file: StudyFile, crew: Crew, keep: Keep, renewal: Renewal) -> Comparison:
    """Everything that is written into the study's `folder`, which the caller holds."""
    spec, prepared = file.study, crew.prepared
    check_design(folder, file)
    renew(folder, file, renewal, crew.display.note)
    if spec.tuning is not None:
        crew.display.note("Using default settings; `headtohead tune` tunes each head first.")
    ledger = Ledger.create(folder, file)
    images = {part: sum(counts.values()) for part, counts in file.counts.items()}
    for line in (
        *holdout_lines(images["test"], file.given or ()),
        *step_lines(spec, images["train"]),
    ):
        crew.display.note(line)
    split = split_study(spec, prepared, 0) if spec.split.mode == "fixed" else None
    write_pictures(folder, picture_table(prepared, split))
    failures = _run_study(ledger, spec, crew, keep)
    ledger = Ledger.open(folder)  # looks add seeds
    failures += crew.measure_heads(ledger, spec.heads)
    crew.display.note("Drawing the report")
    summary, missing = _draw(ledger, crew)
    return Comparison(ledger, summary, (*failures, *missing))


def study_file(spec: StudySpec, prepared: PreparedSet) -> StudyFile:
    """What the ledger remembers of the study and its images, with the epochs that they ask for."""
    parts = split_study(spec, prepared, 0)
    spec = spec.for_images(len(parts.train))
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
            "quarantined": unreadable_per_class(prepared),
            "two_labels": len(mislabelled(prepared, spec.split.duplicates)),
            "study": spec,
        }
    )


def default_out(file: StudyFile) -> Path:
    """`runs/<study>-<first 8 of the digest>`.

    What has its data's name was called `standard` once: a folder from then is resumed.
    """
    study = file.study
    named = Path("runs") / f"{study.name}-{file.digest[:8]}"
    before = named.with_name(f"standard-{file.digest[:8]}")
    once = study.name == name_after(study.data) and before.is_dir() and not named.exists()
    return before if once else named


def _run_study(ledger: Ledger, spec: StudySpec, crew: Crew, keep: Keep) -> list[str]:
    """All runs of the study, or as many as its sequential design takes; failures in words."""

    def run(ledger: Ledger, jobs: list[Job]) -> list[str]:
        keep(ledger, {job.seed for job in jobs})
        return crew.train(ledger, jobs)

    if spec.verdict.until_decided is None:
        return run(ledger, jobs_of(spec.heads, spec.seeds))
    return follow(ledger, spec, run=run, differences=_differences, note=crew.display.note)


def _differences(ledger: Ledger, record: LooksRecord) -> dict[int, float]:
    return look_differences(StudyData(ledger), record)


def _draw(ledger: Ledger, crew: Crew) -> tuple[Summary, list[str]]:
    """The page here and the figures by the workers, at once; what could not be drawn, in words."""
    with ThreadPoolExecutor(1) as waiting:
        figures = waiting.submit(crew.draw_figures)
        data = StudyData(ledger, frozenset(ledger.file.study.claims))
        keep_thumbnails(data, crew.prepared)
        summary = render(data)
        return summary, figures.result()
