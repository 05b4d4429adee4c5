"""The contract of a head: feature maps → logits.

Every head, shipped or of the user's own (`module:Class`), passes one property-test harness:
`headtohead.testing.check_head`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

LinearOn: TypeAlias = Literal["all places", "the means", "the maxima"]


class Head(nn.Module, ABC):
    """Everything after the backbone. Two classes give one logit, more give one each.

    What a class says of itself, for the trainer, the report and `check_head`:

    `capturable`: a training step can be captured as a CUDA graph. It cannot where the forward
    pass reads values back (`.item()`, boolean indexing): such a head says False.
    `exportable`: it can be written as ONNX.
    `permutation_invariant`, `translation_invariant`: in evaluation mode the logits stay the same
    when the places of the maps are shuffled, or moved around the edges. None claims nothing.
    `needs_non_negative`: it is meant for maps without negative values, as ReLU leaves them;
    it discards what is negative.
    `fixed_attention`: the places' weights in `class_maps` depend on the image: the maps say what
    each place contributed to this logit, not what it would contribute after a change.
    `closed_form`: see `ClosedFormHead`.
    `linear_at_one_place`: on 1 × 1 maps it is one linear layer, up to the values of its weights
    (on maps without negative values, where it needs those). `linear_on`: the same on larger maps,
    and what that layer sees of them. Heads that say the same are one function: a study is told.
    """

    capturable = True
    exportable = True
    permutation_invariant: bool | None = None
    translation_invariant: bool | None = None
    needs_non_negative = False
    fixed_attention = False
    closed_form = False
    linear_at_one_place = False
    linear_on: LinearOn | None = None

    @abstractmethod
    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        """For feature maps (N, channels, *size); options may follow, each with a default."""
        super().__init__()

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, outputs) logits."""

    def class_maps(self, features: Tensor) -> Tensor | None:
        """(N, outputs, H, W) maps whose mean over H × W is exactly the logit, in evaluation mode.

        None for a head whose logits are no such sum. With one logit the map is class 1's, and
        its negative is class 0's.
        """
        return None


SMALLEST_NORM = 1e-6
"""The least norm that a vector is divided by; R-MAC adds it to the norm, as cirtorch does."""

Pool: TypeAlias = Callable[[Tensor], Tensor]
"""(N, C, H, W) → (N, values): a function, or a value of a frozen dataclass that has its options.

It learns nothing, draws nothing and sees each image by itself, to the bit; two that are equal
compute the same. No `nn.Module`.
"""


class PooledHead(Head):
    """A head that sees of the maps only what a fixed `pool` makes of them, given by its class.

    On a frozen backbone every image is pooled once, for all heads with an equal pool and all seeds,
    and a step takes what was pooled: many times less work with the same numbers.
    """

    pool: Pool

    @abstractmethod
    def classify(self, pooled: Tensor) -> Tensor:
        """(N, values) of the pool → (N, outputs) logits."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        return self.classify(self.pool(features))


class ClosedFormHead(Head):
    """A head that is computed from the training split, not trained: it has no parameters.

    Its state is in buffers, so that it is saved and loaded as any other. To fit it: `reset`,
    then `fit` once for each batch of the training split, in any order and of any sizes. The
    result is that of the whole split at once, up to rounding. Before that all logits are zero.
    """

    closed_form = True

    @abstractmethod
    def reset(self) -> None:
        """Forget what was fitted."""

    @abstractmethod
    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Take in a batch: features (n, channels, H, W), labels (n,) whole numbers from 0."""


@dataclass(frozen=True)
class HeadEntry:
    """A head that a study can name: its class and the options that make it this one.

    `formula`: the logits, for D channels, N places and K logits. `parameters`: their number as a
    Python expression of D, N, H, W, K and the options; a test evaluates it. `source`: the paper.
    `when`: when to use it.
    """

    cls: type[Head]
    options: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""
    formula: str = ""
    parameters: str = ""
    source: str = ""
    when: str = ""


def flatten(features: Tensor) -> Tensor:
    """(N, C, H, W) → (N, H·W·C): channels last, as Keras flattens, and free in that layout."""
    return features.permute(0, 2, 3, 1).flatten(1)


def places(features: Tensor) -> Tensor:
    """(N, C, H, W) → (N, H·W, C): one vector a place, as attention takes them."""
    return features.flatten(2).transpose(1, 2)


def maps_of(places: Tensor, like: Tensor) -> Tensor:
    """(N, H·W, K) → (N, K, H, W), of the height and width of `like` (N, C, H, W)."""
    return places.transpose(1, 2).reshape(len(like), -1, *like.shape[2:])


def classwise(linear: nn.Linear, features: Tensor) -> Tensor:
    """(N, C, H, W) → (N, K, H, W): the linear layer at every place, with its bias."""
    bias = linear.bias
    return torch.nn.functional.conv2d(features, linear.weight[:, :, None, None], bias)
