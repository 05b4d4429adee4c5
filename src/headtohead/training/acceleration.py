"""Which kernels compute a run: those of `headtohead.accel` where they are there, else PyTorch's.

The only way from the program into `accel/`: without that folder, or without Numba, everything runs
all the same, slower, and a run's record says so.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Literal, TypeAlias, TypeVar

import torch
from torch import nn

from headtohead.backbones.table import build_backbone
from headtohead.config.recipe import Precision
from headtohead.config.study import BackboneSpec

Module = TypeVar("Module", bound=nn.Module)
Kernels: TypeAlias = Literal["fused", "plain"]


def _is_there() -> bool:
    return find_spec("headtohead.accel") is not None


def fastest(backbone: Module) -> Module:
    """`backbone` itself, its parts replaced by faster ones of the same parameters, if there are."""
    if not _is_there():
        return backbone
    from headtohead.accel import accelerate

    return accelerate(backbone)


def kernels_of(model: nn.Module, device: torch.device, precision: Precision) -> Kernels:
    """Which kernels training steps of `model` take on `device`: numbers differ by rounding."""
    if not _is_there() or device.type != "cpu" or precision != "float32":
        return "plain"
    from headtohead.accel import is_accelerated

    return "fused" if is_accelerated(model) else "plain"


def get_ready(backbone: BackboneSpec) -> None:
    """Load the kernels that training `backbone` on the CPU takes, compiling them if need be."""
    if not _is_there():
        return
    from headtohead.accel.warming import warm_up

    warm_up(build_backbone(backbone.name, backbone.options))


def numba_error() -> str | None:
    """Why Numba cannot be loaded; None where it can, or nothing here takes it."""
    if not _is_there():
        return None
    from headtohead.accel import loading

    return loading.numba_error()


def lend(cores: Sequence[int | None]) -> None:
    """Let faster kernels use these cores beside the process's own: see `accel.shards.lend`."""
    if not _is_there():
        return
    from headtohead.accel import shards

    shards.lend(cores)
