"""How many training steps a run has, and whether they are enough to learn from."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from headtohead.config.recipe import RecipeSpec
from headtohead.config.study import StudySpec
from headtohead.core.text import counted

FEWEST = 300
"""Fewer steps than this in a run are warned of.

Adam moves a weight by about the learning rate in a step, so that 300 steps at 0.001 move it by 0.3
at most, against initial weights of some 0.05 to 0.5. And where a recipe evaluates by `moving`
statistics of momentum 0.99, these still hold 5 % of what they began with (0.99 ** 300).
"""

SMALLEST_BATCH = 8
"""No smaller batch is advised: batch norm's statistics over fewer images are too noisy."""


@dataclass(frozen=True)
class Steps:
    """The training steps of a run of `heads`, which have one recipe."""

    heads: tuple[str, ...]
    recipe: RecipeSpec
    batch: int
    per_epoch: int

    @property
    def per_run(self) -> int:
        """Steps in all."""
        return self.per_epoch * self.recipe.epochs


def steps_of(study: StudySpec, images: int) -> tuple[Steps, ...]:
    """The steps of every head on so many training images; heads of one recipe together."""
    by_recipe: dict[tuple[int, int, int], list[str]] = {}
    recipes = {head: study.recipe_for(head) for head in study.heads}
    for head, recipe in recipes.items():
        key = (recipe.batch(images), recipe.steps(images), recipe.epochs)
        by_recipe.setdefault(key, []).append(head)
    return tuple(
        Steps(tuple(heads), recipes[heads[0]], batch, per_epoch)
        for (batch, per_epoch, _), heads in by_recipe.items()
    )


def step_lines(study: StudySpec, images: int) -> Iterator[str]:
    """Steps per epoch and per run on so many training images, and what to do if they are few."""
    found = steps_of(study, images)
    for steps in found:
        whose = "" if len(found) == 1 else f" of {', '.join(steps.heads)}"
        epochs, batch = steps.recipe.epochs, steps.batch
        yield (
            f"Steps{whose}: {steps.per_epoch:,} per epoch × "
            f"{counted(epochs, 'epoch')} = {steps.per_run:,} per run, batches of {batch} "
            f"from {images:,} training images."
        )
        if steps.per_run < FEWEST:
            yield f"Warning: {_too_few(study, steps, images)}"


def few_steps(study: StudySpec, images: int) -> Iterator[str]:
    """A sentence for each recipe whose steps on so many training images are few."""
    found = steps_of(study, images)
    for steps in found:
        if steps.per_run < FEWEST:
            whose = "" if len(found) == 1 else f"{', '.join(steps.heads)}: "
            yield f"{whose}{_too_few(study, steps, images)}"


def _too_few(study: StudySpec, steps: Steps, images: int) -> str:
    few = "1 step is few" if steps.per_run == 1 else f"{steps.per_run:,} steps are few"
    return f"{few}; {_learner(study)} {FEWEST} or more. {_advice(study, steps, images)}"


def _learner(study: StudySpec) -> str:
    """What begins with random weights, in words."""
    if study.backbone.frozen:
        return "a head on a frozen backbone needs"
    if study.backbone.weights is not None:
        return "a new head on a pretrained backbone needs"
    return "a network trained from random weights needs"


def _advice(study: StudySpec, steps: Steps, images: int) -> str:
    """Numbers that give enough steps with these images."""
    ways = [{"epochs": math.ceil(FEWEST / steps.per_epoch)}]
    if steps.recipe.steps_per_epoch is None and (smaller := _smaller(steps, images)):
        ways.insert(0, smaller)
    own = {key for head in steps.heads for key in study.heads[head].recipe}
    in_file = bool(own & {"epochs", "batch_size", "steps_per_epoch"})
    texts = [
        (" and " if in_file else " ").join(
            f"{name}: {value}" if in_file else f"--{name.replace('_', '-')} {value}"
            for name, value in way.items()
        )
        for way in ways
    ]
    where = f" in the recipe of {', '.join(steps.heads)}" if in_file else ""
    return f"Set {' or '.join(texts)}{where}."


def _smaller(steps: Steps, images: int) -> dict[str, int] | None:
    """The largest batch, a power of two, that gives enough steps; with epochs where none does."""
    epochs = steps.recipe.epochs
    batch = 2 ** math.ceil(math.log2(steps.batch)) // 2 if steps.batch > 1 else 1
    while batch > SMALLEST_BATCH and images // batch * epochs < FEWEST:
        batch //= 2
    if batch < SMALLEST_BATCH:
        return None
    enough = math.ceil(FEWEST / (images // batch))
    return {"batch_size": batch} | ({"epochs": enough} if enough > epochs else {})
