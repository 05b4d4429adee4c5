"""Second-order pools and codebooks: products of feature maps, residuals to learned centres."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from headtohead.backbones.layers import BatchNorm, convolution, dense
from headtohead.core.errors import UsageError
from headtohead.heads.base import SMALLEST_NORM, Head, HeadEntry
from headtohead.heads.option_checks import whole

ROOT_FLOOR = 1e-5
"""Added under roots, so that their slope at 0 is finite."""


class Reduction(nn.Sequential):
    """1 × 1 convolution without bias, batch norm, ReLU, as fast-MPN-COV reduces feature maps.

    Nothing where there are no more than `width` feature maps already. Batch norm adds 1e-3 to
    variances, as Keras does; PyTorch adds 1e-5.
    """

    def __init__(self, channels: int, width: int) -> None:
        layers = (
            (convolution(channels, width, 1, bias=False), BatchNorm(width), nn.ReLU())
            if channels > width
            else ()
        )
        super().__init__(*layers)
        self.width = min(channels, width)


class Bilinear(Head):
    """Mean of x·xᵀ over the places, signed square root, unit length, one linear layer: B-CNN.

    Lin et al. 2015 (arXiv 1504.07889), both streams being this backbone. The root is
    y/√(|y| + 1e-5), smooth at 0. Feature maps are reduced to `reduce` first (see `Reduction`).
    """

    permutation_invariant = True
    translation_invariant = True

    def __init__(
        self, channels: int, size: tuple[int, int], outputs: int, reduce: int = 256
    ) -> None:
        super().__init__(channels, size, outputs)
        self.reduction = Reduction(channels, whole("reduce", reduce))
        self.linear = dense(self.reduction.width**2, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        values = self.reduction(features).flatten(2)
        products = (values @ values.transpose(1, 2) / values.shape[2]).flatten(1)
        rooted = products / (products.abs() + ROOT_FLOOR).sqrt()
        logits: Tensor = self.linear(functional.normalize(rooted, dim=1, eps=SMALLEST_NORM))
        return logits


class RootCovariance(Head):
    """The matrix square root of the places' covariance, its upper triangle, linear: iSQRT-COV.

    Li et al. 2018 (arXiv 1712.01034), fast-MPN-COV: the covariance is divided by its trace,
    `iterations` of Newton and Schulz approach the root, the trace's root is multiplied back.
    1e-6 is added to the trace, so that maps without variance give zeros. Feature maps are
    reduced to `reduce` first (see `Reduction`). `iterations` are at most 10: more add nothing but
    float32's rounding errors.
    """

    permutation_invariant = True
    translation_invariant = True

    triangle: Tensor

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        reduce: int = 256,
        iterations: int = 3,
    ) -> None:
        super().__init__(channels, size, outputs)
        if size[0] * size[1] == 1:
            raise UsageError(
                "isqrt_cov needs maps of at least two places, for a covariance; received 1 × 1: "
                "use larger images."
            )
        self.iterations = whole("iterations", iterations, 2, 10)
        self.reduction = Reduction(channels, whole("reduce", reduce))
        width = self.reduction.width
        rows, columns = torch.triu_indices(width, width)
        self.register_buffer("triangle", rows * width + columns, persistent=False)
        self.linear = dense(width * (width + 1) // 2, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        values = self.reduction(features).flatten(2)
        centred = (values - values.mean(dim=2, keepdim=True)) * values.shape[2] ** -0.5
        logits: Tensor = self.linear(self._root(centred).flatten(1).index_select(1, self.triangle))
        return logits

    def _root(self, x: Tensor) -> Tensor:
        """(N, D, P) → (N, D, D): Newton's and Schulz's approach to the root of x·xᵀ.

        The iteration gives x·xᵀ times a polynomial of it, and (x·xᵀ)ᵏ = x·(xᵀ·x)ᵏ⁻¹·xᵀ: where
        there are fewer places than feature maps, it runs on the smaller xᵀ·x.
        """
        few = x.shape[2] < x.shape[1]
        products = x.transpose(1, 2) @ x if few else x @ x.transpose(1, 2)
        trace = products.diagonal(dim1=1, dim2=2).sum(dim=1)[:, None, None] + SMALLEST_NORM
        inverse = self._inverse_root(products / trace)
        if few:
            return x @ inverse @ x.transpose(1, 2) * trace.rsqrt()
        return products @ inverse * trace.rsqrt()

    def _inverse_root(self, a: Tensor) -> Tensor:
        """Z, with a·z near the root of `a`, (N, n, n) of trace 1, as fast-MPN-COV iterates."""
        identity = torch.eye(a.shape[1], dtype=a.dtype, device=a.device)
        z = 0.5 * (3 * identity - a)
        for _ in range(min(self.iterations, 3) - 1):
            z = 0.5 * z @ (3 * identity - z @ z @ a)
        if self.iterations <= 3:
            return z
        # a·z is carried along: taken anew from z, rounding errors grow beyond the root itself.
        root = a @ z
        for _ in range(self.iterations - 3):
            step = 0.5 * (3 * identity - z @ root)
            root, z = root @ step, step @ z
        return z


class NetVlad(Head):
    """Residuals of the places to `clusters` learned centres, by soft assignment: NetVLAD.

    Arandjelović et al. 2016 (arXiv 1511.07247): places are scaled to unit length, assigned by a
    softmax over w·x + b, their residuals summed a centre, scaled to unit length within each
    centre and together. Then one linear layer.
    """

    permutation_invariant = True
    translation_invariant = True

    def __init__(
        self, channels: int, size: tuple[int, int], outputs: int, clusters: int = 64
    ) -> None:
        super().__init__(channels, size, outputs)
        self.assign = convolution(channels, whole("clusters", clusters), 1)
        self.centres = nn.Parameter(torch.rand(clusters, channels) * channels**-0.5)
        self.linear = dense(clusters * channels, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        normed = functional.normalize(features, dim=1, eps=SMALLEST_NORM)
        shares = self.assign(normed).flatten(2).softmax(dim=1)
        sums = shares @ normed.flatten(2).transpose(1, 2)
        residuals = sums - shares.sum(dim=2, keepdim=True) * self.centres
        residuals = functional.normalize(residuals, dim=2, eps=SMALLEST_NORM).flatten(1)
        logits: Tensor = self.linear(functional.normalize(residuals, dim=1, eps=SMALLEST_NORM))
        return logits


SECOND_ORDER: dict[str, HeadEntry] = {
    "bilinear": HeadEntry(
        Bilinear,
        {},
        "products of all pairs of feature maps",
        formula="W·normalise(signed √ of mean(x·xᵀ)) + b",
        parameters="(D*reduce + 2*reduce)*(D > reduce) + min(D, reduce)**2*K + K",
        source="Lin et al. 2015, arXiv 1504.07889",
        when="fine-grained classes told apart by textures; min(D, reduce)² weights a class.",
    ),
    "isqrt_cov": HeadEntry(
        RootCovariance,
        {},
        "matrix square root of the places' covariance",
        formula="W·triangle(√Cov(x)) + b, √ by Newton-Schulz iterations",
        parameters=(
            "(D*reduce + 2*reduce)*(D > reduce) + min(D, reduce)*(min(D, reduce) + 1)//2*K + K"
        ),
        source="Li et al. 2018, arXiv 1712.01034",
        when="as bilinear, with half the weights and a better scaled vector.",
    ),
    "netvlad": HeadEntry(
        NetVlad,
        {},
        "residuals to 64 learned centres",
        formula="W·normalise[Σ aₖ·(x - cₖ) for each k] + b, a = softmax(w·x + b)",
        parameters="clusters*(2*D + 1) + clusters*D*K + K",
        source="Arandjelović et al. 2016, arXiv 1511.07247",
        when="places and retrieval, with many images: 64·D weights a class.",
    ),
}
