"""A batch norm without weights of its own before a head: a switch of the study, alike for all."""

from typing import final

from torch import Tensor

from headtohead.backbones.layers import BatchNorm
from headtohead.heads.base import ClosedFormHead, Head

EPSILON = 1e-6
"""Added to the variance: features may be small, and are to come out at one scale all the same."""


@final
class NormedHead(ClosedFormHead):
    """`head` on maps whose channels have mean 0 and variance 1 over images and places.

    Heads on frozen features otherwise differ by the scale of what they are given rather than by
    design, as every probe of Psomas et al. (2025, arXiv 2506.10178) has it. In evaluation it is one
    scale and shift a channel, so that class maps stay exact. What it wraps says whether it is in
    closed form.
    """

    def __init__(self, head: Head, channels: int) -> None:
        Head.__init__(self, channels, (1, 1), 1)
        self.norm = BatchNorm(channels, affine=False, epsilon=EPSILON)
        self.head = head
        for said in ("capturable", "exportable", "needs_non_negative", "fixed_attention"):
            setattr(self, said, getattr(head, said))
        self.permutation_invariant = head.permutation_invariant
        self.translation_invariant = head.translation_invariant
        self.closed_form = head.closed_form

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        logits: Tensor = self.head(self.norm(features))
        return logits

    def class_maps(self, features: Tensor) -> Tensor | None:
        """The head's own, in evaluation mode."""
        return self.head.class_maps(self.norm(features))

    def reset(self) -> None:
        """Forget what the head was fitted to."""
        self._closed().reset()

    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Take in a batch, by the statistics as they stand."""
        self._closed().fit(self.norm(features), labels)

    def _closed(self) -> ClosedFormHead:
        if not isinstance(self.head, ClosedFormHead):
            raise TypeError(f"{type(self.head).__name__} is trained, not fitted")
        return self.head
