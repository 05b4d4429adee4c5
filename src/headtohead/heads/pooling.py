"""Global pools without softness: one or two numbers a feature map, then linear layers."""

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from headtohead.backbones.constants import BATCH_NORM_EPSILON
from headtohead.backbones.layers import BatchNorm, dense
from headtohead.heads.base import Head, HeadEntry, PooledHead, classwise
from headtohead.heads.flatten import FullyConnected
from headtohead.heads.option_checks import dropout_share, whole
from headtohead.heads.pools import Largest, halves, maxima, means, means_and_maxima


class GlobalPool(Head):
    """A pool that learns or draws, over all places, then one linear layer. `pool` is abstract."""

    permutation_invariant = True
    translation_invariant = True

    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        self.linear = dense(channels, outputs)

    @abstractmethod
    def pool(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C)."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        logits: Tensor = self.linear(self.pool(features))
        return logits


class LinearOnPool(PooledHead):
    """A fixed `pool`, then one linear layer.

    `values`: how many numbers the pool gives for each feature map.
    """

    permutation_invariant = True
    translation_invariant = True
    values = 1

    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        self.linear = dense(self.values * channels, outputs)

    def classify(self, pooled: Tensor) -> Tensor:
        """(N, values · C) → (N, outputs) logits."""
        logits: Tensor = self.linear(pooled)
        return logits


class GlobalAverage(LinearOnPool):
    """Mean of each feature map, then one linear layer (Lin et al. 2013, arXiv 1312.4400)."""

    pool = staticmethod(means)
    linear_at_one_place = True
    linear_on = "the means"

    def class_maps(self, features: Tensor) -> Tensor:
        """The class activation maps of Zhou et al. 2016 (arXiv 1512.04150), bias included."""
        return classwise(self.linear, features)


class GlobalMax(LinearOnPool):
    """Largest value of each feature map, then one linear layer: MAC, maximum activations.

    Tolias et al. 2016 (arXiv 1511.05879); timm's `SelectAdaptivePool2d("max")`. Where several
    places share the maximum, they share the gradient.
    """

    pool = staticmethod(maxima)
    linear_at_one_place = True
    linear_on = "the maxima"


class AverageAndMax(LinearOnPool):
    """Half the mean plus half the maximum: timm's `SelectAdaptivePool2d("avgmax")`."""

    pool = staticmethod(halves)
    linear_at_one_place = True


class ConcatAverageMax(LinearOnPool):
    """Means and maxima side by side: fastai's concat pooling, timm's `"catavgmax"`.

    The order is timm's, [mean; max]; fastai has [max; mean], the same function.
    """

    values = 2
    linear_at_one_place = True

    pool = staticmethod(means_and_maxima)


class MixedPool(PooledHead):
    """a · max + (1 - a) · mean with one learned share a (Lee et al. 2016, arXiv 1509.08985).

    a is the sigmoid of a parameter that starts at 0, so that it starts at 1/2 and stays in (0, 1).
    """

    permutation_invariant = True
    translation_invariant = True
    pool = staticmethod(means_and_maxima)
    linear_at_one_place = True

    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        self.linear = dense(channels, outputs)
        self.share = nn.Parameter(torch.zeros(1))

    def classify(self, pooled: Tensor) -> Tensor:
        """(N, 2 · C) → (N, outputs) logits."""
        mean, largest = pooled.chunk(2, dim=1)
        logits: Tensor = self.linear(torch.lerp(mean, largest, self.share.sigmoid()))
        return logits


class GatedPool(GlobalPool):
    """a · max + (1 - a) · mean with a = σ(ω·x), ω a mask over the places, one for all maps.

    Lee et al. 2016 (arXiv 1509.08985), "gated max-average pooling", their variant of one mask a
    layer, the whole map being the pooling region. The mask starts at zero: a at 1/2. Bound to
    the maps' size.
    """

    permutation_invariant = False
    translation_invariant = False
    linear_at_one_place = True

    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        self.mask = nn.Parameter(torch.zeros(*size))

    def pool(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C)."""
        share = (features * self.mask).sum(dim=(2, 3)).sigmoid()
        return torch.lerp(features.mean(dim=(2, 3)), features.amax(dim=(2, 3)), share)


class KMax(LinearOnPool):
    """Mean of the k largest values of each feature map; of all where there are fewer than k.

    k = 1 is `gmp`, k = N is `gap`. Hanselmann & Ney 2020 (arXiv 1911.07344); WILDCAT's pool
    (`wildcat`) without minima.
    """

    linear_at_one_place = True

    def __init__(self, channels: int, size: tuple[int, int], outputs: int, k: int = 4) -> None:
        super().__init__(channels, size, outputs)
        places = size[0] * size[1]
        largest = min(whole("k", k), places)
        self.pool = Largest(largest)
        if largest in (1, places):
            self.linear_on = "the means" if largest == places else "the maxima"


class NormedGlobalAverage(PooledHead):
    """Mean of each feature map, batch norm, then one linear layer: `gap` with the norm switched on.

    The norm (Ioffe & Szegedy 2015, arXiv 1502.03167) stands after the pool, as the article's
    other classifier has one after its flattening.
    """

    permutation_invariant = True
    translation_invariant = True
    pool = staticmethod(means)

    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        self.norm = BatchNorm(channels)
        self.linear = dense(channels, outputs)

    def classify(self, pooled: Tensor) -> Tensor:
        """(N, C) → (N, outputs) logits."""
        logits: Tensor = self.linear(self.norm(pooled))
        return logits

    def class_maps(self, features: Tensor) -> Tensor:
        """As those of `gap`: in evaluation mode the norm is affine, and commutes with the mean."""
        norm = self.norm
        scale = norm.gamma * (norm.moving_variance + BATCH_NORM_EPSILON).rsqrt()
        shift = norm.beta - norm.moving_mean * scale
        weight = self.linear.weight * scale
        bias = self.linear(shift)
        return functional.conv2d(features, weight[:, :, None, None], bias)


class LayerNormLinear(PooledHead):
    """Mean of each feature map, layer norm over the channels, one linear layer: ConvNeXt's head.

    Liu et al. 2022 (arXiv 2201.03545); timm's `NormMlpClassifierHead` without hidden layer
    (epsilon 1e-6).
    """

    permutation_invariant = True
    translation_invariant = True
    pool = staticmethod(means)

    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.linear = dense(channels, outputs)

    def classify(self, pooled: Tensor) -> Tensor:
        """(N, C) → (N, outputs) logits."""
        logits: Tensor = self.linear(self.norm(pooled))
        return logits


class PooledMlp(PooledHead):
    """Mean of each feature map, linear, GELU, dropout, linear: one hidden layer after the pool.

    timm's `NormMlpClassifierHead` with `hidden_size` and no norm. `hidden` is the layer's width,
    `dropout` the share of it that is zeroed in training.
    """

    permutation_invariant = True
    translation_invariant = True
    pool = staticmethod(means)

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        hidden: int = 512,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(channels, size, outputs)
        self.hidden = dense(channels, whole("hidden", hidden))
        self.dropout = nn.Dropout(dropout_share(dropout))
        self.linear = dense(hidden, outputs)

    def classify(self, pooled: Tensor) -> Tensor:
        """(N, C) → (N, outputs) logits."""
        hidden = functional.gelu(self.hidden(pooled))
        logits: Tensor = self.linear(self.dropout(hidden))
        return logits


class PooledFullyConnected(PooledHead):
    """Mean of each feature map, then the article's fully connected classifier, made wide.

    A control: it pools as `gap` does and has as many parameters as `fc` has on the tutorial's maps:
    with the default widths, 64 feature maps and one logit they are 662,349 in the head, where `fc`
    has 663,301 on 10 × 10 maps. On other maps choose `hidden` so that they match.
    """

    permutation_invariant = True
    translation_invariant = True
    pool = staticmethod(means)

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

    def classify(self, pooled: Tensor) -> Tensor:
        """(N, C) → (N, outputs) logits."""
        logits: Tensor = self.classifier(pooled[:, :, None, None])
        return logits


POOLING: dict[str, HeadEntry] = {
    "gap": HeadEntry(
        GlobalAverage,
        {},
        "Global Average Pooling and one linear layer",
        formula="W·mean(x) + b",
        parameters="D*K + K",
        source="Lin et al. 2013, arXiv 1312.4400",
        when="the default: few parameters, any image size, exact class maps.",
    ),
    "gmp": HeadEntry(
        GlobalMax,
        {},
        "global max pooling",
        formula="W·max(x) + b",
        parameters="D*K + K",
        source="MAC, Tolias et al. 2016, arXiv 1511.05879",
        when="small objects that fill few places; sensitive to a single noisy place.",
    ),
    "avg_max": HeadEntry(
        AverageAndMax,
        {},
        "half the mean plus half the maximum",
        formula="W·(mean(x) + max(x))/2 + b",
        parameters="D*K + K",
        source="timm, avgmax",
        when="between gap and gmp at the same size.",
    ),
    "concat_avg_max": HeadEntry(
        ConcatAverageMax,
        {},
        "means and maxima side by side",
        formula="W·[mean(x); max(x)] + b",
        parameters="2*D*K + K",
        source="fastai, concat pooling",
        when="fine-tuning, where the linear layer shall choose between mean and maximum.",
    ),
    "mixed": HeadEntry(
        MixedPool,
        {},
        "mean and maximum in one learned proportion",
        formula="W·(a·max(x) + (1 - a)·mean(x)) + b, a learned",
        parameters="D*K + K + 1",
        source="Lee et al. 2016, arXiv 1509.08985",
        when="to learn from the data how much of a maximum the pool should be.",
    ),
    "gated": HeadEntry(
        GatedPool,
        {},
        "mean and maximum in a proportion that depends on the map",
        formula="as mixed with a = σ(Σ ω·x) for each feature map, ω learned",
        parameters="D*K + K + N",
        source="Lee et al. 2016, arXiv 1509.08985",
        when="as mixed, where some maps need the mean and others the maximum.",
    ),
    "kmax": HeadEntry(
        KMax,
        {},
        "mean of the k largest values",
        formula="W·mean(k largest x) + b",
        parameters="D*K + K",
        source="ELoPE, Hanselmann & Ney 2020, arXiv 1911.07344",
        when="objects of about k places: less noisy than gmp, less diluted than gap.",
    ),
    "mlp": HeadEntry(
        PooledMlp,
        {},
        "Global Average Pooling and one hidden layer",
        formula="W₂·dropout(GELU(W₁·mean(x) + b₁)) + b₂",
        parameters="(D + 1)*hidden + (hidden + 1)*K",
        source="timm, NormMlpClassifierHead with hidden_size",
        when="frozen features in which the classes are not linearly separable.",
    ),
    "ln_linear": HeadEntry(
        LayerNormLinear,
        {},
        "Global Average Pooling, layer norm, linear",
        formula="W·LN(mean(x)) + b",
        parameters="2*D + D*K + K",
        source="ConvNeXt, Liu et al. 2022, arXiv 2201.03545",
        when="frozen features whose scale differs from image to image.",
    ),
    "gap_bn": HeadEntry(
        NormedGlobalAverage,
        {},
        "Global Average Pooling, batch norm, linear",
        formula="W·BN(mean(x)) + b",
        parameters="2*D + D*K + K",
        source="batch norm: arXiv 1502.03167",
        when="frozen features whose channels differ in scale.",
    ),
    "gap_fc": HeadEntry(
        PooledFullyConnected,
        {},
        "control: pooled as gap, then a wide fc",
        formula="fc on mean(x)",
        parameters="2*D + (D + 3)*hidden[0] + (hidden[0] + 1)*hidden[1] + (hidden[1] + 1)*K",
        source="a control of this project",
        when="to separate the effect of pooling from that of few parameters.",
    ),
}
