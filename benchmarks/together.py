"""What would training the runs of several seeds together save on pooled values, and keep of bits?

    python benchmarks/together.py [--runs N] [--rounds N]

Steps of a linear head on 32 × 1,280 pooled values, as a frozen study takes them: batch, logits,
loss, gradients, Adam's update. Told are the CPU milliseconds of N runs one after the other and of
one step of batched parameters for all N, and by how much the first run's gradients then differ
from those of the run alone. One thread; CPU time, since wall time says nothing on a machine that
does other work.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, linear

from headtohead.config.recipe import RecipeSpec
from headtohead.training.device import set_up_worker
from headtohead.training.optimizer import Rates, adam_moments, move_by_adam

IMAGES, CHANNELS, BATCH, STEPS = 480, 1280, 32, 30
RATES = Rates(RecipeSpec().learning_rate, 0.0)


class Runs:
    """`count` runs whose parameters are batched; with one run, as it is trained today."""

    def __init__(self, weights: Tensor, rows: Tensor, values: Tensor, labels: Tensor) -> None:
        """`weights` (count, CHANNELS), `rows` (count, BATCH) of `values`."""
        alone = len(weights) == 1
        self.weights = (weights if alone else weights[:, :, None]).clone().requires_grad_()
        bias = torch.zeros(1) if alone else torch.zeros(len(weights), 1, 1)
        self.parameters = [self.weights, bias.requires_grad_()]
        self.kept = [adam_moments(parameter) for parameter in self.parameters]
        self.rows, self.values, self.labels = rows, values, labels

    def step(self) -> Tensor:
        """One step of all runs; the gradients of their weights."""
        flat = self.rows.reshape(-1)
        given = torch.index_select(self.values, 0, flat)
        labels = torch.index_select(self.labels, 0, flat)
        weights, bias = self.parameters
        if len(self.rows) == 1:
            logits = linear(given, weights, bias)[:, 0]
        else:
            logits = torch.baddbmm(bias, given.view(len(self.rows), BATCH, -1), weights).flatten()
        loss = binary_cross_entropy_with_logits(logits, labels) * len(self.rows)
        loss.backward()
        found = [p.grad for p in self.parameters if p.grad is not None]
        with torch.no_grad():
            move_by_adam(list(self.parameters), found, self.kept, RATES, 1e-7)
        for parameter in self.parameters:
            parameter.grad = None
        return found[0]


def milliseconds(step: Callable[[], object]) -> float:
    """CPU milliseconds of one of STEPS calls."""
    began = time.process_time()
    for _ in range(STEPS):
        step()
    return 1000 * (time.process_time() - began) / STEPS


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    set_up_worker(None, torch.device("cpu"), deterministic=False)
    torch.manual_seed(0)
    values, labels = torch.rand(IMAGES, CHANNELS), (torch.arange(IMAGES) % 2).float()
    weights = torch.randn(given.runs, CHANNELS) * 0.03
    rows = torch.randint(0, IMAGES, (given.runs, BATCH))
    single = [Runs(weights[k : k + 1], rows[k : k + 1], values, labels) for k in range(given.runs)]
    together = Runs(weights, rows, values, labels)
    alone = single[0].step()
    off = float((together.step()[0, :, 0] - alone[0]).abs().max())
    taken = np.array(
        [
            (milliseconds(lambda: [run.step() for run in single]), milliseconds(together.step))
            for _ in range(given.rounds)
        ]
    )
    one, all_at_once = np.median(taken, axis=0)
    print(f"{given.runs} runs one after the other: {one:.2f} CPU ms; together: {all_at_once:.2f}")
    print(f"the first run's gradients together differ from those alone by up to {off:.2g}")


if __name__ == "__main__":
    main()
