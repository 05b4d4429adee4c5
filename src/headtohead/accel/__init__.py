"""Optional faster kernels of the tutorial's backbone on the CPU: `accelerate` is the way in.

They take Numba (`pip install 'headtohead[fast]'`). Without it, or without this folder, everything
computes the same function by PyTorch's own operations, slower.
"""

from importlib.util import find_spec
from typing import TypeVar

from torch import nn

from headtohead.accel.blocks import FusedBlock
from headtohead.backbones.tutorial_cnn import ConvolutionBlock

Module = TypeVar("Module", bound=nn.Module)


def accelerate(backbone: Module) -> Module:
    """`backbone` itself, with every part that there are faster kernels for replaced by them.

    Parameters, buffers, their modules and their names in the state stay the same objects, and no
    random number is drawn. Nothing is replaced where Numba is not installed.
    """
    if find_spec("numba") is None:
        return backbone
    for parent in list(backbone.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is ConvolutionBlock:
                setattr(parent, name, FusedBlock(child))
    return backbone


def is_accelerated(model: nn.Module) -> bool:
    """Whether any part of `model` has faster kernels, which it takes on the CPU in float32."""
    return any(isinstance(part, FusedBlock) for part in model.modules())
