"""Heads that keep places: every place of the feature maps has weights of its own."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from headtohead.backbones.layers import MOST_WIDE, BatchNorm, are_widths, convolution, dense
from headtohead.core.errors import UsageError, brief
from headtohead.heads.base import Head, HeadEntry, PooledHead, flatten
from headtohead.heads.option_checks import dropout_share, whole
from headtohead.heads.pools import WindowMeans


class FlattenLinear(Head):
    """All values of all feature maps, then one linear layer: W·vec(X) + b.

    The plainest head that weighs every place by itself: softmax regression on the feature maps
    (scikit-learn's `LogisticRegression` has the same function).
    """

    permutation_invariant = False
    translation_invariant = False
    linear_at_one_place = True
    linear_on = "all places"

    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        self.linear = dense(channels * size[0] * size[1], outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        logits: Tensor = self.linear(flatten(features))
        return logits

    def class_maps(self, features: Tensor) -> Tensor:
        """Each place's share of the logit, times the number of places, bias spread evenly."""
        height, width = features.shape[2:]
        weight = self.linear.weight.reshape(self.linear.out_features, height, width, -1)
        shares = torch.einsum("nchw,khwc->nkhw", features, weight)
        return shares * (height * width) + self.linear.bias[:, None, None]


class FullConvolution(Head):
    """A convolution as large as the feature maps: the same function as flatten and linear.

    So LeNet-5's C5 (LeCun et al. 1998) and the classifiers of OverFeat (arXiv 1312.6229).
    Its weights are those of `linear` in another order; its initial values are drawn for another
    shape (Glorot's rule counts a kernel's places among inputs and outputs), and are smaller.
    """

    permutation_invariant = False
    translation_invariant = False
    linear_at_one_place = True
    linear_on = "all places"

    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        self.convolution = convolution(channels, outputs, size)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        logits: Tensor = self.convolution(features)
        return logits.flatten(1)

    def class_maps(self, features: Tensor) -> Tensor:
        """Each place's share of the logit, times the number of places, bias spread evenly."""
        places = features.shape[2] * features.shape[3]
        bias = cast(Tensor, self.convolution.bias)
        shares = torch.einsum("nchw,kchw->nkhw", features, self.convolution.weight)
        return shares * places + bias[:, None, None]


class AveragePool(PooledHead):
    """Average of each `window` × `window` cell, flattened, then one linear layer.

    With a window of 2 this is what the article's code does where its text speaks of Global
    Average Pooling: Keras's `AveragePooling2D()` pools 2 × 2. Rows and columns that do not fill
    a window are left out, as there.
    """

    permutation_invariant = False
    translation_invariant = False
    linear_at_one_place = True

    def __init__(self, channels: int, size: tuple[int, int], outputs: int, window: int = 2) -> None:
        super().__init__(channels, size, outputs)
        whole("window", window)
        cells = (size[0] // window, size[1] // window)
        if 0 in cells:
            raise UsageError(
                f"average pooling with a window of {window} needs maps of at least "
                f"{window} × {window}; received {size[0]} × {size[1]}: use larger images."
            )
        self.window, self.cells = window, cells
        self.pool = WindowMeans(window)
        if window == 1 or size == (window, window):
            self.linear_on = "all places" if window == 1 else "the means"
        self.linear = dense(channels * cells[0] * cells[1], outputs)

    def classify(self, pooled: Tensor) -> Tensor:
        """(N, cells · C) → (N, outputs) logits."""
        logits: Tensor = self.linear(pooled)
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

    The tutorial's "fully connected" models, after the classifiers of AlexNet (Krizhevsky et al.
    2012) and VGG (arXiv 1409.1556); the layers are Keras's.

    `hidden` are the widths of the two dense layers; `dropout` is the share of the first one's
    activations that is zeroed in training (Srivastava et al. 2014).
    """

    permutation_invariant = False
    translation_invariant = False

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        hidden: tuple[int, int] = (100, 100),
        dropout: float = 0.0,
    ) -> None:
        super().__init__(channels, size, outputs)
        dropout_share(dropout)
        if not are_widths(hidden) or len(hidden) != 2:
            raise UsageError(
                "hidden takes the two dense layers' widths, whole numbers from 1 to "
                f"{MOST_WIDE:,}; received {brief(repr(hidden))}."
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


class Squeezed(Head):
    """A 1 × 1 convolution to `maps` maps, flattened, then one linear layer: small, not pooled.

    A control: with one map it is the smallest head that uses every feature map and weighs every
    place by itself. On 64 feature maps of 10 × 10, one logit: 64 + 1 + 100 + 1 = 166 parameters,
    where `gap`, which is this head with all places weighed alike, has 65 and `fc` 663,301. With
    more classes than two take as many `maps` as classes: with fewer, classes share maps, which
    those of `gap` do not. (The 1 × 1 convolution is that of Lin et al. 2013, arXiv 1312.4400.)
    """

    permutation_invariant = False
    translation_invariant = False

    def __init__(self, channels: int, size: tuple[int, int], outputs: int, maps: int = 1) -> None:
        super().__init__(channels, size, outputs)
        whole("maps", maps)
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


FLATTEN: dict[str, HeadEntry] = {
    "fc": HeadEntry(
        FullyConnected,
        {},
        "fully connected, the tutorial's standard classifier",
        formula="flatten → BN → W₁ → ReLU → BN → W₂ → ReLU → W₃",
        parameters="2*N*D + (N*D + 3)*hidden[0] + (hidden[0] + 1)*hidden[1] + (hidden[1] + 1)*K",
        source="LeCun et al. 1998; batch norm: arXiv 1502.03167",
        when="the baseline that pooled heads are said to beat; large, and weighs places.",
    ),
    "fc_dropout": HeadEntry(
        FullyConnected,
        {"dropout": 0.5},
        "the same with dropout of 0.5",
        formula="flatten → BN → W₁ → ReLU → dropout → BN → W₂ → ReLU → W₃",
        parameters="2*N*D + (N*D + 3)*hidden[0] + (hidden[0] + 1)*hidden[1] + (hidden[1] + 1)*K",
        source="Srivastava et al. 2014",
        when="a fully connected head on few images.",
    ),
    "linear": HeadEntry(
        FlattenLinear,
        {},
        "flatten and one linear layer",
        formula="W·vec(X) + b",
        parameters="N*D*K + K",
        source="softmax regression on feature maps",
        when="places matter (aligned objects), with enough images for N·D weights a class.",
    ),
    "conv": HeadEntry(
        FullConvolution,
        {},
        "a convolution as large as the maps: the same function as linear",
        formula="X ∗ V + b, V as large as the maps",
        parameters="N*D*K + K",
        source="LeCun et al. 1998; OverFeat, arXiv 1312.6229",
        when="as a check: it can give the same logits as linear.",
    ),
    "avgpool2x2": HeadEntry(
        AveragePool,
        {"window": 2},
        "2 × 2 average pooling, the tutorial's code",
        formula="W·vec(mean of each window × window cell) + b",
        parameters="(H//window)*(W//window)*D*K + K",
        source="Keras's AveragePooling2D",
        when="between linear and gap: at most a quarter of linear's weights, places kept coarsely.",
    ),
    "fc_small": HeadEntry(
        Squeezed,
        {},
        "control: not pooled, with almost as few parameters as gap",
        formula="W·vec(V·x at each place) + b",
        parameters="(D + 1)*maps + N*maps*K + K",
        source="1 × 1 convolution: arXiv 1312.4400",
        when="to separate the effect of pooling from that of few parameters, for two classes: "
        "more would share its one map.",
    ),
}
