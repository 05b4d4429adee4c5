"""Heads that compare with one vector a class: cosine, and the class means in closed form."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from headtohead.heads.base import SMALLEST_NORM, ClosedFormHead, HeadEntry, PooledHead
from headtohead.heads.option_checks import flag, number
from headtohead.heads.pools import means

NEVER = -1e30
"""The score of a class of which no image was seen, beside classes that were."""


def classes_for(outputs: int) -> int:
    """How many classes `outputs` logits stand for: one logit is the second class's of two."""
    return max(2, outputs)


def as_logits(scores: Tensor, outputs: int) -> Tensor:
    """(N, classes, …) scores → (N, outputs, …): for two classes, class 1's score less class 0's."""
    return scores if outputs > 1 else scores[:, 1:] - scores[:, :1]


class Cosine(PooledHead):
    """s · cos(mean(x), w_k): the angle to one learned vector a class, times a scale.

    Gidaris & Komodakis 2018 (arXiv 1804.09458), Luo et al. 2018 (arXiv 1702.05870). Without the
    scale a softmax of cosines can never be sure. s starts at `scale` and is learned unless
    `learn` is false. Two classes have two vectors; the logit is the difference of the scores.
    """

    permutation_invariant = True
    translation_invariant = True
    pool = staticmethod(means)

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        scale: float = 16.0,
        learn: bool = True,
    ) -> None:
        super().__init__(channels, size, outputs)
        self.outputs = outputs
        self.weight = nn.Parameter(torch.empty(classes_for(outputs), channels))
        nn.init.xavier_uniform_(self.weight)
        start = torch.full((1,), number("scale", scale, 1e-3))
        if flag("learn", learn):
            self.scale = nn.Parameter(start)
        else:
            self.register_buffer("scale", start)

    def classify(self, pooled: Tensor) -> Tensor:
        """(N, C) → (N, outputs) logits."""
        mean = functional.normalize(pooled, dim=1, eps=SMALLEST_NORM)
        weight = functional.normalize(self.weight, dim=1, eps=SMALLEST_NORM)
        return as_logits(self.scale * functional.linear(mean, weight), self.outputs)


class ClassMean(ClosedFormHead):
    """The nearest class mean of the pooled features, in closed form: nothing is trained.

    With z = mean(x) and μ_k the mean of class k's z over the training split, the score is
    μ_k·z - ‖μ_k‖²/2, which is -‖z - μ_k‖²/2 up to a term that all classes share: its largest is
    the nearest mean (Mensink et al. 2013; scikit-learn's `NearestCentroid`). Fitted as
    `ClosedFormHead` says; sums are kept in float64.
    """

    permutation_invariant = True
    translation_invariant = True

    sums: Tensor
    counts: Tensor

    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        self.outputs = outputs
        classes = classes_for(outputs)
        self.register_buffer("sums", torch.zeros(classes, channels, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(classes, dtype=torch.float64))

    @torch.no_grad()
    def reset(self) -> None:
        """Forget all images."""
        self.sums.zero_()
        self.counts.zero_()

    @torch.no_grad()
    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Add a batch: features (n, C, H, W), labels (n,) whole numbers from 0."""
        pooled = features.to(self.sums.dtype).mean(dim=(2, 3))
        self.sums.index_add_(0, labels, pooled)
        self.counts.index_add_(0, labels, torch.ones_like(labels, dtype=self.counts.dtype))

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        means, bias = self._linear(features.dtype)
        return as_logits(functional.linear(features.mean(dim=(2, 3)), means, bias), self.outputs)

    def class_maps(self, features: Tensor) -> Tensor:
        """The score is linear in the mean: the class activation maps, bias included."""
        means, bias = self._linear(features.dtype)
        maps = functional.conv2d(features, means[:, :, None, None], bias)
        return as_logits(maps, self.outputs)

    def _linear(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The class means (classes, C) and what is added to each score (classes,)."""
        means = self.sums / self.counts.clamp(min=1)[:, None]
        unseen = (self.counts == 0) & (self.counts.sum() > 0)
        bias = torch.where(unseen, NEVER, -0.5 * means.square().sum(dim=1))
        return means.to(dtype), bias.to(dtype)


METRIC: dict[str, HeadEntry] = {
    "class_mean": HeadEntry(
        ClassMean,
        {},
        "nearest class mean, in closed form: nothing is trained",
        formula="μₖ·mean(x) - ‖μₖ‖²/2, μₖ the mean of class k",
        parameters="0",
        source="Mensink et al. 2013; scikit-learn, NearestCentroid",
        when="the floor for frozen features: nothing is trained. Hard to beat with few images.",
    ),
    "cosine": HeadEntry(
        Cosine,
        {},
        "scaled cosine to one vector a class",
        formula="s·cos(mean(x), wₖ), s learned",
        parameters="D*max(2, K) + int(learn)",
        source="Gidaris & Komodakis 2018, arXiv 1804.09458",
        when="few images a class; features whose length says nothing of the class.",
    ),
}
