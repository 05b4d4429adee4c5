"""The costs probe: multiply-adds and memory of a model, counted, not timed."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, final

import numpy as np

from headtohead.probes.base import Context, Need
from headtohead.store.evidence import Arrays

if TYPE_CHECKING:
    from torch import Tensor, nn

    from headtohead.training.plans import RunPlan

BATCH = 8
"""Images in the training step whose memory is counted; what is kept per image is its share."""


@dataclass(frozen=True)
class Costs:
    """Multiply-adds and bytes of one model, for one image.

    `multiply_adds_*`: of convolutions and matrix products in one forward pass, as PyTorch's
    FlopCounterMode counts them, halved; pooling, normalisation and activations are not in them.
    `weight_bytes_*`: of all parameters and batch-norm statistics, in float32.
    `activation_bytes_*`: what one training step keeps of each image for its backward pass,
    weights left out: every distinct block of memory that autograd saves.
    """

    multiply_adds_backbone: int
    multiply_adds_head: int
    weight_bytes_backbone: int
    weight_bytes_head: int
    activation_bytes_backbone: int
    activation_bytes_head: int

    @property
    def multiply_adds(self) -> int:
        """Of the whole model, for one image."""
        return self.multiply_adds_backbone + self.multiply_adds_head

    @property
    def weight_bytes(self) -> int:
        """Of the whole model."""
        return self.weight_bytes_backbone + self.weight_bytes_head

    @property
    def activation_bytes(self) -> int:
        """Of the whole model, for one image in training."""
        return self.activation_bytes_backbone + self.activation_bytes_head


@final
class CostsProbe:
    """Costs of the model as it is built: the same for every seed of a head."""

    name = "costs"
    needs: frozenset[Need] = frozenset()

    def collect(self, context: Context) -> Arrays:
        """Counted on the plan's model."""
        return self.pack(collect_costs(context.plan))

    @staticmethod
    def pack(costs: Costs) -> Arrays:
        """As they are kept: one number by the name of each field."""
        return {
            field.name: np.array(getattr(costs, field.name), np.int64) for field in fields(costs)
        }

    def describe(self, arrays: Arrays) -> Costs:
        """The inverse of `pack`."""
        return Costs(**{field.name: int(arrays[field.name]) for field in fields(Costs)})


COSTS = CostsProbe()


@dataclass(frozen=True)
class _OfBackbone:
    """What a backbone costs, and its maps (BATCH, C, h, w) of images without content."""

    multiply_adds: int
    weight_bytes: int
    activation_bytes: int
    maps: "Tensor"


_KNOWN: dict[str, _OfBackbone] = {}
"""The last backbone that was counted, by all that its costs depend on: it is every run's."""


def collect_costs(plan: "RunPlan") -> Costs:
    """Costs of the plan's model; its weights do not matter."""
    from headtohead.backbones.counting import multiply_adds

    head, recipe = plan.build(lent=True).head, plan.recipe
    told = (plan.backbone.model_dump_json(), recipe.batch_norm, recipe.checkpointing)
    key = repr((*told, plan.image_size))
    if key not in _KNOWN:
        _KNOWN.clear()
        # Its own, on the CPU: the one that is lent may lie on a GPU.
        _KNOWN[key] = _of_backbone(plan.build().backbone, plan.image_size)
    backbone = _KNOWN[key]
    maps = backbone.maps
    return Costs(
        multiply_adds_backbone=backbone.multiply_adds,
        multiply_adds_head=multiply_adds(head, maps[:1]),
        weight_bytes_backbone=backbone.weight_bytes,
        weight_bytes_head=_weight_bytes(head),
        activation_bytes_backbone=backbone.activation_bytes,
        activation_bytes_head=_kept(head, maps.detach().requires_grad_()) // BATCH,
    )


def _of_backbone(backbone: "nn.Module", image_size: int) -> _OfBackbone:
    import torch

    from headtohead.backbones.counting import multiply_adds

    pictures = torch.zeros(BATCH, 3, image_size, image_size)
    with torch.no_grad():
        maps = backbone.eval()(pictures)
    return _OfBackbone(
        multiply_adds=multiply_adds(backbone, pictures[:1]),
        weight_bytes=_weight_bytes(backbone),
        activation_bytes=_kept(backbone, pictures) // BATCH,
        maps=maps,
    )


def _weight_bytes(module: "nn.Module") -> int:
    return sum(t.numel() * t.element_size() for t in [*module.parameters(), *module.buffers()])


def _kept(module: "nn.Module", inputs: "Tensor") -> int:
    """Bytes of the distinct blocks of memory that a training forward pass saves for its backward.

    Weights and the module's input are left out: the input of the head is the backbone's output.
    """
    import torch

    known = {t.untyped_storage().data_ptr() for t in [*module.parameters(), *module.buffers()]}
    known.add(inputs.untyped_storage().data_ptr())
    saved: list[Tensor] = []  # held, so that no block is freed and counted under a new tenant

    def pack(tensor: "Tensor") -> "Tensor":
        saved.append(tensor)
        return tensor

    unpack: Callable[[Tensor], Tensor] = lambda tensor: tensor  # noqa: E731
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        output = module.train()(inputs)
    blocks = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in saved}
    blocks[output.untyped_storage().data_ptr()] = output.untyped_storage().nbytes()
    return sum(size for block, size in blocks.items() if block not in known)
