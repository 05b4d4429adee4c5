"""Training steps with the first `--rung` of headtohead's measures, and none of the later ones.

It says its last loss, too: every rung trains the same network, up to rounding.
"""

from stepping import CORES, SIZE, Clock, arguments, drawn  # first: it pins the process

# isort: split
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from headtohead.accel import blocks, convolutions, shards
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.heads.classifier import build_classifier
from headtohead.training.acceleration import fastest
from headtohead.training.device import set_up_worker
from headtohead.training.inputs import Pictures
from headtohead.training.optimizer import KerasAdam
from headtohead.training.step import EagerGradients, Step

(
    PLAIN, CHANNELS_LAST, POOL_FIRST, UNFILLED, KEPT, FUSED, IN_SHARDS, WINOGRAD, SECOND_CORE,
) = range(9)  # fmt: skip


def in_the_articles_order(block: blocks.FusedBlock, pictures: Tensor) -> Tensor:
    maps = functional.relu(block.norm(block.convolution(pictures)))
    return functional.max_pool2d(maps, 2)


@contextmanager
def without_the_measures_after(rung: int) -> Iterator[None]:
    """Everything as headtohead does it, but for what comes later in the ladder."""
    with ExitStack() as patches:

        def replace(owner: object, name: str, value: object) -> None:
            patches.enter_context(mock.patch.object(owner, name, value))

        if rung < KEPT:
            replace(platform, "libc_ver", lambda: ("", ""))
        set_up_worker(None, torch.device("cpu"), deterministic=False)
        torch.utils.deterministic.fill_uninitialized_memory = rung < UNFILLED  # type: ignore[attr-defined]
        if rung < POOL_FIRST:
            replace(blocks.FusedBlock, "forward", in_the_articles_order)
        if rung < FUSED:
            replace(blocks, "_suits_kernels", lambda _: False)
        if rung < IN_SHARDS:
            replace(shards, "SIZE", 10**9)
        if rung < WINOGRAD:
            replace(convolutions, "WORTH_WHILE", 10**9)
        if rung >= SECOND_CORE:
            shards.lend(CORES[:1])
        yield


def batch_of(pictures: Pictures, rung: int) -> Pictures:
    """Whose batches are channels last in memory, or not."""
    if rung < CHANNELS_LAST:
        last = pictures.batch

        def first(rows: Tensor) -> tuple[Tensor, Tensor]:
            images, labels = last(rows)
            return images.contiguous(), labels

        pictures.batch = first  # type: ignore[method-assign]
    return pictures


def main() -> None:
    options = arguments("--rung")
    with without_the_measures_after(options.rung):
        images, labels = drawn(options)
        pictures = batch_of(Pictures(images, labels, torch.device("cpu")), options.rung)
        model = build_classifier(
            BackboneSpec(), options.head, HeadSpec(), image_size=SIZE, classes=2, seed=0
        )
        model.backbone = fastest(model.backbone)
        if options.rung >= CHANNELS_LAST:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        step = Step(
            EagerGradients(model.train(), pictures, None, "float32"),
            KerasAdam(model.parameters(), 1e-3, 0.0),
        )
        clock = Clock(options.steps)
        torch.manual_seed(0)  # dropout's
        for rows in pictures.rows(np.arange(len(labels))).split(options.batch):
            loss, _ = step(rows, None)
            clock.step()
    clock.say(last_loss=float(loss))


if __name__ == "__main__":
    main()
