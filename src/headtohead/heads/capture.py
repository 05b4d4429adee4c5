"""What a CUDA graph cannot hold, seen without a GPU: the operations that wait for the device."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITING = {"lift_fresh", "is_nonzero", "multinomial", "_linalg_check_errors"}
"""Operations that wait for the device, or bring a value to it, beside those that are tagged so."""

DEPENDENT = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
"""What PyTorch says of operations whose result, or its shape, is known only when it is there."""


class Operations(TorchDispatchMode):
    """Names of all operations within it, of the backward pass too."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[str] = set()
        self._dependent: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Do the operation, and note it."""
        name = func.overloadpacket.__name__
        self.seen.add(name)
        indexes = name.startswith("index")  # tagged, though most have numbers
        if _has_mask(args[1:2]) if indexes else not DEPENDENT.isdisjoint(func.tags):
            self._dependent.add(name)
        return func(*args, **(kwargs or {}))

    def waiting(self) -> list[str]:
        """Those that were seen and that no CUDA graph can hold."""
        return sorted(self.seen & WAITING | self._dependent)


def _has_mask(arguments: Any) -> bool:
    """Whether one is a mask: how many places it chooses is known only when it was looked at."""
    return any(
        isinstance(part, Tensor) and part.dtype in (torch.bool, torch.uint8)
        for part in tree_leaves(arguments)
    )
