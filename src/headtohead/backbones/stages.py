"""A network's stages, from images to maps: what `train: last:N` counts."""

from dataclasses import dataclass

from torch import nn

from headtohead.backbones.base import Backbone
from headtohead.backbones.weights import network_of

WHOLE = 0.8
"""A part that holds at least this share of a network's parameters is the network, and is opened."""

SEQUENCES = (
    *("blocks", "layers", "stages", "layer", "encoder", "features", "backbone", "model"),
    *("network", "trunk", "body"),
)
"""What libraries call the sequence of a network's stages."""

TAILS = ("head", "norm", "classifier", "fc")
"""What libraries call the little that follows the last stage."""


@dataclass(frozen=True)
class Stage:
    """Modules that follow one another, and the name of the one that gives them theirs."""

    name: str
    modules: tuple[nn.Module, ...]


def stages_of(backbone: Backbone) -> list[Stage]:
    """The stages in order; together they hold every module that has parameters.

    A stage is a block of blocks as the library has it (`layer1` of a ResNet, `blocks.0` of an
    EfficientNet or a ViT). Single layers before the first are that one's; those after a stage are
    its own. Parameters that are no module's (position embeddings) are before all of them.
    """
    parts = _parts(network_of(backbone), "")
    stages: list[Stage] = []
    stem: tuple[nn.Module, ...] = ()
    for name, module in parts:
        if not _is_block(module) or name.rpartition(".")[2] in TAILS:
            if stages:
                stages[-1] = Stage(stages[-1].name, (*stages[-1].modules, module))
            else:
                stem = (*stem, module)
            continue
        stages.append(Stage(name, (*stem, module)))
        stem = ()
    return stages or [Stage("all", stem)]


def _parts(network: nn.Module, prefix: str) -> list[tuple[str, nn.Module]]:
    """The children that have parameters, those that are a whole sequence of stages opened."""
    children = [(n, m) for n, m in network.named_children() if _size(m)]
    found: list[tuple[str, nn.Module]] = []
    for name, module in children:
        inside = [part for _, part in module.named_children() if _size(part)]
        is_whole = _size(module) >= WHOLE * _size(network)
        is_named = name in SEQUENCES or isinstance(module, nn.ModuleList)
        if inside and is_whole and (is_named or len(children) == 1):
            found += _parts(module, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", module))
    return found


def _is_block(module: nn.Module) -> bool:
    return any(_size(part) for part in module.children())


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
