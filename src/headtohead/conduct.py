"""A study in its folder: run what is missing → probe → time the heads → report."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

from headtohead.crew import Crew
from headtohead.data.pipeline import split_study
from headtohead.finished import Comparison
from headtohead.report.comparisons import look_differences
from headtohead.report.page.kept import keep_thumbnails
from headtohead.report.render import render
from headtohead.report.summary import Summary
from headtohead.spec import StudySpec
from headtohead.study.ledger import Ledger, StudyFile
from headtohead.study.looks import check_design, follow
from headtohead.study.pictures import picture_table, write_pictures
from headtohead.study.plan import Job, jobs_of

Keep: TypeAlias = Callable[[Ledger, set[int]], None]
"""Puts the pictures that probes look at into a ledger, for some seeds."""


def conduct(folder: Path, file: StudyFile, crew: Crew, keep: Keep) -> Comparison:
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
    summary, missing = _draw(ledger, crew)
    return Comparison(ledger, summary, (*failures, *missing))


def _run_study(ledger: Ledger, spec: StudySpec, crew: Crew, keep: Keep) -> list[str]:
    """All runs of the study, or as many as its sequential design takes; failures in words."""

    def run(ledger: Ledger, jobs: list[Job]) -> list[str]:
        keep(ledger, {job.seed for job in jobs})
        return crew.train(ledger, jobs)

    if spec.verdict.until_decided is None:
        return run(ledger, jobs_of(spec.heads, spec.seeds))
    return follow(ledger, spec, run=run, differences=look_differences, note=crew.display.note)


def _draw(ledger: Ledger, crew: Crew) -> tuple[Summary, list[str]]:
    """The page here and the figures by the workers, at once; what could not be drawn, in words."""
    with ThreadPoolExecutor(1) as waiting:
        figures = waiting.submit(crew.draw_figures)
        keep_thumbnails(ledger, crew.prepared)
        summary = render(ledger)
        return summary, figures.result()
