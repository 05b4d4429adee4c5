"""Attention pools with few parameters: SimPool, efficient probing and gated attention (ABMIL)."""

import torch
from torch import Tensor, nn

from headtohead.backbones.layers import dense
from headtohead.core.errors import UsageError
from headtohead.heads.base import Head, HeadEntry, classwise, maps_of, places
from headtohead.heads.option_checks import divides, number, whole

SMALLEST_VALUE = 1e-6
"""SimPool's values are shifted to start here: a power needs positive numbers."""


class SimPool(Head):
    """Attention of the mean to the places, over a power mean of the normalised places: SimPool.

    Psomas et al. 2023 (arXiv 2309.06891); timm's `SimPool2d` (layer norm's epsilon 1e-6, as in
    the authors' code). The query is a projection of the mean, the keys one of LN(x), the values
    are LN(x) shifted so that a channel's least is 1e-6; z = (Σ a·vᵞ)^(1/γ). `gamma` is 2 for
    convolutional networks, 1.25 for transformers; 1 is the plain weighted mean of LN(x). On a
    single place the shifted values are 1e-6 whatever the image: only `gamma` 1 takes such maps.
    """

    permutation_invariant = True
    translation_invariant = True
    fixed_attention = True

    def __init__(
        self, channels: int, size: tuple[int, int], outputs: int, gamma: float = 2.0
    ) -> None:
        super().__init__(channels, size, outputs)
        self.gamma = number("gamma", gamma, 1, 5)
        if self.gamma > 1 and size[0] * size[1] == 1:
            raise UsageError(
                f"simpool with gamma {gamma:g} needs maps of at least two places; received 1 × 1: "
                "use larger images, or gamma=1."
            )
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.query = dense(channels, channels, bias=False)
        self.key = dense(channels, channels, bias=False)
        self.linear = dense(channels, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        powers = self._weighted_powers(features)
        logits: Tensor = self.linear(powers.sum(dim=1).pow(1 / self.gamma))
        return logits

    def class_maps(self, features: Tensor) -> Tensor:
        """Each place's share in the pooled powers, times the pooled value and its weight."""
        powers = self._weighted_powers(features)
        # Of the pooled value total^(1/γ), each place has the share power / total.
        shares = powers * powers.shape[1]
        if self.gamma > 1:
            shares = shares * powers.sum(dim=1, keepdim=True).pow(1 / self.gamma - 1)
        maps: Tensor = self.linear(shares)
        return maps_of(maps, features)

    def _weighted_powers(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, H·W, C): a·vᵞ."""
        seen = places(features)
        normed: Tensor = self.norm(seen)
        query = self.query(seen.mean(dim=1, keepdim=True)) * seen.shape[2] ** -0.5
        # q·(K x) = (Kᵀ q)·x: one query is projected rather than all places.
        scores: Tensor = query @ self.key.weight @ normed.transpose(1, 2)
        attention = scores.softmax(dim=2).transpose(1, 2)
        if self.gamma == 1:
            return attention * normed
        values = normed - normed.amin(dim=1, keepdim=True) + SMALLEST_VALUE
        return attention * values.pow(self.gamma)


class EfficientProbing(Head):
    """`queries` learned queries, each of which pools its own slice of projected values: EP.

    Psomas et al. 2026 (ICLR, arXiv 2506.10178), as their `poolings/ep.py` computes it: keys are
    the places themselves, query j weighs slice j of D/Q values, the slices are set side by side.
    Their batch norm without weights after it is not part of this head. `queries` must divide the
    channels.
    """

    permutation_invariant = True
    translation_invariant = True
    fixed_attention = True

    def __init__(
        self, channels: int, size: tuple[int, int], outputs: int, queries: int = 32
    ) -> None:
        super().__init__(channels, size, outputs)
        divides("queries", queries, channels)
        self.queries = nn.Parameter(torch.randn(queries, channels) * 0.02)
        self.value = dense(channels, channels, bias=False)
        self.linear = dense(channels, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        attention, slices = self._attention(features), self._slices()
        # Σ a (V x) = V (Σ a x): one mean a query is projected rather than all places.
        pooled = torch.einsum("nqc,qdc->nqd", attention @ places(features), slices)
        logits: Tensor = self.linear(pooled.flatten(1))
        return logits

    def class_maps(self, features: Tensor) -> Tensor:
        """Each place's share of the logit, times the number of places, bias spread evenly."""
        values = torch.einsum("npc,qdc->npqd", places(features), self._slices())
        shares = (values * self._attention(features).transpose(1, 2)[..., None]).flatten(2)
        maps: Tensor = self.linear(shares * shares.shape[1])
        return maps_of(maps, features)

    def _attention(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, Q, H·W) weights that add up to 1."""
        seen = places(features)
        scores = (self.queries * seen.shape[2] ** -0.5) @ seen.transpose(1, 2)
        return torch.softmax(scores, dim=2)

    def _slices(self) -> Tensor:
        """(Q, D/Q, C): the weights of each query's slice of the values."""
        return torch.unflatten(self.value.weight, 0, (len(self.queries), -1))


class GatedAttention(Head):
    """Mean of the places weighted by softmax of w·(tanh(V·x) ⊙ σ(U·x)): gated ABMIL.

    Ilse et al. 2018 (arXiv 1802.04712), equation 9, without biases as there; the places are the
    bag's instances. `hidden` is the width of V and U. Then one linear layer.
    """

    permutation_invariant = True
    translation_invariant = True
    fixed_attention = True
    linear_at_one_place = True

    def __init__(
        self, channels: int, size: tuple[int, int], outputs: int, hidden: int = 128
    ) -> None:
        super().__init__(channels, size, outputs)
        self.content = dense(channels, whole("hidden", hidden), bias=False)
        self.gate = dense(channels, hidden, bias=False)
        self.score = dense(hidden, 1, bias=False)
        self.linear = dense(channels, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        logits: Tensor = self.linear((self._attention(features) * places(features)).sum(dim=1))
        return logits

    def class_maps(self, features: Tensor) -> Tensor:
        """Each place's share of the logit, times the number of places, bias spread evenly."""
        attention = maps_of(self._attention(features), features)
        cells = features.shape[2] * features.shape[3]
        return classwise(self.linear, features * attention * cells)

    def _attention(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, H·W, 1) weights that add up to 1."""
        seen = places(features)
        scores: Tensor = self.score(self.content(seen).tanh() * self.gate(seen).sigmoid())
        return scores.softmax(dim=1)


LIGHT_ATTENTION: dict[str, HeadEntry] = {
    "simpool": HeadEntry(
        SimPool,
        {},
        "SimPool: attention with the mean as query, then a power mean",
        formula="W·(Σ a·vᵞ)^(1/γ) + b, a = softmax(Q·mean(x) · K·LN(x)/√D), v = LN(x) - min + 1e-6",
        parameters="2*D*D + 2*D + D*K + K",
        source="Psomas et al. 2023, arXiv 2309.06891",
        when="attention maps of objects at 2·D² weights, at any resolution.",
    ),
    "efficient_probing": HeadEntry(
        EfficientProbing,
        {},
        "EP: learned queries, each pools its own slice of the values",
        formula="W·[Σ aⱼ·(V·x)ⱼ for each slice j] + b, aⱼ = softmax(qⱼ·x/√D)",
        parameters="D*D + queries*D + D*K + K",
        source="Psomas et al., ICLR 2026, arXiv 2506.10178",
        when="frozen backbones: by its paper the most accurate attentive probe of its size.",
    ),
    "abmil": HeadEntry(
        GatedAttention,
        {},
        "gated attention of multiple-instance learning",
        formula="W·Σ a·x + b, a = softmax(w·(tanh(V·x) ⊙ σ(U·x)))",
        parameters="2*D*hidden + hidden + D*K + K",
        source="Ilse et al. 2018, arXiv 1802.04712",
        when="few places out of many decide, as in pathology; few parameters.",
    ),
}
