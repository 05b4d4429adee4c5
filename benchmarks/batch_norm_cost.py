"""What recomputing batch-norm statistics costs, as a share of an epoch.

    python benchmarks/batch_norm_cost.py

In one process with one thread, each head by turns recomputes its statistics over 2,048 images and
takes some training steps; processor time (user and system) of both. The share is computed for an
epoch of `--images` training images: 2,048 images' forward passes against as many steps as that
epoch has, without what else an epoch does (evaluation), which would make the share smaller. Images
are random pixels: what they show changes no number of operations. Prints a Markdown table.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from headtohead.backbones.constants import BATCH_NORM_IMAGES
from headtohead.config.study_files import resolve_study
from headtohead.probes.speed import StepRunner, step_runner
from headtohead.training import batch_norm
from headtohead.training.device import choose_device, set_up_worker
from headtohead.training.inputs import Pictures
from stages import plan_of


def cpu_seconds(work: Callable[[], object]) -> float:
    """Processor seconds of this process, user and system."""
    start = time.process_time()
    work()
    return time.process_time() - start


def rounds_of(
    runner: StepRunner, pictures: Pictures, rows: np.ndarray, steps: int, rounds: int
) -> np.ndarray:
    """(rounds, 2): processor seconds of one recomputation and of one training step."""
    batch = len(runner.rows)

    def recompute() -> None:
        batch_norm.recompute_statistics(runner.model, pictures, rows, batch)
        runner.model.train()

    def train() -> None:
        for _ in range(steps):
            runner.step()

    runner.step()  # libraries choose their kernels and take their memory
    batch_norm.recompute_statistics(runner.model, pictures, rows[:batch], batch)
    runner.model.train()
    return np.array([(cpu_seconds(recompute), cpu_seconds(train) / steps) for _ in range(rounds)])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="article")
    parser.add_argument("--images", type=int, default=19_994, help="Training images of an epoch.")
    parser.add_argument("--steps", type=int, default=16, help="Training steps of each round.")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    spec = resolve_study(asked.study, data="synthetic")
    size = spec.pictures.image_size
    count = min(BATCH_NORM_IMAGES, asked.images)
    drawn = np.random.default_rng(0)
    device = choose_device("cpu")
    set_up_worker(None, device, deterministic=False)
    torch.set_num_threads(1)
    pictures = Pictures(
        drawn.integers(0, 256, (count, size, size, 3), np.uint8),
        drawn.integers(0, 2, count),
        device,
    )
    rows = np.arange(count)
    print(f"| head | {count:,} images, CPU s | a step, CPU s | steps an epoch | share, % |")
    print("|---|---|---|---|---|")
    for head in spec.heads:
        plan = plan_of(spec, head)
        steps = plan.recipe.steps(asked.images)
        runner = step_runner(plan, pictures, rows[: plan.recipe.batch(count)])
        found = rounds_of(runner, pictures, rows, asked.steps, asked.rounds)
        shares = 100 * found[:, 0] / (found[:, 1] * steps)
        recomputed, step = np.median(found, axis=0)
        print(
            f"| {head} | {recomputed:.2f} | {step:.3f} | {steps} | "
            f"{np.median(shares):.1f} ({shares.min():.1f} to {shares.max():.1f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
