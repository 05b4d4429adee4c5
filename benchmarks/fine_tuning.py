"""What does a step of fine-tuning cost, beside the same step written by hand with timm?

    python benchmarks/fine_tuning.py [--backbone NAME] [--image-size N] [--rounds N]

All weights of a timm network and `gap` are trained on a batch of random images: forward pass, loss,
gradients, Adam's update. headtohead takes its batch from uint8 images, as in a study; the loops by
hand are given theirs as float32 on the device, normalised, in either memory layout, and use
PyTorch's Adam. All sides take turns on one thread. CPU time, since wall time says nothing on a
machine that does other work. Medians with least and greatest, as Markdown.
"""

import argparse
from collections.abc import Callable

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from frozen import CPU, Side, seconds_of
from headtohead.backbones.table import backbone_of
from headtohead.config.recipe import RecipeSpec
from headtohead.config.study import BackboneSpec
from headtohead.heads.classifier import Classifier
from headtohead.heads.table import build_head
from headtohead.training.inputs import Pictures
from headtohead.training.optimizer import optimizer_of
from headtohead.training.step import EagerGradients, Step
from tables import spread, table


def ours(name: str, images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Side:
    """A step of headtohead."""
    backbone = backbone_of(BackboneSpec(name=f"timm:{name}", train="all"))
    size = backbone.map_size(images.shape[1])
    model = Classifier(backbone, build_head("gap", backbone.channels, size, 1)).train()
    recipe = RecipeSpec()
    inputs = Pictures(images, np.arange(len(images)) % 2, CPU)
    step = Step(EagerGradients(model, inputs, None, recipe.arithmetic), optimizer_of(model, recipe))
    rows = torch.arange(len(images))
    return lambda: step(rows, None)


def by_hand(name: str, pixels: Tensor, layout: torch.memory_format) -> Side:
    """The same with timm and PyTorch alone."""
    model: nn.Module = timm.create_model(name, num_classes=1).train()
    model = model.to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    given = pixels.contiguous(memory_format=layout)
    labels = (torch.arange(len(pixels)) % 2).float()

    def step() -> None:
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(model(given)[:, 0], labels)
        loss.backward()
        optimizer.step()

    return step


def measured(sides: dict[str, Callable[[], object]], batch: int, rounds: int) -> str:
    """Every side by turns, after one call that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(1 + rounds):
        for name, side in sides.items():
            seconds = 1000 * seconds_of(side) / batch
            if number:
                taken[name].append(seconds)
    mine = float(np.median(next(iter(taken.values()))))
    rows = [[n, spread(values), f"{np.median(values) / mine:.2f}"] for n, values in taken.items()]
    return table(["a step", "CPU ms an image", "times headtohead"], rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--backbone", default="tf_efficientnet_lite0", help="a name of timm's")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape = (given.batch, given.image_size, given.image_size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    pixels = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    sides = {
        "headtohead": ours(given.backbone, images),
        "by hand, NCHW": by_hand(given.backbone, pixels, torch.contiguous_format),
        "by hand, channels last": by_hand(given.backbone, pixels, torch.channels_last),
    }
    print(measured(sides, given.batch, given.rounds))


if __name__ == "__main__":
    main()
