"""Multiply-adds of a module, counted, not timed."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

_ATEN = torch.ops.aten
SAME_AS = {
    _ATEN._scaled_dot_product_flash_attention_for_cpu: _ATEN._scaled_dot_product_flash_attention
}
"""Operations that PyTorch has no formula for, and those that do the same elsewhere."""


def multiply_adds(module: nn.Module, inputs: Tensor) -> int:
    """Of one forward pass of `module` in evaluation mode, by the definition of its operations."""
    counter = _MultiplyAdds()
    with torch.enable_grad(), counter:  # plain operations: the definition's count, on any device
        module.eval()(inputs)
    return counter.operations // 2


class _MultiplyAdds(TorchDispatchMode):
    """Counts additions and multiplications by PyTorch's own formulas.

    As `torch.utils.flop_counter.FlopCounterMode` does, which imports more than a second's worth
    of compiler to keep itself out of it, and counts fused attention on a GPU alone.
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
        packet = func.overloadpacket
        count = flop_registry.get(SAME_AS.get(packet, packet))
        if count is not None:
            self.operations += int(count(*args, **(kwargs or {}), out_val=output))
        return output
