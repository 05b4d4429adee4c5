"""What a first worker says of a study's heads before any training: see `heads.guidance`."""

from collections.abc import Sequence

import torch
from torch.nn import functional

from headtohead.backbones.base import Backbone
from headtohead.config.study import HeadSpec
from headtohead.core.errors import UsageError
from headtohead.core.streams import stream
from headtohead.heads.classifier import outputs_for
from headtohead.heads.guidance import Asked, negative_inputs, same_functions, too_large
from headtohead.heads.table import build_head, head_entry
from headtohead.runtime.machine import memory_of

IMAGES = 2
"""Random images whose feature maps say whether values below zero are to be expected."""

Models = Sequence[tuple[str, HeadSpec]]
Size = tuple[int, int]


def refuse_too_large(models: Models, channels: int, size: Size, device: torch.device) -> None:
    """Raises UsageError for heads whose parameters do not fit into memory, before they are built.

    A head that cannot be counted without memory is left to its building.
    """
    counts: dict[str, int] = {}
    for name, head in models:
        try:
            with torch.device("meta"):  # shapes alone, no memory
                built = build_head(
                    head.head or name, channels, size, outputs_for(2), **head.options
                )
        except Exception:  # noqa: S112 - told where it is built in earnest
            continue
        counts[name] = sum(parameter.numel() for parameter in built.parameters())
    if sentences := too_large(counts, _available(device)):
        raise UsageError(" ".join(sentences))


def _available(device: torch.device) -> int:
    """Bytes that training may take on `device`."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    memory = memory_of()
    known = (memory.available, memory.usable)
    return min((count for count in known if count is not None), default=1 << 62)


def guidance(models: Models, backbone: Backbone, image_size: int, *, normed: bool) -> list[str]:
    """Sentences on heads that are one function, and on pools that the backbone's maps do not suit.

    The maps' values are looked at on a few random images; `normed`: batch norm stands between them
    and every head.
    """
    entries = {name: head_entry(head.head or name) for name, head in models}
    asked = {
        name: Asked(head.head or name, {**entries[name].options, **head.options})
        for name, head in models
        if head.after is None and not head.recipe  # others differ in how they are trained
    }
    smallest = _smallest_value(backbone, image_size, normed=normed)
    picky = [name for name, entry in entries.items() if entry.cls.needs_non_negative]
    size = backbone.map_size(image_size)
    return [
        *same_functions(asked, size, non_negative=smallest >= 0),
        *negative_inputs(picky, smallest, normed=normed),
    ]


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
