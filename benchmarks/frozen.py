"""What does a frozen study cost: a backbone's features, and each head's training step on them?

    python benchmarks/frozen.py [--backbone timm:NAME] [--image-size N] [--heads gap,gem,…]

First the features of a batch of random images, in CPU milliseconds an image on one thread: as
headtohead computes them (in the faster memory layout of two), and as the library's own network
does, eager in either layout and by `torch.compile`, whose compilation is told apart. All sides take
turns. Then a training step of 32 images of every head on feature maps of that backbone's size:
gradients and update. CPU time, since wall time says nothing on a machine that does other work.
Medians with least and greatest, as Markdown.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from headtohead.backbones.frozen import frozen_backbone
from headtohead.config.recipe import RecipeSpec
from headtohead.config.study import BackboneSpec
from headtohead.heads.classifier import Classifier
from headtohead.heads.table import HEADS, build_head
from headtohead.training.features import Network
from headtohead.training.inputs import Features
from headtohead.training.optimizer import optimizer_of
from headtohead.training.step import EagerGradients, Step
from tables import spread, table

STEP = 32
CPU = torch.device("cpu")
NOT_TRAINED = ("class_mean",)
Side = Callable[[], object]


@dataclass(frozen=True)
class Eager:
    """The library's network on float images in one memory layout, without gradients."""

    network: nn.Module
    images: Tensor

    @torch.inference_mode()
    def __call__(self) -> Tensor:
        """Its feature maps."""
        features: Tensor = self.network(self.images)
        return features


def seconds_of(side: Side) -> float:
    """CPU seconds of this process for one call."""
    began = time.process_time()
    side()
    return time.process_time() - began


def extraction(spec: BackboneSpec, size: int, batch: int, rounds: int, *, compiled: bool) -> str:
    """CPU milliseconds an image of every way, all of them by turns."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (batch, size, size, 3), np.uint8)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255).contiguous()
    ours = Network(frozen_backbone(spec, 0), CPU)
    layout = ours.fastest(images[:8])
    plain, last = (frozen_backbone(spec, 0).trunk for _ in range(2))
    last = last.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    turned = pixels.contiguous(memory_format=torch.channels_last)
    sides: dict[str, Side] = {
        f"headtohead ({layout})": lambda: ours(images, layout),
        "eager, NCHW": Eager(plain, pixels),
        "eager, channels last": Eager(last, turned),
    }
    if compiled:
        sides["torch.compile, channels last"] = Eager(torch.compile(last), turned)
    first = {name: seconds_of(side) for name, side in sides.items()}
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            taken[name].append(1000 * seconds_of(side) / batch)
    mine = np.median(taken[f"headtohead ({layout})"])
    rows = [
        [name, spread(values), f"{np.median(values) / mine:.2f}", f"{first[name]:.1f}"]
        for name, values in taken.items()
    ]
    header = ["features", "CPU ms an image", "times headtohead", "first batch, CPU s"]
    return table(header, rows)


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
        model = Classifier(backbone, build_head(name, channels, (height, width), 1))
        recipe = RecipeSpec()
        gradients = EagerGradients(model, features, None, recipe.arithmetic)
        step, batch = Step(gradients, optimizer_of(model, recipe)), torch.arange(STEP)
        model.train()
        step(batch, None)
        taken = [1000 * seconds_of(lambda: step(batch, None)) for _ in range(rounds)]  # noqa: B023
        count = sum(p.numel() for p in model.head.parameters())
        rows.append([f"`{name}`", spread(taken), f"{count:,}"])
    shape = f"{channels} × {height} × {width}"
    return table([f"head on {shape}", f"CPU ms a step of {STEP}", "parameters"], rows)


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
    torch.set_num_threads(1)
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
