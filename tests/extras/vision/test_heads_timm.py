"""Heads beside timm's independent implementations, to 1e-5, with the same weights."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from headtohead.heads.base import Head
from headtohead.heads.table import build_head

pytest.importorskip("timm")

from timm.layers import (
    AttentionPool2d,
    AttentionPoolLatent,
    LayerNorm2d,
    LsePlus2d,
    NormMlpClassifierHead,
    SelectAdaptivePool2d,
    SimPool2d,
)
from timm.layers.cbam import CbamModule
from timm.layers.ml_decoder import MLDecoder
from timm.layers.squeeze_excite import SEModule
from timm.models.cait import LayerScaleBlockClassAttn

C, SIZE, K = 32, (5, 7), 3
LAYER_NORM = partial(nn.LayerNorm, eps=1e-6)


def made(name: str, **options: Any) -> tuple[Head, dict[str, Tensor]]:
    """A head whose weights are no longer those it begins with, and its state."""
    torch.manual_seed(1)
    head = build_head(name, C, SIZE, K, **options).eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return head, head.state_dict()


def features() -> Tensor:
    return torch.randn(4, C, *SIZE, generator=torch.Generator().manual_seed(2))


def close(head: Head, pooled: Tensor) -> None:
    """The head is its last linear layer on what timm pooled."""
    expected = head.get_submodule("linear")(pooled.flatten(1))
    torch.testing.assert_close(head(features()), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("gap", "avg"),
        ("gmp", "max"),
        ("avg_max", "avgmax"),
        ("concat_avg_max", "catavgmax"),
    ],
)
@torch.no_grad()
def test_pools_are_timms(name: str, theirs: str) -> None:
    """Else a pool is not what users of timm know by its name."""
    head, _ = made(name)
    close(head, SelectAdaptivePool2d(pool_type=theirs, flatten=True)(features()))


@pytest.mark.parametrize("r", [0.5, 10.0, 100.0])
@torch.no_grad()
def test_log_sum_exp_is_timms(r: float) -> None:
    """Else its sharpness means another thing."""
    head, state = made("lse", r=r)
    close(head, LsePlus2d(r=float(state["r"]))(features()))


@torch.no_grad()
def test_layer_norm_and_mlp_are_timms() -> None:
    """Else ConvNeXt's head is another."""
    head, state = made("ln_linear")
    theirs = NormMlpClassifierHead(C, K, norm_layer=partial(LayerNorm2d, eps=1e-6)).eval()
    theirs.load_state_dict(
        {
            "norm.weight": state["norm.weight"],
            "norm.bias": state["norm.bias"],
            "fc.weight": state["linear.weight"],
            "fc.bias": state["linear.bias"],
        }
    )
    torch.testing.assert_close(head(features()), theirs(features()), rtol=1e-5, atol=1e-5)

    head, state = made("mlp", hidden=11)
    mlp = NormMlpClassifierHead(C, K, hidden_size=11, act_layer="gelu").eval()
    mlp.norm = nn.Identity()
    mlp.load_state_dict(
        {
            "pre_logits.fc.weight": state["hidden.weight"],
            "pre_logits.fc.bias": state["hidden.bias"],
            "fc.weight": state["linear.weight"],
            "fc.bias": state["linear.bias"],
        }
    )
    torch.testing.assert_close(head(features()), mlp(features()), rtol=1e-5, atol=1e-5)


def attention_state(state: dict[str, Tensor], ours: str = "") -> dict[str, Tensor]:
    """Weights of query, key, value and projection under timm's names."""
    found = {}
    for part in ("weight", "bias"):
        keys = [state[f"{ours}{name}.{part}"] for name in ("query", "key", "value")]
        found[f"q.{part}"] = keys[0]
        found[f"kv.{part}"] = torch.cat(keys[1:])
        found[f"qkv.{part}"] = torch.cat(keys)
        found[f"k.{part}"], found[f"v.{part}"] = keys[1:]
        found[f"proj.{part}"] = state[f"{ours}projection.{part}"]
    return found


def chosen(found: dict[str, Tensor], *prefixes: str) -> dict[str, Tensor]:
    return {key: value for key, value in found.items() if key.startswith(prefixes)}


@torch.no_grad()
def test_attention_is_timms() -> None:
    """Else CLIP's attention pool is another."""
    head, state = made("attention", heads=4)
    theirs = AttentionPool2d(C, feat_size=SIZE, num_heads=4).eval()
    weights = chosen(attention_state(state), "qkv", "proj")
    theirs.load_state_dict({**weights, "pos_embed": state["positions"]})
    close(head, theirs(features()))


@torch.no_grad()
def test_latent_attention_is_timms() -> None:
    """Else SigLIP's MAP head is another."""
    head, state = made("attention_latent", heads=4)
    theirs = AttentionPoolLatent(C, num_heads=4, norm_layer=LAYER_NORM).eval()
    weights = chosen(attention_state(state), "q.", "kv.", "proj")
    mlp = {
        f"mlp.fc{number}.{part}": state[f"mlp.{name}.{part}"]
        for number, name in ((1, "up"), (2, "down"))
        for part in ("weight", "bias")
    }
    norm = {key: state[key] for key in ("norm.weight", "norm.bias")}
    theirs.load_state_dict({**weights, **mlp, **norm, "latent": state["latent"]})
    close(head, theirs(features().flatten(2).transpose(1, 2)))


@torch.no_grad()
def test_class_attention_is_timms() -> None:
    """Else CaiT's class attention is another."""
    head, state = made("class_attention", heads=4)
    seen = features().flatten(2).transpose(1, 2)
    token = state["token"].expand(4, -1, -1)
    for index in range(2):
        block = LayerScaleBlockClassAttn(C, 4, qkv_bias=True, norm_layer=LAYER_NORM).eval()
        ours = f"blocks.{index}."
        weights = chosen(attention_state(state, ours), "q.", "k.", "v.", "proj")
        named = {
            "norm1": "norm1",
            "norm2": "norm2",
            "mlp.fc1": "mlp.up",
            "mlp.fc2": "mlp.down",
        }
        block.load_state_dict(
            {
                **{f"attn.{key}": value for key, value in weights.items()},
                **{
                    f"{theirs}.{part}": state[f"{ours}{mine}.{part}"]
                    for theirs, mine in named.items()
                    for part in ("weight", "bias")
                },
                "gamma_1": state[f"{ours}scale1"],
                "gamma_2": state[f"{ours}scale2"],
            }
        )
        token = block(seen, token)
    close(head, head.get_submodule("norm")(token[:, 0]))


@pytest.mark.parametrize("gamma", [1.0, 1.25, 2.0])
@torch.no_grad()
def test_simpool_is_timms(gamma: float) -> None:
    """Else SimPool is another."""
    head, state = made("simpool", gamma=gamma)
    theirs = SimPool2d(C, gamma=None if gamma == 1 else gamma, norm_layer=LAYER_NORM).eval()
    theirs.load_state_dict(
        {
            "norm.weight": state["norm.weight"],
            "norm.bias": state["norm.bias"],
            "q.weight": state["query.weight"],
            "k.weight": state["key.weight"],
        }
    )
    close(head, theirs(features()))


@torch.no_grad()
def test_squeeze_and_excitation_is_timms() -> None:
    """Else its gate is another."""
    head, state = made("se_gap", reduction=4)
    theirs = SEModule(C, rd_channels=C // 4).eval()
    theirs.load_state_dict(
        {
            f"fc{number}.{part}": state[f"{name}.{part}"].reshape(
                *state[f"{name}.{part}"].shape, *([1, 1] if part == "weight" else [])
            )
            for number, name in ((1, "squeeze"), (2, "excite"))
            for part in ("weight", "bias")
        }
    )
    close(head, theirs(features()).mean(dim=(2, 3)))


@torch.no_grad()
def test_cbam_is_timms() -> None:
    """Else its gates, or their order, are others."""
    head, state = made("cbam_gap", reduction=4)
    theirs = CbamModule(C, rd_channels=C // 4).eval()
    theirs.spatial.conv.bn.eps = 1e-3  # Keras's, of all batch norm here
    theirs.load_state_dict(
        {
            "channel.fc1.weight": state["squeeze.weight"][:, :, None, None],
            "channel.fc2.weight": state["excite.weight"][:, :, None, None],
            "spatial.conv.conv.weight": state["convolution.weight"],
            "spatial.conv.bn.weight": state["norm.gamma"],
            "spatial.conv.bn.bias": state["norm.beta"],
            "spatial.conv.bn.running_mean": state["norm.moving_mean"],
            "spatial.conv.bn.running_var": state["norm.moving_variance"],
        },
        strict=False,
    )
    close(head, theirs(features()).mean(dim=(2, 3)))


@pytest.mark.parametrize("groups", [3, 2])
@torch.no_grad()
def test_ml_decoder_is_timms(groups: int) -> None:
    """Else its decoder or its groups are others."""
    head, state = made("ml_decoder", width=16, groups=groups)
    theirs = MLDecoder(K, num_of_groups=groups, decoder_embedding=16, initial_num_features=C).eval()
    layer = theirs.decoder.layers[0]
    weights = attention_state(state)
    layer.load_state_dict(
        {
            "multihead_attn.in_proj_weight": weights["qkv.weight"],
            "multihead_attn.in_proj_bias": weights["qkv.bias"],
            "multihead_attn.out_proj.weight": weights["proj.weight"],
            "multihead_attn.out_proj.bias": weights["proj.bias"],
            **{
                f"{theirs_name}.{part}": state[f"{mine}.{part}"]
                for theirs_name, mine in {
                    "linear1": "up",
                    "linear2": "down",
                    "norm1": "norm1",
                    "norm2": "norm2",
                    "norm3": "norm3",
                }.items()
                for part in ("weight", "bias")
            },
        }
    )
    theirs.query_embed.weight.copy_(state["queries"])
    # The layer by itself: newer versions of torch hand it arguments that timm's does not take.
    embed = head.get_submodule("embed")
    seen = embed(features().flatten(2).transpose(1, 2)).relu().transpose(0, 1)
    queries = theirs.query_embed.weight.unsqueeze(1).expand(-1, 4, -1)
    decoded = layer(queries, seen).transpose(0, 1)
    logits = torch.einsum("ngw,gwk->ngk", decoded, state["weight"]).flatten(1)[:, :K]
    expected = logits + state["bias"]
    torch.testing.assert_close(head(features()), expected, rtol=1e-5, atol=1e-5)
