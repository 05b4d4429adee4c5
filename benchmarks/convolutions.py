"""How near are the article's convolutions to what this core can do, and which way is the faster?

    python benchmarks/convolutions.py [--channels N …]

Each convolution of the backbone, forward and backward (to its weights, and to its input where that
is not the images), on one core: as PyTorch computes it, in milliseconds and in floating-point
operations a second; beside it as headtohead does, in its shards, by Winograd's filtering where
channels are many. Their greatest rounding error, as a share of the largest value, is against
float64. Last a product of two large square matrices, which is as near to the core's peak as a
library comes. With `--channels`, convolutions of so many maps to as many, 49 × 49, and always by
Winograd: from how many on is that the faster way? Medians of several calls with least and greatest,
as Markdown.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

sys.path.append(str(Path(__file__).resolve().parent / "peers"))

# isort: split
from step_floor import SHAPES, like  # first: its import pins the process

# isort: split
import torch
from torch import Tensor

from headtohead.accel.convolutions import (
    Convolution,
    Direct,
    Winograd,
    channels_last,
    convolution_by,
)
from headtohead.accel.shards import shards
from headtohead.training.device import set_up_worker
from tables import number, spread, table

BATCH = 64
SIDE = 2048
"""Of the square matrices."""
PICTURE = 3
"""Channels of the images, whose gradient nobody needs."""


@dataclass(frozen=True)
class Layer:
    """A convolution of the backbone with its batch, channels last in memory."""

    images: Tensor
    weights: Tensor
    gradients: Tensor
    is_first: bool

    @classmethod
    def drawn(cls, inputs: int, outputs: int, side: int) -> "Layer":
        weights = like(outputs, inputs, 3, 3) / (9 * inputs) ** 0.5
        gradients = like(BATCH, outputs, side - 2, side - 2)
        return cls(like(BATCH, inputs, side, side), weights, gradients, inputs == PICTURE)

    @property
    def operations(self) -> float:
        """Floating-point operations of the forward pass, by the definition."""
        return 2.0 * self.gradients.numel() * self.weights[0].numel()

    def forward(self, way: Convolution, parts: list[slice]) -> list[Tensor]:
        """The maps of each part."""
        bias = torch.zeros(len(self.weights), dtype=self.weights.dtype)
        return [way.maps(self.images[part], bias) for part in parts]

    def backward(self, way: Convolution, parts: list[slice]) -> list[Tensor]:
        """The gradients of the weights and, but for the first convolution, of its input."""
        to_images = None if self.is_first else torch.empty_like(self.images)
        shares = [
            way.gradient(
                self.gradients[part],
                self.images[part],
                None if to_images is None else to_images[part],
            )
            for part in parts
        ]
        to_weights = way.to_weight(torch.stack(shares).sum(0))
        return [to_weights] if to_images is None else [to_weights, to_images]

    def exact(self) -> "Layer":
        """The same in float64."""
        images, weights, gradients = (
            channels_last(part.double()) for part in (self.images, self.weights, self.gradients)
        )
        return Layer(images, weights, gradients, self.is_first)


Pass: TypeAlias = Callable[[Layer, Convolution, list[slice]], list[Tensor]]


def seconds(work: Callable[[], object], calls: int) -> list[float]:
    """Of each call, after one that is not counted."""
    work()
    taken = []
    for _ in range(calls):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return sorted(taken)


def error(found: list[Tensor], exact: list[Tensor]) -> float:
    """The greatest difference, as a share of the largest value."""
    pairs = zip(found, exact, strict=True)
    return max(float((one - other).abs().max() / other.abs().max()) for one, other in pairs)


def rows_of(layer: Layer, ours: Callable[[Tensor], Convolution], calls: int) -> list[list[str]]:
    """Forward and backward, by the library in one piece and by `ours` in shards."""
    ways: list[tuple[Callable[[Tensor], Convolution], list[slice]]] = [
        (Direct, [slice(None)]),
        (ours, shards(BATCH)),
    ]
    _, inputs, height, width = layer.images.shape
    name = f"{inputs} to {len(layer.weights)} maps, {height} × {width}"
    passes: list[tuple[str, Pass, int]] = [
        ("forward", Layer.forward, 1),
        ("backward", Layer.backward, 1 if layer.is_first else 2),
    ]
    exact, rows = layer.exact(), []
    for called, work, products in passes:
        row = [f"{name}: {called}"]
        for way, parts in ways:
            taken = seconds(partial(work, layer, way(layer.weights), parts), calls)
            row.append(spread([1000 * t / BATCH for t in taken]))
            if way is Direct:
                row.append(number(products * layer.operations / taken[len(taken) // 2] / 1e9))
            wrong = error(
                work(layer, way(layer.weights), parts), work(exact, Direct(exact.weights), parts)
            )
            row.append(f"{wrong:.0e}")
        rows.append(row)
    return rows


def main(calls: int, channels: list[int]) -> None:
    set_up_worker(None, torch.device("cpu"), deterministic=False)
    torch.set_grad_enabled(False)
    square = torch.randn(SIDE, SIDE)
    peak = seconds(lambda: square @ square, calls)
    shapes = [(count, count, SHAPES[1][2]) for count in channels] or SHAPES
    ours = Winograd if channels else convolution_by
    rows = [row for shape in shapes for row in rows_of(Layer.drawn(*shape), ours, calls)]
    best = [2.0 * SIDE**3 / t / 1e9 for t in peak]
    rows.append([f"product of matrices, {SIDE} × {SIDE}", "", spread(best), "", "", ""])
    head = ["one core", "PyTorch, ms an image", "GFLOP/s", "error"]
    print(table([*head, "headtohead, ms an image", "error"], rows))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    arguments.add_argument("--calls", type=int, default=15)
    arguments.add_argument("--channels", type=int, nargs="+", default=[])
    main(**vars(arguments.parse_args()))
