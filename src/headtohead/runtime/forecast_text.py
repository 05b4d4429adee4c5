"""The forecast of a study in words, for the terminal."""

from collections.abc import Iterator

from headtohead.config.steps import step_lines
from headtohead.config.study import StudySpec, prepared_text
from headtohead.core.text import counted
from headtohead.data.holdout import holdout_lines
from headtohead.runtime.forecast import EFFECTS, Forecast


def render_forecast(found: Forecast) -> str:
    """The forecast in words, for the terminal."""
    parts = (_counts, _backbone, _images_and_steps, _families, _powers, _time)
    return "\n".join(line for part in parts for line in part(found))


def _counts(found: Forecast) -> Iterator[str]:
    study, pairs = found.study, found.next_look
    heads, seeds = counted(len(study.heads), "head"), counted(study.seeds, "seed")
    done = found.runs - found.missing
    where = f" ({done} done in {found.ledger})" if found.ledger else ""
    runs = counted(found.runs, "run")
    yield from (f"Note: {sentence}" for sentence in found.guidance)
    if pairs is None:
        yield f"{study.name}: {heads} × {seeds} = {runs}, {found.missing} to do{where}."
        return
    later = f"; later looks add at most {counted(found.further, 'run')}" if found.further else ""
    yield (
        f"{study.name}: {heads}, {runs} up to the look at {pairs} pairs, {found.missing} to "
        f"do{where}{later}."
    )


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
    rule, reference, claims = study.verdict, study.reference, found.tested_claims
    if not found.primary_tests:
        yield "One head: nothing to compare, no verdict."
        return
    if rule.until_decided is not None:
        looks = ", ".join(map(str, rule.looks))
        able = ", ".join(map(str, found.able)) or "none of them"
        others = f", {study.seeds} of each other head" if len(study.heads) > 2 else ""
        yield (
            f"Sequential: {reference} against {rule.until_decided}, looks at {looks} pairs, level "
            f"{rule.level:g} spent by {rule.spending}; able to decide: {able}. At most "
            f"{rule.looks[-1]} seeds of these two{others}."
        )
    else:
        yield (
            f"Primary family, {rule.metric.replace('_', ' ')}: {family_text(study)}, "
            f"{counted(found.primary_tests, 'test')} at level {rule.level:g} (Holm): at least "
            f"{found.primary_seeds} seeds, {study.seeds} planned."
        )
        if left := study.heads_without_verdict:
            yield f"Estimates without a verdict: {', '.join(left)}."
    yield (
        f"Family of claims ({', '.join(name.replace('_', ' ') for name in claims)}), "
        f"{counted(len(claims), 'test')}: at least {found.claim_seeds} seeds."
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
    how = f"one look, Holm's strictest step of {found.primary_tests}"
    if found.next_look is not None:
        how = "one look alone; several find less"
    yield (
        f"Power: how often a true difference gets its verdict, in % ({how}; differences normal, in "
        f"their standard deviations):"
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
    if found.without_time:
        yield f"Training time: unknown until a run is finished ({', '.join(found.without_time)})."
    elif found.remaining:
        workers = min(found.workers, found.missing)
        aside = "probes"
        if found.study.backbone.frozen:
            aside += " and the features of the frozen backbone"
        yield (
            f"Estimated training time: {_clock(found.remaining / workers)} with "
            f"{counted(workers, 'worker')}, {_clock(found.remaining)} of work in all; {aside} "
            f"excluded."
        )
    if found.further and not found.without_time:
        workers = min(found.workers, found.missing + found.further)
        yield f"With every look: at most {_clock(found.longest / workers)}."


def _clock(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
