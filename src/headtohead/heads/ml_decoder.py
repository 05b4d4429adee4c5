"""ML-Decoder: class queries that attend to the places."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from headtohead.backbones.layers import dense
from headtohead.heads.attention import attend
from headtohead.heads.base import Head, HeadEntry, places
from headtohead.heads.option_checks import divides, dropout_share, whole


class MLDecoder(Head):
    """A transformer decoder layer without self-attention, its queries fixed, then linear layers.

    Ridnik et al. 2021 (arXiv 2111.12933); timm's `MLDecoderLegacy`. The places are projected to
    `width` and rectified; each of min(`groups`, K) random queries, not trained, attends to them
    and passes an MLP of `hidden`; a linear layer of its own gives the logits of its ⌈K/groups⌉
    classes. `heads` must divide `width`. As there, the first residual adds the query to its own
    dropout, and all dropouts, that of attention weights among them, are `dropout`.
    """

    permutation_invariant = True
    translation_invariant = True

    queries: Tensor

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        outputs: int,
        width: int = 768,
        hidden: int = 2048,
        heads: int = 8,
        groups: int = 100,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(channels, size, outputs)
        self.heads = divides("heads", heads, whole("width", width), "values of a query")
        self.outputs, self.share = outputs, dropout_share(dropout)
        groups = min(whole("groups", groups), outputs)
        self.embed = dense(channels, width)
        self.register_buffer("queries", torch.randn(groups, width))
        self.query, self.key, self.value = (dense(width, width) for _ in range(3))
        self.projection = dense(width, width)
        self.up, self.down = dense(width, whole("hidden", hidden)), dense(hidden, width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.weight = nn.Parameter(torch.empty(groups, width, math.ceil(outputs / groups)))
        nn.init.xavier_normal_(self.weight)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs) logits."""
        seen = self.embed(places(features)).relu()
        queries = self.queries.expand(len(seen), -1, -1)
        queries = self.norm1(queries + self._dropout(queries))
        found = attend(
            self.query(queries),
            seen,
            self.key,
            self.value,
            self.heads,
            self.share if self.training else 0.0,
        )
        queries = self.norm2(queries + self._dropout(self.projection(found)))
        hidden = self._dropout(self.up(queries).relu())
        queries = self.norm3(queries + self._dropout(self.down(hidden)))
        grouped: Tensor = (queries.transpose(0, 1) @ self.weight).transpose(0, 1)
        return grouped.flatten(1)[:, : self.outputs] + self.bias

    def _dropout(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.share, self.training)


DECODERS: dict[str, HeadEntry] = {
    "ml_decoder": HeadEntry(
        MLDecoder,
        {},
        "class queries attend to the places in a decoder layer",
        formula="per group g: W_g·decoder(query g; keys, values: ReLU(E·x)) + b",
        parameters=(
            "(D + 1)*width + 4*(width*width + width) + 2*width*hidden + hidden + width + 6*width"
            " + min(groups, K)*width*-(-K//min(groups, K)) + K"
        ),
        source="Ridnik et al. 2021, arXiv 2111.12933",
        when="many classes, several in an image; large whatever the backbone.",
    ),
}
