"""The speed probe: how long one training step of each head takes, heads taken in turn."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headtohead.data.split import Split
from headtohead.heads.classifier import Classifier
from headtohead.probes.evidence import Speed
from headtohead.training.inputs import Pictures
from headtohead.training.optimizer import KerasAdam
from headtohead.training.run import RunPlan
from headtohead.training.step import EagerGradients, Step, gradients_on_device

ROUNDS = 7
ROUND = 0.1
"""Least seconds that a head steps in a round: one large batch's step on a core, many on a GPU."""


@dataclass(frozen=True)
class StepRunner:
    """A head in training on one batch, again and again."""

    model: Classifier
    take: Step
    rows: Tensor

    def round(self) -> list[tuple[float, float]]:
        """Times of as many steps as fill a round."""
        taken = [self.step()]
        while sum(wall for wall, _ in taken) < ROUND:
            taken.append(self.step())
        return taken

    def step(self) -> tuple[float, float]:
        """Wall-clock and processor seconds of one step."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.take(self.rows, None)
        if self.rows.device.type == "cuda":
            torch.cuda.synchronize(self.rows.device)
        return time.perf_counter() - wall, time.process_time() - cpu


def collect_speed(plans: Sequence[RunPlan], pictures: Pictures, split: Split) -> Speed:
    """Times of training steps of every plan's head, all on the same pictures of `split`."""
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


def step_runner(plan: RunPlan, pictures: Pictures, batch: NDArray[np.int64]) -> StepRunner:
    """The plan's model, to be trained on the rows `batch` of `pictures` again and again."""
    model = plan.build().to(pictures.device).train()
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    recipe = plan.recipe
    optimizer = KerasAdam(model.parameters(), recipe.learning_rate, recipe.weight_decay)
    rows = pictures.rows(batch)
    eager = EagerGradients(model, pictures, None, recipe.arithmetic)
    return StepRunner(model, Step(gradients_on_device(eager, rows, None), optimizer), rows)
