"""The main path: prepare → plan → run what is missing → probe → report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import headtohead
from headtohead.crew import Crew, worker_setups
from headtohead.data.pipeline import prepare_study, split_study
from headtohead.data.prepared import PreparedSet
from headtohead.display import Display
from headtohead.errors import RunError, UsageError
from headtohead.machine import cache_folder
from headtohead.models.backbones import build_backbone
from headtohead.models.classifier import build_classifier
from headtohead.probes.pictures import keep_pictures, margin_of
from headtohead.report.comparisons import look_differences
from headtohead.report.figures import write_figures
from headtohead.report.page.kept import keep_thumbnails
from headtohead.report.render import render
from headtohead.report.summary import Summary
from headtohead.spec import StudySpec
from headtohead.study.ledger import Ledger, StudyFile, hold
from headtohead.study.looks import check_design, follow
from headtohead.study.options import study_from
from headtohead.study.pictures import picture_table, write_pictures
from headtohead.study.plan import Job, jobs_of


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
            check_design(folder, file)
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
            crew = Crew(prepared, setups, display)
            failures = _run_study(ledger, spec, crew, keep)
            ledger = Ledger.open(folder)  # looks add seeds
            failures += crew.time_heads(ledger, spec.heads)
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
    crew: Crew,
    keep: Callable[[Ledger, set[int]], None],
) -> list[str]:
    """All runs of the study, or as many as its sequential design takes; failures in words.

    `keep` puts the pictures that probes look at into the ledger, for some seeds.
    """

    def run(ledger: Ledger, jobs: list[Job]) -> list[str]:
        keep(ledger, {job.seed for job in jobs})
        return crew.train(ledger, jobs)

    if spec.verdict.until_decided is None:
        return run(ledger, jobs_of(spec.heads, spec.seeds))
    return follow(ledger, spec, run=run, differences=look_differences, note=crew.display.note)
