"""How the learning rate changes over a run."""

import math
from collections.abc import Callable
from typing import TypeAlias

from headtohead.config.recipe import RecipeSpec

Factor: TypeAlias = Callable[[int], float]
"""Step, from 1 → what the recipe's learning rate is multiplied by in it."""


def constant(step: int) -> float:
    """1, whichever step."""
    return 1.0


def schedule_of(recipe: RecipeSpec, train: int) -> Factor:
    """The recipe's schedule for a run on `train` images.

    Linear warm-up over the first `warmup` share of all steps (Goyal et al. 2017, 1706.02677), then
    constant, or half a cosine down to 0 (Loshchilov & Hutter 2017, 1608.03983, without restarts).
    """
    total = recipe.epochs * recipe.steps(train)
    rising = round((recipe.warmup or 0) * total)
    falling = recipe.schedule == "cosine"
    if not rising and not falling:
        return constant

    def factor(step: int) -> float:
        if step <= rising:
            return step / rising
        if not falling:
            return 1.0
        # The last step still moves the weights: its factor is above 0.
        passed = (step - 1 - rising) / max(total - rising, 1)
        return 0.5 * (1 + math.cos(math.pi * min(passed, 1.0)))

    return factor
