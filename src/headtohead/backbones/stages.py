"""A network's stages, from images to maps: what `train: last:N` counts."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import nn

from headtohead.backbones.base import Backbone
from headtohead.backbones.geometry import modes_of, restore_modes
from headtohead.backbones.weights import network_of

WHOLE = 0.8
"""A part that holds at least this share of a network's parameters is the network, and is opened."""

SEQUENCES = (
    *("blocks", "layers", "stages", "layer", "encoder", "features", "backbone", "model"),
    *("network", "trunk", "body", "transformers"),
)
"""What libraries call the sequence of a network's stages."""

TAILS = ("head", "norm", "classifier", "fc")
"""What libraries call the little that follows the last stage."""


@dataclass(frozen=True)
class Stage:
    """Modules that follow one another, and the name of the one that gives them theirs."""

    name: str
    modules: tuple[nn.Module, ...]


def used_parameters(backbone: Backbone, image_size: int) -> set[nn.Parameter]:
    """The parameters that maps of square images of `image_size` pixels depend on.

    Found by one forward and backward pass: libraries build layers that maps never see (a pooler,
    what stands before a classifier). The backbone is left as it was.
    """
    modes = modes_of(backbone)
    parameters = [p for p in backbone.parameters() if p.is_floating_point()]
    learning = [(p.requires_grad, p.grad) for p in parameters]
    place = next(iter(parameters), torch.empty(0))
    image = torch.zeros(1, 3, image_size, image_size, device=place.device, dtype=place.dtype)
    try:
        backbone.eval()
        for parameter in parameters:
            parameter.requires_grad_(True)
            parameter.grad = None
        with torch.enable_grad():
            maps = backbone(image)
        if not maps.requires_grad:
            return set()
        maps.sum().backward()  # as in training: some networks allow no other way
        found = {parameter for parameter in parameters if parameter.grad is not None}
    finally:
        for parameter, (learns, gradient) in zip(parameters, learning, strict=True):
            parameter.requires_grad_(learns)
            parameter.grad = gradient
        restore_modes(backbone, modes)
    return found


def stages_of(backbone: Backbone, used: Collection[nn.Parameter]) -> list[Stage]:
    """The stages in order; together they hold every module that has parameters in `used`.

    A stage is a block of blocks as the library has it (`layer1` of a ResNet, `blocks.0` of an
    EfficientNet or a ViT). Single layers before the first are that one's; those after a stage are
    its own. In a network of single layers alone (VGG) each is a stage, with the norms after it.
    Parameters that are no module's (position embeddings) are before all of them.
    """
    parts = _parts(network_of(backbone), "", used)
    flat = not any(_is_block(name, module, used) for name, module in parts)
    stages: list[Stage] = []
    stem: tuple[nn.Module, ...] = ()
    for name, module in parts:
        begins = not _is_norm(module) if flat else _is_block(name, module, used)
        if begins:
            stages.append(Stage(name, (*stem, module)))
            stem = ()
        elif stages:
            stages[-1] = Stage(stages[-1].name, (*stages[-1].modules, module))
        else:
            stem = (*stem, module)
    return stages or [Stage("all", stem)]


def _parts(
    network: nn.Module, prefix: str, used: Collection[nn.Parameter]
) -> list[tuple[str, nn.Module]]:
    """The children that are used, those that are a whole sequence of stages opened."""
    children = [(n, m) for n, m in network.named_children() if _size(m, used)]
    found: list[tuple[str, nn.Module]] = []
    for name, module in children:
        inside = [part for part in module.children() if _size(part, used)]
        is_whole = _size(module, used) >= WHOLE * _size(network, used)
        is_named = name in SEQUENCES or isinstance(module, nn.ModuleList)
        if inside and is_whole and (is_named or len(children) == 1):
            found += _parts(module, f"{prefix}{name}.", used)
        else:
            found.append((f"{prefix}{name}", module))
    return found


def _is_block(name: str, module: nn.Module, used: Collection[nn.Parameter]) -> bool:
    inside = any(_size(part, used) for part in module.children())
    return inside and name.rpartition(".")[2] not in TAILS


def _is_norm(module: nn.Module) -> bool:
    return all(p.ndim < 2 for p in module.parameters())


def _size(module: nn.Module, used: Collection[nn.Parameter]) -> int:
    return sum(p.numel() for p in module.parameters() if p in used)
