"""Heads that compute a map for each class first, and pool the maps."""

import torch
from torch import Tensor, nn

from headtohead.backbones.layers import convolution
from headtohead.core.errors import UsageError
from headtohead.heads.base import Head, HeadEntry
from headtohead.heads.option_checks import number, whole

TEMPERATURES = {
    1: (1,),
    2: (1, 99),
    4: (1, 2, 4, 99),
    6: (1, 2, 3, 4, 5, 99),
    8: (1, 2, 3, 4, 5, 6, 7, 99),
}
"""CSRA's temperatures by number of heads, from its source; 99 stands for the maximum."""

HARD = 99


class NetworkInNetwork(Head):
    """A 1 × 1 convolution to one map a class, then their means: the original of `gap`.

    Lin et al. 2013 (arXiv 1312.4400). The same function as `gap`: mean and linear layer commute.
    """

    permutation_invariant = True
    translation_invariant = True
    linear_at_one_place = True
    linear_on = "the means"

    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        self.convolution = convolution(channels, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        return self.class_maps(features).mean(dim=(2, 3))

    def class_maps(self, features: Tensor) -> Tensor:
        """The convolution's maps: the head is their mean."""
        maps: Tensor = self.convolution(features)
        return maps


class Wildcat(Head):
    """`maps` maps a class, averaged, then the mean of the top and of the bottom places: WILDCAT.

    Durand et al. 2017 (CVPR; github.com/durandtibo/wildcat.pytorch): the logit is
    (mean of the k largest + `alpha` · mean of the k smallest) / 2, k being the share `share` of
    the places, rounded, at least one. Defaults are those of its README. (With an `alpha` of 0 its
    code leaves out the half.) A share of all places is a linear layer on the means.
    """

    permutation_invariant = True
    translation_invariant = True
    fixed_attention = True
    linear_at_one_place = True

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        maps: int = 8,
        share: float = 0.2,
        alpha: float = 0.7,
    ) -> None:
        super().__init__(channels, size, outputs)
        self.maps, self.alpha = whole("maps", maps), number("alpha", alpha, 0)
        places = size[0] * size[1]
        self.k = max(1, round(number("share", share, 0, 1) * places))
        if self.k == places:
            self.linear_on = "the means"
        self.convolution = convolution(channels, outputs * maps, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        scores = self._scores(features)
        top = scores.topk(self.k, dim=2).values.mean(dim=2)
        bottom = scores.topk(self.k, dim=2, largest=False).values.mean(dim=2)
        return (top + self.alpha * bottom) / 2

    def class_maps(self, features: Tensor) -> Tensor:
        """Each class's map, weighted by whether a place is among the top or the bottom."""
        scores = self._scores(features)
        weights = torch.zeros_like(scores)
        one = torch.full_like(scores, scores.shape[2] / (2 * self.k))
        weights.scatter_add_(2, scores.topk(self.k, dim=2).indices, one)
        bottom = scores.topk(self.k, dim=2, largest=False).indices
        weights.scatter_add_(2, bottom, self.alpha * one)
        return (weights * scores).reshape(*scores.shape[:2], *features.shape[2:])

    def _scores(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs, H·W): a class's maps averaged."""
        maps: Tensor = self.convolution(features)
        return maps.reshape(len(maps), -1, self.maps, maps.shape[2] * maps.shape[3]).mean(dim=2)


class ResidualAttention(Head):
    """mean s + `lam` · Σ s·softmax(T·s), s the scores of a 1 × 1 convolution: CSRA.

    Zhu & Wu 2021 (arXiv 2108.02456). The scores are divided by the norm of their class's weights;
    there is no bias. `heads` of them with temperatures T of their own (`TEMPERATURES`) are added;
    T = 99 is the maximum. mmpretrain's `CSRAClsHead`.
    """

    permutation_invariant = True
    translation_invariant = True
    fixed_attention = True

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        heads: int = 1,
        lam: float = 0.1,
    ) -> None:
        super().__init__(channels, size, outputs)
        if whole("heads", heads) not in TEMPERATURES:
            choices = ", ".join(map(str, TEMPERATURES))
            raise UsageError(f"heads is one of {choices}; received {heads}.")
        self.lam = number("lam", lam, 0)
        self.temperatures = TEMPERATURES[heads]
        self.heads = nn.ModuleList(
            convolution(channels, outputs, 1, bias=False) for _ in self.temperatures
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        return self._shares(features).sum(dim=2)

    def class_maps(self, features: Tensor) -> Tensor:
        """Each place's share of the logit, times the number of places."""
        shares = self._shares(features)
        return (shares * shares.shape[2]).reshape(*shares.shape[:2], *features.shape[2:])

    def _shares(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs, H·W): what each place adds to the logit."""
        total = features.new_zeros(())
        for head, temperature in zip(self.heads, self.temperatures, strict=True):
            weight = head.weight
            norms = torch.linalg.vector_norm(weight, dim=1, keepdim=True).clamp(min=1e-12)
            scores = torch.nn.functional.conv2d(features, weight / norms).flatten(2)
            if temperature == HARD:
                attention = _where_largest(scores)
            else:
                attention = (scores * temperature).softmax(dim=2)
            total = total + scores * (1 / scores.shape[2] + self.lam * attention)
        return total


def _where_largest(scores: Tensor) -> Tensor:
    """(N, K, P) → 1 at each class's largest score (divided among equal ones), else 0."""
    largest = (scores == scores.amax(dim=2, keepdim=True)).to(scores.dtype)
    return largest / largest.sum(dim=2, keepdim=True)


CLASS_MAP_HEADS: dict[str, HeadEntry] = {
    "nin": HeadEntry(
        NetworkInNetwork,
        {},
        "one map a class, averaged: the same function as gap",
        formula="mean over places of (W·x + b)",
        parameters="D*K + K",
        source="Lin et al. 2013, arXiv 1312.4400",
        when="when you need the class maps themselves; otherwise use gap.",
    ),
    "wildcat": HeadEntry(
        Wildcat,
        {},
        "several maps a class, top and bottom places averaged",
        formula="(mean top-k s + α·mean bottom-k s)/2, s = mean of M maps a class",
        parameters="maps*(D*K + K)",
        source="Durand et al. 2017, CVPR",
        when="localising with image labels alone; objects with several parts.",
    ),
    "csra": HeadEntry(
        ResidualAttention,
        {},
        "class scores' mean plus their softmax-weighted sum",
        formula="mean s + λ·Σ s·softmax(T·s), s = W·x/‖W‖",
        parameters="heads*D*K",
        source="Zhu & Wu 2021, arXiv 2108.02456",
        when="small objects, several classes in an image; no more parameters than gap.",
    ),
}
