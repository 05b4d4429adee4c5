"""Attention pools with full projections: CLIP's, SigLIP's and CaiT's."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from headtohead.backbones.layers import dense
from headtohead.heads.base import Head, HeadEntry, places
from headtohead.heads.light_attention import LIGHT_ATTENTION
from headtohead.heads.option_checks import divides, number, whole


def attend(
    queries: Tensor,
    tokens: Tensor,
    key: nn.Linear,
    value: nn.Linear,
    heads: int,
    dropout: float = 0.0,
) -> Tensor:
    """Multi-head attention of (N or 1, Q, D) queries to (N, P, C) tokens → (N, Q, D).

    Keys and values are `key` and `value` of the tokens, D numbers each. Where there are fewer
    queries than tokens, as a pool has, they are never computed: q·(W x) = (Wᵀ q)·x, and
    Σ a (V x) = V (Σ a x). The same function with some P / Q times fewer multiplications.

    `dropout` is the share of attention weights that is zeroed (Vaswani et al. 2017, 1706.03762).
    Plain products rather than a fused kernel: the same on every device, in ONNX and when counted.
    """
    size = len(key.weight) // heads
    asked = torch.unflatten(queries, 2, (heads, size)) * size**-0.5
    few = queries.shape[1] < tokens.shape[1]
    if few:
        of_bias = torch.einsum("nqhs,hs->nhq", asked, torch.unflatten(key.bias, 0, (heads, size)))
        asked = torch.einsum("nqhs,hsc->nhqc", asked, torch.unflatten(key.weight, 0, (heads, size)))
        scores = asked.flatten(1, 2) @ tokens.transpose(1, 2)
        scores = torch.unflatten(scores, 1, (heads, -1)) + of_bias[..., None]  # (N, heads, Q, P)
    else:
        scores = asked.transpose(1, 2) @ _by_head(key(tokens), heads).transpose(2, 3)
    weights = scores.softmax(dim=3)
    if dropout:
        weights = functional.dropout(weights, dropout)
    if few:
        means = torch.unflatten(weights.flatten(1, 2) @ tokens, 1, (heads, -1))  # (N, heads, Q, C)
        found = torch.einsum(
            "nhqc,hsc->nhqs", means, torch.unflatten(value.weight, 0, (heads, size))
        )
        # The bias comes with every weight: they add up to 1, but for dropout.
        found = found + weights.sum(3, keepdim=True) * value.bias.reshape(heads, 1, size)
    else:
        found = weights @ _by_head(value(tokens), heads)
    return found.transpose(1, 2).flatten(2)


def _by_head(each: Tensor, heads: int) -> Tensor:
    """(N, P, D) → (N, heads, P, D / heads)."""
    return torch.unflatten(each, 2, (heads, -1)).transpose(1, 2)


class TransformerMlp(nn.Module):
    """Linear to `hidden`, GELU, linear back: the block's second half."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up, self.down = dense(width, hidden), dense(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(…, width) → (…, width)."""
        down: Tensor = self.down(functional.gelu(self.up(x)))
        return down


class AttentionPool(Head):
    """Multi-head attention whose query is the mean of the places: CLIP's `AttentionPool2d`.

    Radford et al. 2021 (arXiv 2103.00020); timm's `AttentionPool2d`. A learned vector is added at
    each place and to the mean, so that it is bound to the maps' size. Then one linear layer.
    `heads` must divide the channels.
    """

    permutation_invariant = False
    translation_invariant = False

    def __init__(self, channels: int, size: tuple[int, int], outputs: int, heads: int = 8) -> None:
        super().__init__(channels, size, outputs)
        self.heads = divides("heads", heads, channels)
        self.positions = nn.Parameter(torch.empty(size[0] * size[1] + 1, channels))
        nn.init.trunc_normal_(self.positions, std=channels**-0.5)
        self.query = dense(channels, channels)
        self.key, self.value = dense(channels, channels), dense(channels, channels)
        self.projection = dense(channels, channels)
        self.linear = dense(channels, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        seen = places(features)
        tokens = torch.cat([seen.mean(dim=1, keepdim=True), seen], dim=1) + self.positions
        pooled = attend(self.query(tokens[:, :1]), tokens, self.key, self.value, self.heads)
        logits: Tensor = self.linear(self.projection(pooled[:, 0]))
        return logits


class LatentAttentionPool(Head):
    """Multi-head attention with one learned query, then a residual MLP: SigLIP's MAP head.

    Zhai et al. 2022 (arXiv 2106.04560), Zhai et al. 2023 (arXiv 2303.15343); timm's
    `AttentionPoolLatent` with layer norm (epsilon 1e-6). `heads` must divide the channels;
    `ratio` is the MLP's width by the channels'. Then one linear layer.
    """

    permutation_invariant = True
    translation_invariant = True

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        heads: int = 8,
        ratio: int = 4,
    ) -> None:
        super().__init__(channels, size, outputs)
        self.heads = divides("heads", heads, channels)
        self.latent = nn.Parameter(torch.empty(1, 1, channels))
        nn.init.trunc_normal_(self.latent, std=channels**-0.5)
        self.query = dense(channels, channels)
        self.key, self.value = dense(channels, channels), dense(channels, channels)
        self.projection = dense(channels, channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = TransformerMlp(channels, whole("ratio", ratio) * channels)
        self.linear = dense(channels, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        seen = places(features)
        pooled = attend(self.query(self.latent), seen, self.key, self.value, self.heads)
        pooled = self.projection(pooled)
        logits: Tensor = self.linear((pooled + self.mlp(self.norm(pooled)))[:, 0])
        return logits


class ClassAttentionBlock(nn.Module):
    """One of CaiT's class-attention layers: attention, then MLP, each scaled and added."""

    def __init__(self, channels: int, heads: int, ratio: int, scale: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.query = dense(channels, channels)
        self.key, self.value = dense(channels, channels), dense(channels, channels)
        self.projection = dense(channels, channels)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = TransformerMlp(channels, ratio * channels)
        self.scale1 = nn.Parameter(torch.full((channels,), scale))
        self.scale2 = nn.Parameter(torch.full((channels,), scale))

    def forward(self, token: Tensor, seen: Tensor) -> Tensor:
        """The class token (N, 1, C) after it has looked at itself and the places (N, P, C)."""
        tokens = self.norm1(torch.cat([token, seen], dim=1))
        found = attend(self.query(tokens[:, :1]), tokens, self.key, self.value, self.heads)
        token = token + self.scale1 * self.projection(found)
        mixed: Tensor = self.mlp(self.norm2(token))
        return token + self.scale2 * mixed


class ClassAttention(Head):
    """A learned class token that attends to the places in `blocks` layers: CaiT's head.

    Touvron et al. 2021 (arXiv 2103.17239); timm's `LayerScaleBlockClassAttn`. The places stay as
    they are; only the token changes. Layer scale starts at `scale`: 0.1, the paper's value for
    shallow networks. Then layer norm and one linear layer. `heads` must divide the channels.
    """

    permutation_invariant = True
    translation_invariant = True

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        blocks: int = 2,
        heads: int = 8,
        ratio: int = 4,
        scale: float = 0.1,
    ) -> None:
        super().__init__(channels, size, outputs)
        divides("heads", heads, channels)
        whole("ratio", ratio)
        scale = number("scale", scale, 0)
        self.token = nn.Parameter(torch.empty(1, 1, channels))
        nn.init.trunc_normal_(self.token, std=0.02)
        self.blocks = nn.ModuleList(
            ClassAttentionBlock(channels, heads, ratio, scale)
            for _ in range(whole("blocks", blocks, most=100))
        )
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.linear = dense(channels, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        seen = places(features)
        token = self.token.expand(len(seen), -1, -1)
        for block in self.blocks:
            token = block(token, seen)
        logits: Tensor = self.linear(self.norm(token[:, 0]))
        return logits


ATTENTION: dict[str, HeadEntry] = {
    "attention": HeadEntry(
        AttentionPool,
        {},
        "CLIP's attention pool: the mean is the query, the places are keys and values",
        formula="W·P·MHA(query: mean(x) + e₀; keys, values: [mean(x); x] + e) + b",
        parameters="4*(D*D + D) + (N + 1)*D + D*K + K",
        source="CLIP, Radford et al. 2021, arXiv 2103.00020",
        when="many images, one resolution: it learns the places and cannot change size.",
    ),
    "attention_latent": HeadEntry(
        LatentAttentionPool,
        {},
        "SigLIP's MAP head: a learned query and an MLP",
        formula="W·(z + MLP(LN(z))) + b, z = P·MHA(query: learned; keys, values: x)",
        parameters="(4 + 2*ratio)*D*D + (8 + ratio)*D + D*K + K",
        source="Zhai et al. 2022, arXiv 2106.04560; SigLIP, arXiv 2303.15343",
        when="frozen transformers with many images; some 12·D² weights.",
    ),
    **LIGHT_ATTENTION,
    "class_attention": HeadEntry(
        ClassAttention,
        {},
        "CaiT's class token in two layers of attention",
        formula="W·LN(c) + b; per block c += s₁·CA(LN(c), LN(x)), c += s₂·MLP(LN(c))",
        parameters="blocks*((4 + 2*ratio)*D*D + (11 + ratio)*D) + 3*D + D*K + K",
        source="CaiT, Touvron et al. 2021, arXiv 2103.17239",
        when="much data; some 24·D² weights.",
    ),
}
