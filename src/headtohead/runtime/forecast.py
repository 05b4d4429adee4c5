"""What a study will take before it is run: runs, seeds, steps, power and time."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Unpack

from headtohead.config.options import StudyOptions, documented, study_from
from headtohead.config.study import StudySpec, prepared_text
from headtohead.core.errors import UsageError
from headtohead.core.files import expanded, unreadable
from headtohead.core.system import cache_folder
from headtohead.data.holdout import holdout_lines
from headtohead.data.listing import Listing, list_study
from headtohead.data.pipeline import split_study
from headtohead.data.prepared import GIVEN_SPLITS
from headtohead.probes.images import check_masks_folder
from headtohead.runtime.executors import asked_here
from headtohead.runtime.jobs import jobs_of
from headtohead.runtime.preflight import (
    TimingQuestion,
    answer_of,
    first_worker,
    guidance_of,
    question_about,
)
from headtohead.runtime.process import StandbyProcesses
from headtohead.runtime.progress import Display
from headtohead.runtime.steps import step_lines
from headtohead.stats import seeds_needed
from headtohead.stats.family import plural
from headtohead.stats.power import Power, expected_power
from headtohead.stats.sequential import Design
from headtohead.store.ledger import STUDY_FILE, Ledger, refuse_foreign

EFFECTS = (0.5, 1.0, 1.5, 2.0, 3.0)
CLAIM_TESTS = 3
"""Over-fitting, class maps, translation: the claims' family."""

RUNS = Path("runs")

STATISTICS = 2048
"""Training images that batch-norm statistics are recomputed over, at most; that module, which says
so, imports torch (a test compares the two)."""


@dataclass(frozen=True)
class HeadTime:
    """One head's runs. `seconds` is a run's wall time: the mean of finished ones, else `measured`.

    None where neither is known. `measured` is whether it comes from a few steps.
    """

    head: str
    finished: int
    missing: int
    seconds: float | None
    measured: bool = False


@dataclass(frozen=True)
class Images:
    """How many images each split has, as far as files tell, and which splits the user gave."""

    train: int
    validation: int
    test: int
    given: tuple[str, ...]


@dataclass(frozen=True)
class Forecast:
    """What a study takes. `ledger` is the folder whose finished runs are known, if any.

    `images` is None where they are not on this machine yet. `remaining` is the seconds of all
    missing runs one after the other, None where a head with missing runs has no known time.
    `workers` share the missing runs. `backbone` is what is known of a backbone with weights, in
    words by topic. `able` are the looks of a sequential design that can decide. `guidance` is what
    should be known before hours are spent. As text it is what the command prints.
    """

    study: StudySpec
    ledger: Path | None
    images: Images | None
    heads: tuple[HeadTime, ...]
    primary_tests: int
    primary_seeds: int
    claim_seeds: int
    able: tuple[int, ...]
    power: tuple[Power, ...]
    remaining: float | None
    workers: int
    guidance: tuple[str, ...] = ()
    backbone: Mapping[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        """All runs of the study."""
        return sum(head.finished + head.missing for head in self.heads)

    @property
    def missing(self) -> int:
        """Runs that are still to do."""
        return sum(head.missing for head in self.heads)

    def __str__(self) -> str:
        return render_forecast(self)


@documented("plan")
def plan(
    study: str | Path | None = None,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    deterministic: bool = False,
    cache: str | Path | None = None,
    masks: str | Path | None = None,
    timing: bool = True,
    **options: Unpack[StudyOptions],
) -> Forecast:
    """What `compare` with the same arguments takes: runs, seeds, steps, power and time.

    Trains nothing, and refuses what `compare` would refuse: raises UsageError, DataError,
    StorageError and RunError as it does, but for what only decoding the images can tell.
    """
    spec = study_from(study, **options)
    question = question_about(spec, device, workers, deterministic=deterministic)
    folder = None if out is None else expanded(out)
    with (
        first_worker(
            asked_here(spec.execution, question), module="headtohead.runtime.timing"
        ) as standby,
        Display() as display,
    ):
        answer = answer_of(standby)
        setups, guidance = answer.setups, guidance_of(spec, answer)
        if spec.execution.on_ray:
            display.note("Times are this machine's: those on a cluster are not known.")
        listing = list_study(spec, cache=cache_folder(cache), progress=display.progress)
        images = None if listing is None else _images(spec, listing)
        if folder is not None:
            refuse_foreign(folder)
        if masks is not None:
            check_masks_folder(expanded(masks))
        found = dataclasses.replace(
            forecast(spec, folder, images=images, workers=len(setups), guidance=guidance),
            backbone=answer.about,
        )
        unknown = [head.head for head in found.heads if head.missing and head.seconds is None]
        if not timing or images is None or listing is None or not unknown:
            return found
        display.note("Measuring a few training steps")
        recipes = tuple(spec.recipe_for(head) for head in spec.heads)
        asked = TimingQuestion(
            recipes=recipes,
            batches=tuple(recipe.batch(images.train) for recipe in recipes),
            classes=len(listing.classes),
            setup=setups[0],
        )
        times = _measured(standby, asked)
        if missed := [head for head in unknown if head not in times]:
            display.note(f"The steps of {', '.join(missed)} could not be timed; see above.")
    seconds = {head: _run_seconds(spec, head, images, *pair) for head, pair in times.items()}
    return dataclasses.replace(
        forecast(
            spec,
            folder,
            images=images,
            workers=len(setups),
            measured=seconds,
            guidance=guidance,
        ),
        backbone=answer.about,
    )


def _images(spec: StudySpec, listing: Listing) -> Images:
    """Sizes of the first seed's splits. Raises DataError where a class is too small for them."""
    parts = split_study(spec, listing, 0)
    given = tuple(name for name in GIVEN_SPLITS if name in listing.given)
    return Images(len(parts.train), len(parts.validation), len(parts.test), given)


def _measured(standby: StandbyProcesses, asked: TimingQuestion) -> dict[str, tuple[float, float]]:
    """Seconds of a step and of evaluating an image, of each head that could be measured."""
    process = standby.take()
    try:
        process.send(asked.model_dump(mode="json"))
        return {event["head"]: (event["step"], event["image"]) for event in process.events()}
    finally:
        process.kill()
        process.close()


def _run_seconds(spec: StudySpec, head: str, images: Images, step: float, image: float) -> float:
    """An epoch is its steps, and evaluating validation and as many training images.

    Before that, batch-norm statistics may be recomputed.
    """
    recipe = spec.recipe_for(head)
    evaluated = min(images.validation, images.train)
    evaluated += min(recipe.validation_pictures or images.validation, images.validation)
    if recipe.batch_norm != "moving":
        evaluated += min(images.train, STATISTICS)
    return recipe.epochs * (recipe.steps(images.train) * step + evaluated * image)


def forecast(
    spec: StudySpec,
    out: Path | None = None,
    *,
    images: Images | None = None,
    workers: int = 1,
    measured: Mapping[str, float] = MappingProxyType({}),
    guidance: tuple[str, ...] = (),
) -> Forecast:
    """Count, and read times from the study's folder: `out`, else what RUNS has of this study.

    `measured` is the seconds of a run of heads without a finished one. Raises UsageError where
    `out` holds another study.
    """
    ledger = _ledger_of(spec, out)
    level = spec.verdict.level
    sequential = spec.verdict.until_decided is not None
    tests = 1 if sequential else len(spec.family)
    needed = seeds_needed(tests, level)
    design = Design(spec.verdict.looks, level, spec.verdict.spending)
    shown = sorted({needed, spec.seeds, *spec.verdict.looks})
    heads = tuple(_head_time(spec, ledger, head, measured.get(head)) for head in spec.heads)
    open_heads = [head for head in heads if head.missing]
    known = all(head.seconds is not None for head in open_heads)
    return Forecast(
        study=spec,
        ledger=ledger.out if ledger else None,
        images=images,
        heads=heads,
        primary_tests=tests,
        primary_seeds=needed,
        claim_seeds=seeds_needed(CLAIM_TESTS, level),
        able=design.able() if sequential else (),
        power=expected_power(EFFECTS, shown, tests=tests, level=level) if tests else (),
        remaining=sum(h.missing * (h.seconds or 0.0) for h in open_heads) if known else None,
        workers=workers,
        guidance=guidance,
    )


def _head_time(
    spec: StudySpec, ledger: Ledger | None, head: str, measured: float | None
) -> HeadTime:
    jobs = [job for job in jobs_of(spec.heads, range(spec.seeds)) if job.head == head]
    runs = ledger.runs() if ledger else []
    over = {run.record.seed for run in runs if run.record.head == head}
    seconds = [
        run.record.seconds
        for run in runs
        if run.record.head == head and run.record.status == "finished"
    ]
    missing = sum(job.seed not in over for job in jobs)
    mean = sum(seconds) / len(seconds) if seconds else measured
    return HeadTime(head, len(jobs) - missing, missing, mean, not seconds and mean is not None)


def _ledger_of(spec: StudySpec, out: Path | None) -> Ledger | None:
    if out is not None:
        try:
            if not (out / STUDY_FILE).is_file():
                return None
        except OSError as error:
            raise unreadable(out, error) from error
        ledger = Ledger.open(out)
        if not _same(ledger.file.study, spec):
            raise UsageError(
                f"{out} holds another study ({ledger.file.study.name}): pictures, split, backbone, "
                f"recipe or heads differ. Choose another --out."
            )
        return ledger
    for path in sorted(path for name in {spec.name, "standard"} for path in _studies(name)):
        ledger = Ledger.open(path.parent)
        if _same(ledger.file.study, spec):
            return ledger
    return None


def _studies(name: str) -> Iterable[Path]:
    return RUNS.glob(f"{name}-*/{STUDY_FILE}")


def _same(mine: StudySpec, other: StudySpec) -> bool:
    """Whether runs of the one are runs of the other, as far as can be told without pictures."""
    parts = ("data", "pictures", "split", "recipe")
    shared = mine.heads.keys() & other.heads.keys()
    return (
        all(getattr(mine, part) == getattr(other, part) for part in parts)
        and mine.backbone.unresolved() == other.backbone.unresolved()
        and all(mine.heads[head] == other.heads[head] for head in shared)
    )


def render_forecast(found: Forecast) -> str:
    """The forecast in words, for the terminal."""
    parts = (_counts, _backbone, _images_and_steps, _families, _powers, _time)
    return "\n".join(line for part in parts for line in part(found))


def _counts(found: Forecast) -> Iterator[str]:
    study = found.study
    heads, seeds = plural(len(study.heads), "head"), plural(study.seeds, "seed")
    done = found.runs - found.missing
    where = f" ({done} finished in {found.ledger})" if found.ledger else ""
    runs = plural(found.runs, "run")
    yield from (f"Note: {sentence}" for sentence in found.guidance)
    yield f"{study.name}: {heads} × {seeds} = {runs}, {found.missing} to do{where}."


def _backbone(found: Forecast) -> Iterator[str]:
    """How the backbone's inputs are made, and what its weights are."""
    if found.backbone:
        told = "; ".join(f"{topic} {text}" for topic, text in found.backbone.items())
        yield f"Backbone {found.study.backbone.name}: {told}."
        yield f"Images for it: {prepared_text(found.study)}."


def _images_and_steps(found: Forecast) -> Iterator[str]:
    images = found.images
    if images is None:
        yield "Images: not on this machine yet; steps and time are unknown until they are."
        return
    yield (
        f"Images: {images.train:,} to train, {images.validation:,} for validation, "
        f"{images.test:,} to test, by the files' number; unreadable ones and duplicates can "
        f"change it."
    )
    yield from holdout_lines(images.test, images.given)
    yield from step_lines(found.study, images.train)


def _families(found: Forecast) -> Iterator[str]:
    study = found.study
    rule, reference = study.verdict, study.reference
    if not found.primary_tests:
        yield "One head: nothing to compare, no verdict."
        return
    if rule.until_decided is not None:
        looks = ", ".join(map(str, rule.looks))
        able = ", ".join(map(str, found.able)) or "none of them"
        yield (
            f"Sequential: {reference} against {rule.until_decided}, looks at {looks} pairs, level "
            f"{rule.level:g} spent by {rule.spending}; able to decide: {able}. At most "
            f"{rule.looks[-1]} seeds."
        )
    else:
        yield (
            f"Primary family, {rule.metric.replace('_', ' ')}: {family_text(study)}, "
            f"{plural(found.primary_tests, 'test')} at level {rule.level:g} (Holm): at least "
            f"{found.primary_seeds} seeds, {study.seeds} planned."
        )
        if left := study.heads_without_verdict:
            yield f"Estimates without a verdict: {', '.join(left)}."
    yield (
        f"Family of claims (over-fitting, class maps, translation), {CLAIM_TESTS} tests: at least "
        f"{found.claim_seeds} seeds."
    )


def family_text(study: StudySpec) -> str:
    """`gap against fc, gem; gem against fc`: the pairs of the family by their first."""
    others: dict[str, list[str]] = {}
    for first, other in study.family:
        others.setdefault(first, []).append(other)
    return "; ".join(f"{first} against {', '.join(mine)}" for first, mine in others.items())


def _powers(found: Forecast) -> Iterator[str]:
    if not found.power:
        return
    seeds = sorted({item.seeds for item in found.power})
    power = {(item.effect, item.seeds): item.power for item in found.power}
    yield (
        f"Power: how often a true difference gets its verdict, in % (one look, Holm's strictest "
        f"step of {found.primary_tests}; differences normal, in their standard deviations):"
    )
    yield "  difference" + "".join(f"{f'{n} seeds':>10}" for n in seeds)
    for effect in EFFECTS:
        cells = "".join(f"{100 * power[effect, n]:>10.0f}" for n in seeds)
        yield f"  {f'{effect:g} sd':>10}{cells}"


def _time(found: Forecast) -> Iterator[str]:
    for head in found.heads:
        if head.seconds is not None:
            source = "from a few measured steps" if head.measured else "as its finished runs took"
            yield f"{head.head}: {_clock(head.seconds)} per run ({source}), {head.missing} to do."
    unknown = [head.head for head in found.heads if head.missing and head.seconds is None]
    if unknown:
        yield f"Training time: unknown until a run is finished ({', '.join(unknown)})."
    elif found.remaining:
        workers = min(found.workers, found.missing)
        yield (
            f"Estimated training time: {_clock(found.remaining / workers)} with "
            f"{plural(workers, 'worker')}, {_clock(found.remaining)} of work in all; probes "
            f"excluded."
        )


def _clock(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
