"""What does a frozen study cost: a backbone's features, and each head's training step on them?

    python benchmarks/frozen.py [--backbone timm:NAME] [--image-size N] [--heads gap,gem,…]

First the features of a batch of random images, in CPU milliseconds an image on one thread: as
headtohead's workers compute them (in the faster memory layout of two; they keep freed memory, see
`headtohead.training.device.set_up_worker`), and as the library's own network does, eager in either
layout and by `torch.compile`, in a process that is not set up and in one that is. What the first
batch takes is told apart: for `torch.compile` that is its compilation. Each way has a process of
its own, and they take turns. Then a training step of 32 images of every head on feature maps of
that backbone's size, and on what its pool made of them where a study keeps that: gradients and
update. CPU time, since wall time says nothing on a machine that does other work. Medians with
least and greatest, as Markdown.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch

from headtohead.backbones.frozen import frozen_backbone
from headtohead.config.recipe import RecipeSpec
from headtohead.config.study import BackboneSpec
from headtohead.heads.classifier import Classifier
from headtohead.heads.table import HEADS, build_head
from headtohead.training.device import set_up_worker
from headtohead.training.feature_extraction import LAYOUTS, Network
from headtohead.training.inputs import Features
from headtohead.training.optimizer import optimizer_of
from headtohead.training.step import EagerGradients, Step
from tables import spread, table

STEP = 32
CPU = torch.device("cpu")
NOT_TRAINED = ("class_mean",)
Side = Callable[[], object]


@dataclass(frozen=True)
class Way:
    """One way to compute features, in a process of its own. `set_up`: as a worker of headtohead."""

    name: str
    spec: BackboneSpec
    size: int
    batch: int
    layout: str = ""
    """Of the library's own network; "" for headtohead's."""
    compiled: bool = False
    set_up: bool = True

    def side(self) -> Side:
        """Computes a batch; what it is called first for is part of its first call."""
        random = np.random.default_rng(0)
        images = random.integers(0, 256, (self.batch, self.size, self.size, 3), np.uint8)
        if not self.layout:
            ours = Network(frozen_backbone(self.spec, 0), CPU, images)
            layout = ours.fastest(images[:8])
            return lambda: ours(images, layout)
        form = LAYOUTS[self.layout]
        network: Any = frozen_backbone(self.spec, 0).trunk
        network = network.to(memory_format=form)
        if self.compiled:
            network = torch.compile(network)
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255)
        pixels = pixels.contiguous(memory_format=form)

        @torch.inference_mode()
        def computed() -> object:
            return network(pixels)

        return computed


def serve(way: Way, pipe: Connection) -> None:
    """A way's process: for each message the CPU seconds of a batch, compilers' included."""
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # in this process, whose time is told
    torch.set_num_threads(1)
    if way.set_up:
        set_up_worker(None, CPU, deterministic=False)
    side = way.side()
    while pipe.recv():
        before = sum(os.times()[:4])
        side()
        pipe.send(sum(os.times()[:4]) - before)


def extraction(spec: BackboneSpec, size: int, batch: int, rounds: int, *, compiled: bool) -> str:
    """CPU milliseconds an image of every way, all of them by turns."""
    given = (spec, size, batch)
    last = "channels_last"
    ways = [
        Way("headtohead", *given),
        Way("eager, NCHW", *given, "contiguous", set_up=False),
        Way("eager, channels last", *given, last, set_up=False),
        Way("eager, channels last, memory kept", *given, last),
    ]
    if compiled:
        ways += [
            Way("torch.compile, channels last", *given, last, compiled=True, set_up=False),
            Way("torch.compile, channels last, memory kept", *given, last, compiled=True),
        ]
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for way in ways:
        mine, other = context.Pipe()
        processes.append(context.Process(target=serve, args=(way, other), daemon=True))
        processes[-1].start()
        pipes.append(mine)
    taken = [[_asked(pipe) for pipe in pipes] for _ in range(1 + rounds)]
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(False)
        process.join()
    first, *others = np.array(taken)
    each = 1000 * np.array(others) / batch
    times = np.median(each, axis=0) / np.median(each[:, 0])
    rows = [
        [way.name, spread(list(each[:, k])), f"{times[k]:.2f}", f"{first[k]:.1f}"]
        for k, way in enumerate(ways)
    ]
    header = ["features", "CPU ms an image", "times headtohead", "first batch, CPU s"]
    return table(header, rows)


def _asked(pipe: Connection) -> float:
    pipe.send(True)
    return float(pipe.recv())


def seconds_of(side: Side) -> float:
    """CPU seconds of this process for one call."""
    began = time.process_time()
    side()
    return time.process_time() - began


def steps(spec: BackboneSpec, size: int, heads: Iterable[str], rounds: int) -> str:
    """CPU milliseconds of a training step of every head."""
    backbone = frozen_backbone(spec, 0)
    channels, (height, width) = backbone.channels, backbone.map_size(size)
    random = np.random.default_rng(0)
    maps = random.standard_normal((1, 256, height, width, channels)).clip(0).astype(np.float16)
    features = Features(maps, random.integers(0, 2, 256), CPU)
    rows = []
    for name in heads:
        torch.manual_seed(0)
        model = Classifier(backbone, build_head(name, channels, (height, width), 1)).train()
        recipe, batch = RecipeSpec(), torch.arange(STEP)
        told = []
        for given in dict.fromkeys((features, features.for_head(model.head))):
            gradients = EagerGradients(model, given, None, recipe.arithmetic)
            step = Step(gradients, optimizer_of(model, recipe))
            side = partial(step, batch, None)
            side()
            told.append(spread([1000 * seconds_of(side) for _ in range(rounds)]))
        count = sum(p.numel() for p in model.head.parameters())
        rows.append([f"`{name}`", told[0], told[1] if len(told) > 1 else "", f"{count:,}"])
    shape = f"{channels} × {height} × {width}"
    header = [f"head on {shape}", f"CPU ms a step of {STEP}", "on what was pooled", "parameters"]
    return table(header, rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--backbone", default="timm:tf_efficientnet_lite0")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--heads", default=",".join(h for h in HEADS if h not in NOT_TRAINED))
    parser.add_argument("--batch", type=int, default=32, help="images at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    given = parser.parse_args()
    set_up_worker(None, CPU, deterministic=False)
    spec = BackboneSpec(name=given.backbone, train="none")
    compiled = not given.no_compile
    print(
        extraction(spec, given.image_size, given.batch, given.rounds, compiled=compiled), flush=True
    )
    if given.heads:
        print()
        print(steps(spec, given.image_size, given.heads.split(","), given.rounds))


if __name__ == "__main__":
    main()
