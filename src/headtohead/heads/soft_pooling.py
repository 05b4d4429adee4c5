"""Global pools between the mean and the maximum: powers, exponentials, chance."""

import torch
from torch import Tensor, nn

from headtohead.heads.base import HeadEntry
from headtohead.heads.option_checks import flag, number
from headtohead.heads.pooling import GlobalPool, LinearOnPool
from headtohead.heads.pools import soft

GEM_FLOOR = 1e-6
"""Values below are raised to this, as in the original: powers need positive numbers."""

LSE_SOFTEST = 0.01
"""A learned r stays at or above it: at 0 the formula divides by zero; there it is the mean."""


class GeneralizedMean(GlobalPool):
    """(mean xᵖ)^(1/p) of each feature map, values below 1e-6 raised to it: GeM.

    Radenović et al. 2018 (arXiv 1711.02512). p = 1 is the mean, p → ∞ the maximum; it starts at
    `p` and is learned (one for all maps) unless `learn` is false; a learned p below 1 counts as 1
    (mmpretrain's `GeneralizedMeanPooling` asks that of the first p alone). Negative values are
    discarded. The maximum is divided out before the power, which changes no value and keeps large
    ones finite.
    """

    needs_non_negative = True
    linear_at_one_place = True

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        p: float = 3.0,
        learn: bool = True,
    ) -> None:
        super().__init__(channels, size, outputs)
        power = torch.full((1,), number("p", p, 1))
        if flag("learn", learn):
            self.p = nn.Parameter(power)
        else:
            self.register_buffer("p", power)

    def pool(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C)."""
        p = self.p.clamp(min=1.0)
        raised = features.clamp(min=GEM_FLOOR)
        # Detached: the result does not depend on it, and neither does the gradient.
        largest = raised.detach().amax(dim=(2, 3), keepdim=True)
        # e^(p·log x) is xᵖ, at half the time of `pow` and its gradient by p.
        mean = ((raised / largest).log() * p).exp().mean(dim=(2, 3))
        return largest.flatten(1) * mean.pow(1 / p)


class LogSumExp(GlobalPool):
    """(1/r) · log mean e^(r·x) of each feature map; r starts at `r` and is learned.

    Pinheiro & Collobert 2015 (arXiv 1411.6228); timm's `LsePlus2d`. r → 0 is the mean, r → ∞ the
    maximum. One r for all maps, at or above 0.01. The maximum is subtracted before the
    exponential, which changes no value and keeps it finite.
    """

    linear_at_one_place = True

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        r: float = 10.0,
        learn: bool = True,
    ) -> None:
        super().__init__(channels, size, outputs)
        sharpness = torch.full((1,), number("r", r, LSE_SOFTEST))
        if flag("learn", learn):
            self.r = nn.Parameter(sharpness)
        else:
            self.register_buffer("r", sharpness)

    def pool(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C)."""
        r = self.r.clamp(min=LSE_SOFTEST)
        largest = features.detach().amax(dim=(2, 3), keepdim=True)
        mean = (r * (features - largest)).exp().mean(dim=(2, 3))
        return largest.flatten(1) + mean.log() / r


class SoftPool(LinearOnPool):
    """Σ x·eˣ / Σ eˣ of each feature map: its values weighted by their own softmax.

    Stergiou et al. 2021 (arXiv 2101.00440), over the whole map.
    """

    pool = staticmethod(soft)
    linear_at_one_place = True


class StochasticPool(GlobalPool):
    """In training one value of each feature map, drawn in proportion to its size; else their mean.

    Zeiler & Fergus 2013 (arXiv 1301.3557), over the whole map: p = x / Σx, in evaluation Σ p·x.
    Negative values have no share. 1e-6 is added to each value for its share, so that a map of
    zeros has equal shares.
    """

    needs_non_negative = True
    linear_at_one_place = True

    def pool(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C). Draws random numbers in training."""
        values = features.flatten(2)
        weights = values.relu() + 1e-6
        if not self.training:
            # The mean divided out: sums of large values stay finite, and so do gradients.
            weights = weights / weights.detach().mean(dim=2, keepdim=True)
            return (values * (weights / weights.sum(dim=2, keepdim=True))).sum(dim=2)
        # Where a running sum passes a uniform share of its total: in proportion to the weights.
        sums = _running_sums(weights.detach())
        passed = sums[:, :, -1:] * torch.rand_like(sums[:, :, -1:])
        drawn = (sums < passed).sum(dim=2, keepdim=True)
        return values.gather(2, drawn.clamp(max=values.shape[2] - 1)).squeeze(2)


def _running_sums(values: Tensor) -> Tensor:
    """(N, C, places) → sums of all places up to each.

    On a GPU PyTorch before 2.14 refuses them where arithmetic is to be repeatable; those of rows
    are, for only a tensor of a single row is summed in an order that may differ.
    """
    before = torch.get_deterministic_debug_mode()
    if not values.is_cuda or not before or values.shape[:2].numel() == 1:
        return values.cumsum(dim=2)
    try:
        torch.set_deterministic_debug_mode("default")
        return values.cumsum(dim=2)
    finally:
        torch.set_deterministic_debug_mode(before)


SOFT_POOLING: dict[str, HeadEntry] = {
    "gem": HeadEntry(
        GeneralizedMean,
        {},
        "generalised mean with a learned power",
        formula="W·(mean max(x, 1e-6)ᵖ)^(1/p) + b, p learned",
        parameters="D*K + K + int(learn)",
        source="Radenović et al. 2018, arXiv 1711.02512",
        when="retrieval and fine-grained classes, after ReLU: it discards negative values.",
    ),
    "lse": HeadEntry(
        LogSumExp,
        {},
        "log-sum-exp with a learned sharpness",
        formula="W·(1/r)·log mean e^(r·x) + b, r learned",
        parameters="D*K + K + int(learn)",
        source="Pinheiro & Collobert 2015, arXiv 1411.6228",
        when="a smooth maximum that takes negative values, too.",
    ),
    "softpool": HeadEntry(
        SoftPool,
        {},
        "values weighted by their own softmax",
        formula="W·(Σ x·eˣ / Σ eˣ) + b",
        parameters="D*K + K",
        source="Stergiou et al. 2021, arXiv 2101.00440",
        when="as lse without a parameter; its softness depends on the scale of the features.",
    ),
    "stochastic": HeadEntry(
        StochasticPool,
        {},
        "one value drawn in proportion to its size in training",
        formula="training: W·x(drawn ∝ x) + b; evaluation: W·(Σ x² / Σ x) + b",
        parameters="D*K + K",
        source="Zeiler & Fergus 2013, arXiv 1301.3557",
        when="few images: the draw regularises; after ReLU: it discards negative values.",
    ),
}
