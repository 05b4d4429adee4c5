"""Attention pools: few queries are asked in an order of products of their own, to the same end."""

import pytest
import torch
from torch import Tensor, nn

from headtohead.heads.attention import attend


def by_the_book(q: Tensor, x: Tensor, key: nn.Linear, value: nn.Linear, heads: int) -> Tensor:
    """Vaswani et al. 2017, equation 1, head by head."""
    keys, values = key(x), value(x)
    found = []
    for part in torch.arange(keys.shape[2]).chunk(heads):
        scores = q[..., part] @ keys[..., part].transpose(1, 2) / len(part) ** 0.5
        found.append(scores.softmax(dim=2) @ values[..., part])
    return torch.cat(found, dim=2)


@pytest.mark.parametrize(("batch", "queries"), [(3, 1), (1, 1), (3, 4), (3, 6), (1, 9)])
def test_attention_is_that_of_the_book(batch: int, queries: int) -> None:
    """Else fewer queries than the 6 tokens are answered by another function than more are."""
    torch.manual_seed(0)
    key, value = (nn.Linear(10, 8).double() for _ in range(2))
    tokens = torch.randn(3, 6, 10, dtype=torch.float64, requires_grad=True)
    asked = torch.randn(batch, queries, 8, dtype=torch.float64, requires_grad=True)
    mine = attend(asked, tokens, key, value, heads=2)
    theirs = by_the_book(asked, tokens, key, value, heads=2)
    torch.testing.assert_close(mine, theirs)
    weighted = torch.randn_like(mine)
    parameters = (asked, tokens, key.weight, value.weight, value.bias)
    for one, other in zip(
        torch.autograd.grad((mine * weighted).sum(), parameters),
        torch.autograd.grad((theirs * weighted).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_dropped_weights_drop_their_share_of_the_bias() -> None:
    """Else attention dropout regularises a decoder of few queries less than one of many."""
    key, value = nn.Linear(4, 4), nn.Linear(4, 4)
    nn.init.zeros_(value.weight)
    nn.init.ones_(value.bias)
    torch.manual_seed(0)
    tokens = torch.zeros(500, 10, 4)
    found = attend(torch.zeros(1, 1, 4), tokens, key, value, 1, dropout=0.5).detach()
    # Equal weights of 1/10, of which a kept one counts 1 / (1 - 0.5) times.
    assert set((found[:, 0, 0] * 5).round().int().tolist()) > {3, 4, 5, 6, 7}
    torch.testing.assert_close(found, (found * 5).round() / 5)
    assert abs(float(found.mean()) - 1) < 0.05
