"""What a CUDA graph cannot hold, seen without a GPU: the operations that wait for the device."""

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "lift_fresh", "is_nonzero", "equal"}
"""Operations that wait for the device, or bring a value to it."""


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Names of all operations within it, of the backward pass too."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Do the operation, and note it."""
        self.seen.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))

    def waiting(self) -> list[str]:
        """Those that were seen and that no CUDA graph can hold."""
        return sorted(self.seen & WAITING)
