"""Global average pooling after the feature maps were gated: squeeze-and-excitation, CBAM."""

import torch
from torch import Tensor

from headtohead.backbones.layers import BatchNorm, convolution, dense
from headtohead.core.errors import UsageError
from headtohead.heads.base import Head, HeadEntry, PooledHead, classwise
from headtohead.heads.option_checks import whole
from headtohead.heads.pools import means


class SqueezeExcitation(PooledHead):
    """Feature maps scaled by σ(W₂·ReLU(W₁·mean)), then mean and one linear layer: SE, then `gap`.

    Hu et al. 2018 (arXiv 1709.01507); timm's `SEModule`. `reduction` divides the channels to the
    hidden width (at least 1).
    """

    permutation_invariant = True
    translation_invariant = True
    fixed_attention = True
    pool = staticmethod(means)

    def __init__(
        self, channels: int, size: tuple[int, int], outputs: int, reduction: int = 16
    ) -> None:
        super().__init__(channels, size, outputs)
        hidden = max(1, channels // whole("reduction", reduction))
        self.squeeze, self.excite = dense(channels, hidden), dense(hidden, channels)
        self.linear = dense(channels, outputs)

    def classify(self, pooled: Tensor) -> Tensor:
        """(N, C) → (N, outputs) logits."""
        logits: Tensor = self.linear(pooled * self._gate(pooled))
        return logits

    def class_maps(self, features: Tensor) -> Tensor:
        """The class activation maps of the gated feature maps, bias included."""
        gate = self._gate(features.mean(dim=(2, 3)))
        return classwise(self.linear, features * gate[:, :, None, None])

    def _gate(self, mean: Tensor) -> Tensor:
        gate: Tensor = self.excite(self.squeeze(mean).relu()).sigmoid()
        return gate


class Cbam(Head):
    """Feature maps gated by channel, then by place, then mean and one linear layer: CBAM, `gap`.

    Woo et al. 2018 (arXiv 1807.06521); timm's `CbamModule`. The channels' gate is
    σ(M(mean) + M(max)) with one MLP M without biases, `reduction` dividing its width (at least
    1); the places' is σ(BN(a `kernel` × `kernel` convolution of the channels' mean and maximum)).
    BN adds 1e-3 to variances, as Keras does; timm's adds 1e-5.
    """

    permutation_invariant = False
    translation_invariant = False
    fixed_attention = True

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        reduction: int = 16,
        kernel: int = 7,
    ) -> None:
        super().__init__(channels, size, outputs)
        if whole("kernel", kernel) % 2 == 0:
            raise UsageError(f"kernel is odd, so that maps keep their size; received {kernel}.")
        hidden = max(1, channels // whole("reduction", reduction))
        self.squeeze = dense(channels, hidden, bias=False)
        self.excite = dense(hidden, channels, bias=False)
        self.convolution = convolution(2, 1, kernel, padding=kernel // 2, bias=False)
        self.norm = BatchNorm(1)
        self.linear = dense(channels, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        logits: Tensor = self.linear(self._gated(features).mean(dim=(2, 3)))
        return logits

    def class_maps(self, features: Tensor) -> Tensor:
        """The class activation maps of the gated feature maps, bias included."""
        return classwise(self.linear, self._gated(features))

    def _gated(self, features: Tensor) -> Tensor:
        mean, largest = features.mean(dim=(2, 3)), features.amax(dim=(2, 3))
        channel_gate = (self._mlp(mean) + self._mlp(largest)).sigmoid()
        gated = features * channel_gate[:, :, None, None]
        both = [gated.mean(dim=1, keepdim=True), gated.amax(dim=1, keepdim=True)]
        place_gate: Tensor = self.norm(self.convolution(torch.cat(both, dim=1))).sigmoid()
        return gated * place_gate

    def _mlp(self, vector: Tensor) -> Tensor:
        found: Tensor = self.excite(self.squeeze(vector).relu())
        return found


GATES: dict[str, HeadEntry] = {
    "se_gap": HeadEntry(
        SqueezeExcitation,
        {},
        "squeeze-and-excitation, then gap",
        formula="W·(s ⊙ mean(x)) + b, s = σ(W₂·ReLU(W₁·mean(x)))",
        parameters="2*D*max(1, D//reduction) + max(1, D//reduction) + D + D*K + K",
        source="Hu et al. 2018, arXiv 1709.01507",
        when="the image as a whole says which feature maps count.",
    ),
    "cbam_gap": HeadEntry(
        Cbam,
        {},
        "gates by channel and by place, then gap",
        formula="W·mean(p ⊙ s ⊙ x) + b, s by channel, p by place",
        parameters="2*D*max(1, D//reduction) + 2*kernel*kernel + 2 + D*K + K",
        source="Woo et al. 2018, arXiv 1807.06521",
        when="as se_gap, where background is to be left out by place, too.",
    ),
}
