"""How near are the article's convolutions to what this core can do?

    python benchmarks/convolutions.py

Each convolution of the backbone, forward, backward to its input and backward to its weights, as
PyTorch computes it on one core, in milliseconds and in floating-point operations a second; beside
them a product of two large square matrices, which is as near to the core's peak as a library comes.
Medians of several calls with least and greatest, as Markdown.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent / "peers"))

# isort: split
from step_floor import HOW, SHAPES, like  # first: its import pins the process

# isort: split
import torch

from headtohead.training.device import set_up_worker
from tables import number, spread, table

BATCH = 64
SIDE = 2048
"""Of the square matrices."""


def seconds(work: Callable[[], object], calls: int) -> list[float]:
    """Of each call, after one that is not counted."""
    work()
    taken = []
    for _ in range(calls):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return taken


def parts() -> Iterator[tuple[str, float, Callable[[], object]]]:
    """Name, floating-point operations, and the work itself."""
    for index, (inputs, outputs, side) in enumerate(SHAPES):
        images, weights = like(BATCH, inputs, side, side), like(outputs, inputs, 3, 3)
        gradients = like(BATCH, outputs, side - 2, side - 2)
        operations = 2.0 * BATCH * inputs * outputs * 9 * (side - 2) ** 2
        name = f"{inputs} to {outputs} maps, {side} × {side}"

        def backward(*wanted: bool, images=images, weights=weights, gradients=gradients) -> object:
            return torch.ops.aten.convolution_backward(
                gradients, images, weights, None, *HOW, [*wanted, False]
            )

        def forward(images=images, weights=weights) -> object:
            return torch.ops.aten.convolution(images, weights, None, *HOW)

        yield f"{name}: forward", operations, forward
        if index:  # nobody needs the gradient of the pictures
            yield f"{name}: to the input", operations, lambda b=backward: b(True, False)
        yield f"{name}: to the weights", operations, lambda b=backward: b(False, True)


def main(calls: int) -> None:
    set_up_worker(None, torch.device("cpu"), deterministic=False)
    square = torch.randn(SIDE, SIDE)
    peak = seconds(lambda: square @ square, calls)
    rows, total, operations = [], 0.0, 0.0
    for name, count, work in parts():
        taken = seconds(work, calls)
        middle = sorted(taken)[len(taken) // 2]
        total, operations = total + middle, operations + count
        rows.append([name, spread([1000 * t / BATCH for t in taken]), number(count / middle / 1e9)])
    rows.append(["all", number(1000 * total / BATCH), number(operations / total / 1e9)])
    best = [2.0 * SIDE**3 / t / 1e9 for t in peak]
    rows.append([f"product of matrices, {SIDE} × {SIDE}", "", spread(best)])
    print(table(["one core", "ms a picture", "GFLOP/s"], rows))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    arguments.add_argument("--calls", type=int, default=15)
    main(arguments.parse_args().calls)
