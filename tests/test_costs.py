"""What a model costs, counted."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.flop_counter import FlopCounterMode

from headtohead.backbones.counting import multiply_adds
from headtohead.config.recipe import RecipeSpec
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.heads.table import HEADS
from headtohead.probes.costs import collect_costs
from headtohead.training.plans import RunPlan


def plan(head: str, classes: int = 2, image_size: int = 64) -> RunPlan:
    return RunPlan(
        key="key",
        head=head,
        seed=0,
        head_spec=HeadSpec(),
        backbone=BackboneSpec(),
        recipe=RecipeSpec(),
        image_size=image_size,
        classes=classes,
    )


def test_multiply_adds_are_those_of_the_textbook() -> None:
    """Else heads are said to be cheap or dear by a wrong count."""
    backbone = 62**2 * 32 * 27 + 29**2 * 32 * 288 + 12**2 * 64 * 288
    for head, own in {"gap": 64, "fc": 2304 * 100 + 100 * 100 + 100, "fc_small": 36 * 65}.items():
        found = collect_costs(plan(head))
        assert (found.multiply_adds_backbone, found.multiply_adds_head) == (backbone, own)
        assert found.multiply_adds == backbone + own
    assert collect_costs(plan("gap", classes=5)).multiply_adds_head == 5 * 64


@pytest.mark.parametrize("head", HEADS)
def test_operations_are_those_that_pytorch_counts(head: str) -> None:
    """Else a head whose operations are none of the textbook's is counted otherwise."""
    model = plan(head).build().eval()
    with FlopCounterMode(display=False) as counter:  # with gradients: by plain operations
        model(torch.zeros(1, 3, 64, 64))
    assert collect_costs(plan(head)).multiply_adds == counter.get_total_flops() // 2


def test_weights_are_counted_in_bytes_with_batch_norm_statistics() -> None:
    """Else the memory that a user must ship is understated."""
    counts = plan("fc").build().parameters_count()
    assert collect_costs(plan("fc")).weight_bytes == 4 * counts.total


@pytest.mark.parametrize("head", HEADS)
def test_training_keeps_what_it_needs(head: str) -> None:
    """Else the memory of a training step is said to be nothing, or to hang on the batch."""
    found = collect_costs(plan(head))
    smallest = 4 * (62**2 * 32 + 29**2 * 32 + 12**2 * 64)  # one map of each convolution
    assert smallest / 4 < found.activation_bytes_backbone < 8 * smallest
    assert 4 <= found.activation_bytes_head < found.activation_bytes_backbone
    assert found.activation_bytes == found.activation_bytes_backbone + found.activation_bytes_head
    assert collect_costs(plan("fc")).activation_bytes_head > 4 * (2304 + 100)


def test_a_backbone_is_counted_once_and_another_anew() -> None:
    """Else every run of a study computes it again, or costs are those of another backbone."""
    first, small = collect_costs(plan("gap")), collect_costs(plan("gap", image_size=48))
    assert small.multiply_adds_backbone < first.multiply_adds_backbone
    assert small.multiply_adds_head == first.multiply_adds_head
    other = replace(plan("fc"), backbone=BackboneSpec(options={"widths": [4, 6]}))
    own = collect_costs(other)
    assert own.weight_bytes_backbone < first.weight_bytes_backbone
    calls = []
    handle = register_module_forward_hook(lambda module, *_: calls.append(type(module).__name__))
    try:
        again = collect_costs(other)
    finally:
        handle.remove()
    assert again == own
    assert "FullyConnected" in calls
    assert "TutorialCNN" not in calls


class Attentive(torch.nn.Module):
    """Attention by PyTorch's fused function, as transformers have it."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = scaled_dot_product_attention(tokens, tokens, tokens)
        return found


def test_fused_attention_is_counted_on_a_cpu() -> None:
    """Else a ViT costs a seventh less in the table than it does, and more on a GPU."""
    heads, places, size = 3, 50, 8
    counted = multiply_adds(Attentive(), torch.rand(1, heads, places, size))
    assert counted == 2 * heads * places**2 * size
