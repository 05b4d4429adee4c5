"""What `compare` would take, without training: `headtohead plan`."""

from pathlib import Path
from typing import Any, Unpack

from headtohead.backbones.constants import BATCH_NORM_IMAGES
from headtohead.config.from_options import study_from
from headtohead.config.options import StudyOptions, documented
from headtohead.config.recipe import RecipeSpec
from headtohead.config.study import StudySpec
from headtohead.core.files import expanded
from headtohead.core.system import cache_folder
from headtohead.data.listing import Listing, list_study
from headtohead.data.pipeline import split_study
from headtohead.data.prepared import GIVEN_SPLITS
from headtohead.runtime.forecast import Forecast, Images, forecast
from headtohead.runtime.preflight import TIMING, TimingQuestion, guidance_of, question_about
from headtohead.runtime.process import StandbyProcesses
from headtohead.runtime.startup import Startup, check_what_is_named, start_up
from headtohead.store.ledger import refuse_another


@documented("plan")
def plan(
    study: str | Path | None = None,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    deterministic: bool = False,
    cache: str | Path | None = None,
    timing: bool = True,
    **options: Unpack[StudyOptions],
) -> Forecast:
    """What `compare` with the same arguments takes: runs, seeds, steps, power and time.

    Trains nothing, and refuses what `compare` would refuse: raises UsageError, DataError,
    StorageError and RunError as it does, but for what only decoding the images can tell.
    """
    spec = study_from(study, **options)
    folder = None if out is None else expanded(out)
    check_what_is_named(spec, cache)
    question = question_about(spec, device, workers, deterministic=deterministic)
    with start_up(spec, question, cache, TIMING) as startup:
        spec, answer, note = startup.study, startup.preflight, startup.display.note
        if startup.execution.on_ray:
            note("Times are this machine's: those on a cluster are not known.")
        if folder is not None:
            refuse_another(folder, spec)
        listing = list_study(spec, cache=cache_folder(cache), progress=startup.display.progress)
        if listing is not None:
            startup.refuse_too_large(classes=len(listing.classes))
        images = None if listing is None else _images(spec, listing)
        found = forecast(
            spec if images is None else spec.for_images(images.train),
            folder,
            images=images,
            workers=len(answer.setups),
            guidance=guidance_of(spec, answer),
            backbone=answer.about,
        )
        if timing and listing is not None and found.without_time:
            return _timed(found, listing, answer.setups[0], startup)
    return found


def _images(spec: StudySpec, listing: Listing) -> Images:
    """Sizes of the first seed's splits. Raises DataError where a class is too small for them."""
    parts = split_study(spec, listing, 0)
    given = tuple(name for name in GIVEN_SPLITS if name in listing.given)
    return Images(len(parts.train), len(parts.validation), len(parts.test), given)


def _timed(found: Forecast, listing: Listing, setup: dict[str, Any], startup: Startup) -> Forecast:
    """With the time of heads that no run has told, from a few steps of each on this machine."""
    note = startup.display.note
    note("Measuring a few training steps")
    found = found.measured(_run_seconds(found, listing, setup, startup.standby))
    if missed := found.without_time:
        note(f"The steps of {', '.join(missed)} could not be timed; see above.")
    return found


def _run_seconds(
    found: Forecast, listing: Listing, setup: dict[str, Any], standby: StandbyProcesses
) -> dict[str, float]:
    """Seconds of a run of each head whose steps could be measured."""
    spec, images = found.study, found.images
    if images is None:
        return {}
    recipes = tuple(spec.recipe_for(head) for head in spec.heads)
    question = TimingQuestion(
        recipes=recipes,
        batches=tuple(recipe.batch(images.train) for recipe in recipes),
        classes=len(listing.classes),
        setup=setup,
    )
    process = standby.take()
    try:
        process.send(question.model_dump(mode="json"))
        return {
            event["head"]: _seconds(
                spec.recipe_for(event["head"]), images, event["step"], event["image"]
            )
            for event in process.events()
        }
    finally:
        process.kill()
        process.close()


def _seconds(recipe: RecipeSpec, images: Images, step: float, image: float) -> float:
    """An epoch is its steps, and evaluating validation and as many training images.

    Before that, batch-norm statistics may be recomputed.
    """
    evaluated = min(images.validation, images.train)
    evaluated += min(recipe.validation_pictures or images.validation, images.validation)
    if recipe.batch_norm != "moving":
        evaluated += min(images.train, BATCH_NORM_IMAGES)
    return recipe.epochs * (recipe.steps(images.train) * step + evaluated * image)
