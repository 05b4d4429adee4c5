"""The speed probe: how long one training step of each head takes, heads taken in turn."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from headtohead.probes.base import Context, Need
from headtohead.store.evidence import Arrays

if TYPE_CHECKING:
    from torch import Tensor

    from headtohead.data.split import Split
    from headtohead.heads.classifier import Classifier
    from headtohead.training.inputs import Inputs
    from headtohead.training.plans import RunPlan
    from headtohead.training.step import Step

ROUNDS = 7
ROUND = 0.1
"""Seconds that a head steps in a round, at least one step: one of a large batch on a core."""

MOST_STEPS = 50
"""In a round: the median of more of a light head's tells nothing new, and 25 heads took 20 s."""


@dataclass(frozen=True)
class Speed:
    """Seconds of a training step of h heads in r rounds, by one worker with one thread.

    In each round every head takes some steps in turn, so that a busy machine slows all alike.
    `wall` and `cpu` are (h, r) float64: the round's median wall-clock and processor seconds per
    step of `batch_size[i]` images, on `device`.
    """

    heads: tuple[str, ...]
    batch_size: tuple[int, ...]
    device: str
    wall: NDArray[np.float64]
    cpu: NDArray[np.float64]


@final
class SpeedProbe:
    """One session for all heads, by one worker while nothing else computes."""

    name = "speed"
    needs: frozenset[Need] = frozenset({"heads"})

    def collect(self, context: Context) -> Arrays:
        """Times of training steps of every head."""
        return self.pack(collect_speed(context.plans, context.pictures, context.split))

    @staticmethod
    def pack(speed: Speed) -> Arrays:
        """As they are kept, by the names of the fields."""
        return {
            "heads": np.array(speed.heads, np.str_),
            "batch_size": np.array(speed.batch_size, np.int64),
            "device": np.array(speed.device, np.str_),
            "wall": speed.wall,
            "cpu": speed.cpu,
        }

    def describe(self, arrays: Arrays) -> Speed:
        """The inverse of `pack`."""
        return Speed(
            heads=tuple(str(head) for head in arrays["heads"]),
            batch_size=tuple(int(size) for size in arrays["batch_size"]),
            device=str(arrays["device"]),
            wall=arrays["wall"],
            cpu=arrays["cpu"],
        )


SPEED = SpeedProbe()


@dataclass(frozen=True)
class StepRunner:
    """A head in training on one batch, again and again."""

    model: "Classifier"
    take: "Step"
    rows: "Tensor"

    def round(self) -> list[tuple[float, float]]:
        """Times of as many steps as fill a round, `MOST_STEPS` at most."""
        taken = [self.step()]
        while sum(wall for wall, _ in taken) < ROUND and len(taken) < MOST_STEPS:
            taken.append(self.step())
        return taken

    def step(self) -> tuple[float, float]:
        """Wall-clock and processor seconds of one step."""
        import torch

        wall, cpu = time.perf_counter(), time.process_time()
        self.take(self.rows, None)
        if self.rows.device.type == "cuda":
            torch.cuda.synchronize(self.rows.device)
        return time.perf_counter() - wall, time.process_time() - cpu


def collect_speed(plans: "Sequence[RunPlan]", pictures: "Inputs", split: "Split") -> Speed:
    """Times of training steps of every plan's head, all on the same images of `split`."""
    runners = [step_runner(plan, pictures, split.train[: plan.recipe.batch_size]) for plan in plans]
    for runner in runners:
        runner.step()  # libraries choose their kernels and take their memory
    times = np.empty((2, len(plans), ROUNDS))
    for number in range(ROUNDS):
        for index, runner in enumerate(runners):
            times[:, index, number] = np.median(runner.round(), axis=0)
    return Speed(
        heads=tuple(plan.head for plan in plans),
        batch_size=tuple(len(runner.rows) for runner in runners),
        device=pictures.device.type,
        wall=times[0],
        cpu=times[1],
    )


def step_runner(plan: "RunPlan", pictures: "Inputs", batch: NDArray[np.int64]) -> StepRunner:
    """The plan's model, to be trained on the rows `batch` of `pictures` again and again.

    As its run trains it: on what the head's pool made of them where that is kept.
    """
    from headtohead.training.closed_form import Fitted
    from headtohead.training.optimizer import optimizer_of
    from headtohead.training.step import EagerGradients, Step, gradients_on_device

    model = plan.to_train(pictures.device).train()
    recipe = plan.recipe
    optimizer = optimizer_of(model, recipe)
    inputs = pictures.part(batch).for_head(model.head)
    rows = inputs.rows(np.arange(len(batch)))
    if model.head.closed_form:
        return StepRunner(model, Step(Fitted(model, inputs), optimizer), rows)
    eager = EagerGradients(model, inputs, None, recipe.arithmetic)
    return StepRunner(model, Step(gradients_on_device(eager, rows, None), optimizer), rows)
