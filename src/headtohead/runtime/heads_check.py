"""What a first worker says of a study's heads before any training: see `heads.guidance`."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch.nn import functional

from headtohead.backbones.base import Backbone
from headtohead.config.recipe import OptimizerName
from headtohead.config.study import HeadSpec
from headtohead.core.limits import memory_of
from headtohead.core.streams import stream
from headtohead.heads.base import Head
from headtohead.heads.classifier import outputs_for
from headtohead.heads.guidance import Said, functions_of, negative_inputs, same_functions
from headtohead.heads.table import build_head, head_entry
from headtohead.runtime.preflight import HeadSize

IMAGES = 2
"""Random images whose feature maps say whether values below zero are to be expected."""

OF_FUNCTION = {"linear_at_one_place", "linear_on"}
"""What a head's class says of its function."""

Models = Sequence[tuple[str, HeadSpec]]
Size = tuple[int, int]


def sizes_of(
    models: Models,
    channels: int,
    size: Size,
    optimizers: Mapping[str, OptimizerName] = MappingProxyType({}),
) -> dict[str, HeadSize]:
    """Each head's parameters, counted without memory; those not in `optimizers` have Adam.

    A head that cannot be counted so is left out, and to its building.
    """
    found = {}
    for name, head in models:
        heads = [_without_memory(name, head, channels, size, n) for n in (2, 3, 4)]
        if None in heads:
            continue
        two, three, four = (sum(w.numel() for w in h.parameters()) for h in heads if h)
        optimizer = optimizers.get(name, "adam")
        found[name] = HeadSize(two=two, three=three, further=four - three, optimizer=optimizer)
    return found


def _without_memory(
    name: str, head: HeadSpec, channels: int, size: Size, classes: int
) -> Head | None:
    """A candidate's head with shapes alone; None where it cannot be built so."""
    try:
        with torch.device("meta"):
            return build_head(
                head.head or name, channels, size, outputs_for(classes), **head.options
            )
    except Exception:  # told where it is built in earnest
        return None


def available_memory(device: torch.device) -> int:
    """Bytes that training may take on `device`."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    memory = memory_of()
    known = (memory.available, memory.usable)
    return min((count for count in known if count is not None), default=1 << 62)


def guidance(
    models: Models, backbone: Backbone, image_size: int, *, normed: bool
) -> tuple[dict[str, str], list[str]]:
    """What heads compute, where that is known (`functions_of`), and sentences.

    On heads that are one function, and on pools that the backbone's maps do not suit. The maps'
    values are looked at on a few random images; `normed`: batch norm stands between them and every
    head.
    """
    classes = {name: head_entry(head.head or name).cls for name, head in models}
    smallest = _smallest_value(backbone, image_size, normed=normed)
    picky = [name for name, cls in classes.items() if cls.needs_non_negative]
    size = backbone.map_size(image_size)
    said = {}
    for name, head in models:
        if ":" in (head.head or name) and not vars(classes[name]).keys() & OF_FUNCTION:
            continue  # a class of the user's own that may have inherited what is said there
        built = _without_memory(name, head, backbone.channels, size, 2)
        # Others differ in how they are trained.
        if built is not None and head.after is None and not head.recipe:
            said[name] = Said(built.linear_at_one_place, built.needs_non_negative, built.linear_on)
    functions = functions_of(said, size, non_negative=smallest >= 0)
    sentences = [*same_functions(functions), *negative_inputs(picky, smallest, normed=normed)]
    return functions, sentences


def _smallest_value(backbone: Backbone, image_size: int, *, normed: bool) -> float:
    """Of what heads are given."""
    random = stream(0, "guidance").random((IMAGES, 3, image_size, image_size), "float32")
    trained = backbone.training
    backbone.eval()
    with torch.no_grad():
        maps = backbone(torch.from_numpy(random))
        if normed:
            maps = functional.batch_norm(maps, None, None, training=True)
        smallest = float(maps.min())
    backbone.train(trained)
    return smallest
