"""The costs probe: multiply-adds and memory of a model, counted, not timed."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from headtohead.heads.operations import multiply_adds
from headtohead.probes.evidence import Costs
from headtohead.training.run import RunPlan

BATCH = 8
"""Pictures in the training step whose memory is counted; what is kept per picture is its share."""


def collect_costs(plan: RunPlan) -> Costs:
    """Costs of the plan's model; its weights do not matter, so none are read."""
    model = plan.build()
    pictures = torch.zeros(BATCH, 3, plan.image_size, plan.image_size)
    with torch.no_grad():
        features = model.eval().backbone(pictures)
    return Costs(
        multiply_adds_backbone=multiply_adds(model.backbone, pictures[:1]),
        multiply_adds_head=multiply_adds(model.head, features[:1]),
        weight_bytes_backbone=_weight_bytes(model.backbone),
        weight_bytes_head=_weight_bytes(model.head),
        activation_bytes_backbone=_kept(model.backbone, pictures) // BATCH,
        activation_bytes_head=_kept(model.head, features.requires_grad_()) // BATCH,
    )


def _weight_bytes(module: nn.Module) -> int:
    return sum(t.numel() * t.element_size() for t in [*module.parameters(), *module.buffers()])


def _kept(module: nn.Module, inputs: Tensor) -> int:
    """Bytes of the distinct blocks of memory that a training forward pass saves for its backward.

    Weights and the module's input are left out: the input of the head is the backbone's output.
    """
    known = {t.untyped_storage().data_ptr() for t in [*module.parameters(), *module.buffers()]}
    known.add(inputs.untyped_storage().data_ptr())
    saved: list[Tensor] = []  # held, so that no block is freed and counted under a new tenant

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    unpack: Callable[[Tensor], Tensor] = lambda tensor: tensor  # noqa: E731
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        output = module.train()(inputs)
    blocks = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in saved}
    blocks[output.untyped_storage().data_ptr()] = output.untyped_storage().nbytes()
    return sum(size for block, size in blocks.items() if block not in known)
