"""The costs probe: multiply-adds and memory of a model, counted, not timed."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

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
        multiply_adds_backbone=_multiply_adds(model.backbone, pictures[:1]),
        multiply_adds_head=_multiply_adds(model.head, features[:1]),
        weight_bytes_backbone=_weight_bytes(model.backbone),
        weight_bytes_head=_weight_bytes(model.head),
        activation_bytes_backbone=_kept(model.backbone, pictures) // BATCH,
        activation_bytes_head=_kept(model.head, features.requires_grad_()) // BATCH,
    )


def _multiply_adds(module: nn.Module, inputs: Tensor) -> int:
    counter = _Operations()
    with torch.enable_grad(), counter:  # plain operations: the definition's count, on any device
        module.eval()(inputs)
    return counter.operations // 2


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts additions and multiplications by PyTorch's own formulas.

    As `torch.utils.flop_counter.FlopCounterMode` does, which imports more than a second's worth
    of compiler to keep itself out of it.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Do the operation, and count it."""
        output = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.operations += int(count(*args, **(kwargs or {}), out_val=output))
        return output


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
