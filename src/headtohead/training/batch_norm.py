"""Batch-norm statistics by the weights as they stand ("precise BN").

Training normalises by each batch; evaluation by fixed statistics. The moving averages that training
leaves behind (momentum 0.99) lag behind the weights, by a different amount for each head, so that
an evaluation by them measures the lag. Before each evaluation the statistics are therefore computed
anew over training images: the population's mean and variance of every layer's input (Wu & Johnson
2021, "Rethinking 'Batch' in BatchNorm", arXiv 2105.07576, section 3).

Batch norm alone is in training mode meanwhile: dropout is off, because evaluation, which the
statistics are for, has none either (its noise adds to the variance of what follows it: Li et al.
2018, arXiv 1801.05134; docs/evaluation.md has both measured).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from headtohead.backbones.constants import BATCH_NORM_IMAGES
from headtohead.backbones.layers import BatchNorm
from headtohead.core.streams import stream
from headtohead.training.inputs import Inputs

Norm: TypeAlias = BatchNorm | _BatchNorm


def statistics_rows(train: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The fixed rows of the training split whose statistics are taken, in an order at random.

    The same for every head and epoch of one seed. In random order, since batches that hold one
    class each would not be batches as training has them.
    """
    return stream(seed, "batch norm").permutation(np.sort(train))[:BATCH_NORM_IMAGES]


@torch.no_grad()
def recompute_statistics(
    model: nn.Module, pictures: Inputs, rows: NDArray[np.int64], batch_size: int
) -> None:
    """Set every batch norm of `model` to the mean and variance over `rows`, in batches.

    Batches are full ones, unless there are too few rows for one. The variance is the mean of the
    batches' biased variances plus the variance of their means. Layers whose statistics are frozen
    keep theirs. The model is left in evaluation mode.
    """
    norms = _norms(model)
    if not norms:
        model.eval()
        return
    size = min(batch_size, len(rows))
    used = rows[: len(rows) // size * size]
    with _collecting(model, norms, len(used) // size) as found:
        for part in torch.split(pictures.rows(used), size):
            inputs, _ = pictures.batch(part)
            pictures.logits(model, inputs)
    for norm, moments in zip(norms, found, strict=True):
        if moments.count:  # a layer that the forward pass leaves out keeps what it has
            mean, variance = moments.population()
            _assign(norm, mean, variance)


class _Moments:
    """One layer's batches: their means and biased variances, each (channels,).

    Those of `batches` lie in one block, made at the first of them: small tensors made one by one
    would lie where the next batch's maps were, which then need new memory.
    """

    def __init__(self, batches: int) -> None:
        self._batches = batches
        self._means: list[Tensor] = []
        self._variances: list[Tensor] = []
        self.count = 0

    def add(self, mean: Tensor, variance: Tensor) -> None:
        """One batch. A layer that is used twice in a forward pass has two of each."""
        row = self.count % self._batches
        for blocks, values in (self._means, mean), (self._variances, variance):
            if row == 0:
                blocks.append(values.new_empty((self._batches, len(values)), dtype=torch.float64))
            blocks[-1][row] = values.detach()
        self.count += 1

    def population(self) -> tuple[Tensor, Tensor]:
        """The mean and the variance of all batches together."""
        means = torch.cat(self._means)[: self.count]
        variances = torch.cat(self._variances)[: self.count]
        return means.mean(0), variances.mean(0) + means.var(0, correction=0)


def _norms(model: nn.Module) -> list[Norm]:
    """The layers whose statistics move in training: not those that are frozen or have none."""
    was_training = {module: module.training for module in model.modules()}
    model.train()
    moving = [
        module
        for module in model.modules()
        if module.training
        and (
            isinstance(module, BatchNorm)
            or (isinstance(module, _BatchNorm) and module.running_mean is not None)
        )
    ]
    for module, training in was_training.items():
        if module.training != training:
            module.training = training
    return moving


@contextmanager
def _collecting(model: nn.Module, norms: list[Norm], batches: int) -> Iterator[list[_Moments]]:
    """Each of so many batches that the norms see; they alone are in training mode meanwhile."""
    found = [_Moments(batches) for _ in norms]
    handles = []
    model.eval()
    for norm, moments in zip(norms, found, strict=True):
        norm.training = True
        if isinstance(norm, BatchNorm):
            norm.collect = moments.add
        else:
            hook = _Hook(moments)
            handles.append(norm.register_forward_pre_hook(hook, with_kwargs=True))
    counts = [(norm, _count(norm)) for norm in norms]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
        for norm, count in counts:
            if isinstance(norm, BatchNorm):
                norm.collect = None
            elif norm.num_batches_tracked is not None and count is not None:
                norm.num_batches_tracked.copy_(count)
        model.eval()


@dataclass(frozen=True)
class _Hook:
    """Sees the input of a `torch.nn` batch norm: (N, channels, …)."""

    moments: _Moments

    def __call__(
        self, norm: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]
    ) -> None:
        values = inputs[0] if inputs else named["input"]
        axes = [0, *range(2, values.ndim)]
        variance, mean = torch.var_mean(values.float(), axes, correction=0)
        self.moments.add(mean, variance)


def _count(norm: Norm) -> Tensor | None:
    tracked = None if isinstance(norm, BatchNorm) else norm.num_batches_tracked
    return None if tracked is None else tracked.clone()


def _assign(norm: Norm, mean: Tensor, variance: Tensor) -> None:
    if isinstance(norm, BatchNorm):
        norm.moving_mean.copy_(mean)
        norm.moving_variance.copy_(variance)
    elif norm.running_mean is not None and norm.running_var is not None:
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
