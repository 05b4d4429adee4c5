"""A training step against the convolutions in it: CPU milliseconds per picture, on one core.

    python benchmarks/step.py

The floor is nothing but the backbone's three convolutions, forward and backward, as PyTorch's own
kernels do them, without batch norm, pool, head, loss or optimiser; no step that computes them so
can be faster. Evaluation is the forward pass alone. All take turns. Prints one JSON object.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from headtohead.models.classifier import Classifier, build_classifier
from headtohead.spec import BackboneSpec, HeadSpec
from headtohead.training.device import set_up_worker
from headtohead.training.evaluation import infer
from headtohead.training.optimizer import KerasAdam
from headtohead.training.pictures import Pictures
from headtohead.training.step import EagerGradients, Step

SIZE = 100
HEADS = ("gap", "fc_dropout")
PICTURES = 256
"""In each timing, whatever the batch size."""
SHAPES = ((3, 32, 100), (32, 32, 49), (32, 64, 23))
"""(channels in, channels out, side) of the article's convolutions."""

Body = Callable[[], None]


def floor(batch: int) -> Body:
    """The convolutions of one step, forward and backward; the first needs no gradient of inputs."""

    def like(*shape: int) -> torch.Tensor:
        return torch.randn(*shape).contiguous(memory_format=torch.channels_last)

    layers = [
        (like(batch, a, s, s), like(b, a, 3, 3), like(batch, b, s - 2, s - 2)) for a, b, s in SHAPES
    ]
    how = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)

    def body() -> None:
        for index, (inputs, weights, gradients) in enumerate(layers):
            torch.ops.aten.convolution(inputs, weights, None, *how)
            wanted = [index > 0, True, False]
            torch.ops.aten.convolution_backward(gradients, inputs, weights, None, *how, wanted)

    return body


def model_of(head: str) -> Classifier:
    model = build_classifier(BackboneSpec(), head, HeadSpec(), image_size=SIZE, classes=2, seed=0)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def drawn() -> Pictures:
    """Noise: what pictures show changes no time."""
    images = np.random.default_rng(0).integers(0, 256, (PICTURES, SIZE, SIZE, 3), dtype=np.uint8)
    return Pictures(images, np.arange(PICTURES) % 2, torch.device("cpu"))


def training(head: str, batch: int, pictures: Pictures) -> Body:
    """One step as the engine takes it."""
    model = model_of(head).train()
    step = Step(
        EagerGradients(model, pictures, None, "float32"), KerasAdam(model.parameters(), 1e-3, 0.0)
    )
    rows = pictures.rows(np.arange(batch))

    def body() -> None:
        step(rows, None)

    return body


def evaluation(batch: int, pictures: Pictures) -> Body:
    """The forward pass of as many pictures as a step has."""
    model, rows = model_of(HEADS[0]).eval(), np.arange(batch)

    def body() -> None:
        infer(model, pictures, rows)

    return body


def bodies(batches: list[int]) -> Iterator[tuple[str, int, Body]]:
    """What is timed: name, pictures in a call, call."""
    pictures = drawn()
    for batch in batches:
        yield f"floor_batch_{batch}", batch, floor(batch)
        for head in HEADS:
            yield f"{head}_batch_{batch}", batch, training(head, batch, pictures)
        yield f"evaluation_batch_{batch}", batch, evaluation(batch, pictures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args()
    set_up_worker(None, torch.device("cpu"), deterministic=False)
    timed = list(bodies(options.batches))
    times: dict[str, list[float]] = {name: [] for name, _, _ in timed}
    for repetition in range(-2, options.repetitions):  # the first two compile and allocate
        for name, batch, body in timed:
            calls = PICTURES // batch
            began = time.process_time()
            for _ in range(calls):
                body()
            if repetition >= 0:
                spent = 1000 * (time.process_time() - began) / (calls * batch)
                times[name].append(spent)
    print(json.dumps({f"ms_{name}": statistics.median(found) for name, found in times.items()}))


if __name__ == "__main__":
    main()
