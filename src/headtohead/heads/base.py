"""Heads: feature maps → logits. The candidates of a study.

Every head, shipped or of the user's own (`module:Class`), passes one property-test harness:
`tests/test_heads.py`.
"""

import importlib
import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from headtohead.backbones.constants import BATCH_NORM_EPSILON
from headtohead.backbones.layers import BatchNorm, are_widths, convolution, dense
from headtohead.core.errors import UsageError, brief, one_line


class Head(nn.Module, ABC):
    """Everything after the backbone. Two classes give one logit, more give one each.

    `capturable`: whether a training step can be captured as a CUDA graph. It cannot where the
    forward pass reads values back (`.item()`, boolean indexing): such a head says False.
    """

    capturable = True

    @abstractmethod
    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        """For feature maps (N, channels, *size); options may follow, each with a default."""
        super().__init__()

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, outputs) logits."""

    @abstractmethod
    def class_maps(self, features: Tensor) -> Tensor | None:
        """(N, outputs, H, W) maps whose mean over H × W is exactly the logit, in evaluation mode.

        None for a head whose logits are no such sum. With one logit the map is class 1's, and
        its negative is class 0's.
        """


class GlobalAverage(Head):
    """Mean of each feature map, then one linear layer (Lin et al. 2013, arXiv 1312.4400)."""

    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        self.linear = dense(channels, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        logits: Tensor = self.linear(features.mean(dim=(2, 3)))
        return logits

    def class_maps(self, features: Tensor) -> Tensor:
        """The class activation maps of Zhou et al. 2016 (arXiv 1512.04150), bias included."""
        weight = self.linear.weight[:, :, None, None]
        return functional.conv2d(features, weight, self.linear.bias)


class AveragePool(Head):
    """Average of each `window` × `window` cell, flattened, then one linear layer.

    With a window of 2 this is what the article's code does where its text speaks of Global
    Average Pooling: Keras's `AveragePooling2D()` pools 2 × 2. Rows and columns that do not fill
    a window are left out, as there.
    """

    def __init__(self, channels: int, size: tuple[int, int], outputs: int, window: int = 2) -> None:
        super().__init__(channels, size, outputs)
        if not isinstance(window, int) or window < 1:
            raise UsageError(
                f"an average pooling window is a whole number of at least 1; received {window!r}."
            )
        cells = (size[0] // window, size[1] // window)
        if 0 in cells:
            raise UsageError(
                f"average pooling with a window of {window} needs maps of at least "
                f"{window} × {window}; received {size[0]} × {size[1]}: use larger pictures."
            )
        self.window, self.cells = window, cells
        self.linear = dense(channels * cells[0] * cells[1], outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        logits: Tensor = self.linear(flatten(functional.avg_pool2d(features, self.window)))
        return logits

    def class_maps(self, features: Tensor) -> Tensor:
        """Each pixel's share of the logit, times the number of pixels, bias spread evenly."""
        outputs, window = self.linear.out_features, self.window
        weight = self.linear.weight.reshape(outputs, *self.cells, -1).permute(0, 3, 1, 2)
        weight = weight.repeat_interleave(window, dim=2).repeat_interleave(window, dim=3)
        height, width = features.shape[2:]
        weight = functional.pad(weight, (0, width - weight.shape[3], 0, height - weight.shape[2]))
        scale = height * width / window**2
        maps = torch.einsum("nchw,kchw->nkhw", features, weight) * scale
        return maps + self.linear.bias[:, None, None]


class FullyConnected(Head):
    """The article's classifier: flatten, batch norm, dense, ReLU, batch norm, dense, ReLU, dense.

    `hidden` are the widths of the two dense layers; `dropout` is the share of the first one's
    activations that is zeroed in training (Srivastava et al. 2014).
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        hidden: tuple[int, int] = (100, 100),
        dropout: float = 0.0,
    ) -> None:
        super().__init__(channels, size, outputs)
        if not 0 <= dropout < 1:
            raise UsageError(f"dropout is a share in [0, 1); received {dropout!r}.")
        if not are_widths(hidden) or len(hidden) != 2:
            raise UsageError(
                f"hidden takes the two dense layers' widths, whole numbers of at least 1; "
                f"received {hidden!r}."
            )
        inputs = channels * size[0] * size[1]
        self.layers = nn.Sequential(
            BatchNorm(inputs),
            dense(inputs, hidden[0]),
            nn.ReLU(),
            *([nn.Dropout(dropout)] if dropout else []),
            BatchNorm(hidden[0]),
            dense(hidden[0], hidden[1]),
            nn.ReLU(),
            dense(hidden[1], outputs),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        logits: Tensor = self.layers(flatten(features))
        return logits

    def class_maps(self, features: Tensor) -> None:
        """None: its logits are no sum over places."""
        return


class NormedGlobalAverage(Head):
    """Mean of each feature map, batch norm, then one linear layer: `gap` with the norm switched on.

    The norm (Ioffe & Szegedy 2015, arXiv 1502.03167) stands after the pool, as the article's
    other classifier has one after its flattening.
    """

    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        self.norm = BatchNorm(channels)
        self.linear = dense(channels, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        logits: Tensor = self.linear(self.norm(features.mean(dim=(2, 3))))
        return logits

    def class_maps(self, features: Tensor) -> Tensor:
        """As those of `gap`: in evaluation mode the norm is affine, and commutes with the mean."""
        norm = self.norm
        scale = norm.gamma * (norm.moving_variance + BATCH_NORM_EPSILON).rsqrt()
        shift = norm.beta - norm.moving_mean * scale
        weight = self.linear.weight * scale
        bias = self.linear(shift)
        return functional.conv2d(features, weight[:, :, None, None], bias)


class PooledFullyConnected(Head):
    """Mean of each feature map, then the article's fully connected classifier, made wide.

    A control: it pools as `gap` does and has as many parameters as `fc`. With the default widths,
    64 feature maps and one logit they are 662,349 in the head, where `fc` has 663,301 on 10 × 10
    maps.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        hidden: tuple[int, int] = (780, 780),
        dropout: float = 0.0,
    ) -> None:
        super().__init__(channels, size, outputs)
        self.classifier = FullyConnected(channels, (1, 1), outputs, hidden, dropout)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        logits: Tensor = self.classifier(features.mean(dim=(2, 3), keepdim=True))
        return logits

    def class_maps(self, features: Tensor) -> None:
        """None: its logits are no sum over places."""
        return


class Squeezed(Head):
    """A 1 × 1 convolution to `maps` maps, flattened, then one linear layer: small, not pooled.

    A control: with one map it is the smallest head that uses every feature map and weighs every
    place by itself. On 64 feature maps of 10 × 10, one logit: 64 + 1 + 100 + 1 = 166 parameters,
    where `gap`, which is this head with all places weighed alike, has 65 and `fc` 663,301. (The
    1 × 1 convolution is that of Lin et al. 2013, arXiv 1312.4400.)
    """

    def __init__(self, channels: int, size: tuple[int, int], outputs: int, maps: int = 1) -> None:
        super().__init__(channels, size, outputs)
        if not are_widths([maps]):
            raise UsageError(f"maps is a whole number of at least 1; received {maps!r}.")
        self.squeeze = convolution(channels, maps, kernel=1)
        self.linear = dense(maps * size[0] * size[1], outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        logits: Tensor = self.linear(flatten(self.squeeze(features)))
        return logits

    def class_maps(self, features: Tensor) -> Tensor:
        """Each pixel's share of the logit, times the number of pixels, bias spread evenly."""
        height, width = features.shape[2:]
        weight = self.linear.weight.reshape(self.linear.out_features, height, width, -1)
        shares = torch.einsum("nmhw,khwm->nkhw", self.squeeze(features), weight)
        return shares * (height * width) + self.linear.bias[:, None, None]


def flatten(features: Tensor) -> Tensor:
    """(N, C, H, W) → (N, H·W·C): channels last, as Keras flattens, and free in that layout."""
    return features.permute(0, 2, 3, 1).flatten(1)


@dataclass(frozen=True)
class HeadEntry:
    """A head that a study can name: its class and the options that make it this one."""

    cls: type[Head]
    options: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""


HEADS: dict[str, HeadEntry] = {
    "fc": HeadEntry(FullyConnected, {}, "fully connected, the article's standard classifier"),
    "fc_dropout": HeadEntry(FullyConnected, {"dropout": 0.5}, "the same with dropout of 0.5"),
    "gap": HeadEntry(GlobalAverage, {}, "Global Average Pooling and one linear layer"),
    "avgpool2x2": HeadEntry(
        AveragePool, {"window": 2}, "2 × 2 average pooling, the article's code"
    ),
    "gap_bn": HeadEntry(NormedGlobalAverage, {}, "Global Average Pooling, batch norm, linear"),
    "gap_fc": HeadEntry(
        PooledFullyConnected, {}, "control: pooled as gap, with as many parameters as fc"
    ),
    "fc_small": HeadEntry(
        Squeezed, {}, "control: not pooled, with almost as few parameters as gap"
    ),
}


def head_entry(name: str) -> HeadEntry:
    """The head called `name`, or the class behind `module:Class`.

    Raises UsageError for an unknown name, a module that does not import, and a class that is no
    `Head`. Importing a module runs its code: callers pass on only what the user typed.
    """
    if name in HEADS:
        return HEADS[name]
    module, _, attribute = name.partition(":")
    if not attribute:
        raise UsageError(f"no head {name!r}; there are {', '.join(HEADS)}, and module:Class.")
    try:
        cls = operator.attrgetter(attribute)(importlib.import_module(module))
    except (Exception, SystemExit) as error:  # the user's code runs here, and may do anything
        raise UsageError(
            f"head {name!r} cannot be imported: {brief(one_line(str(error)), 300)}."
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, Head)):
        raise UsageError(f"head {name!r} is no subclass of headtohead.heads.base.Head.")
    return HeadEntry(cls, {}, (cls.__doc__ or "").partition("\n")[0])


def build_head(
    name: str, channels: int, size: tuple[int, int], outputs: int, **options: Any
) -> Head:
    """A head by name for feature maps (N, channels, *size) and `outputs` logits.

    Raises UsageError for an unknown name or option, or maps that the head cannot take.
    """
    entry = head_entry(name)
    settings = {**entry.options, **options}
    try:
        return entry.cls(channels, size, outputs, **settings)
    except TypeError as error:
        raise UsageError(f"head {name} cannot take the options {settings!r}: {error}.") from None
