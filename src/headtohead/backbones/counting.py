"""Multiply-adds of a module, counted, not timed."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


def multiply_adds(module: nn.Module, inputs: Tensor) -> int:
    """Of one forward pass of `module` in evaluation mode, by the definition of its operations."""
    counter = _MultiplyAdds()
    with torch.enable_grad(), counter:  # plain operations: the definition's count, on any device
        module.eval()(inputs)
    return counter.operations // 2


class _MultiplyAdds(TorchDispatchMode):
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
