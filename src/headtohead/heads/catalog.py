"""The heads that can be compared, in words and numbers."""

import inspect
import json
from typing import Any

from headtohead.backbones.base import ConvolutionBackbone
from headtohead.config.study import LARGEST
from headtohead.core.errors import UsageError
from headtohead.heads.base import HEADS, build_head, head_entry
from headtohead.heads.classifier import Classifier, outputs_for
from headtohead.store.records import Parameters

MOST_CLASSES = 100_000
"""Above it a head is larger than memory, and no set of images has so many."""


def head_parameters(name: str, image_size: int, classes: int) -> tuple[Parameters, str]:
    """Parameter counts of head `name` on the article's backbone, and the feature maps' shape.

    Raises UsageError for an unknown head, fewer than two classes, or pictures too small for the
    backbone or larger than a study's.
    """
    if not 2 <= classes <= MOST_CLASSES:
        raise UsageError(f"--classes is a number from 2 to {MOST_CLASSES}; received {classes}.")
    if not 8 <= image_size <= LARGEST:
        raise UsageError(f"--image-size is a side from 8 to {LARGEST}; received {image_size}.")
    backbone = ConvolutionBackbone()
    size = backbone.map_size(image_size)
    head = build_head(name, backbone.channels, size, outputs_for(classes))
    maps = f"{backbone.channels} × {size[0]} × {size[1]}"
    return Classifier(backbone, head).parameters_count(), maps


def head_options(name: str) -> dict[str, Any]:
    """The options that head `name` takes, and the value of each, as JSON has it.

    An option without a default is left out. Raises UsageError for an unknown head.
    """
    entry = head_entry(name)
    own = list(inspect.signature(entry.cls).parameters.values())[3:]  # after Head's three
    defaults = {p.name: p.default for p in own if p.default is not inspect.Parameter.empty}
    options: dict[str, Any] = json.loads(json.dumps({**defaults, **entry.options}, default=str))
    return options


def heads(name: str | None = None, *, image_size: int = 100, classes: int = 2) -> str:
    """A table of all heads, or a description of one, as `headtohead heads` prints it.

    Parameters are counted on the article's backbone, for square pictures of `image_size` pixels.
    `name` may be a head of one's own, `module:Class`. Raises UsageError for an unknown head or
    pictures too small for the backbone.
    """
    if name is not None:
        return _describe(name, image_size, classes)
    rows = [("head", "parameters", "model in all", "what it is")]
    for known, entry in HEADS.items():
        counts, _ = head_parameters(known, image_size, classes)
        rows.append((known, f"{counts.head:,}", f"{counts.total:,}", entry.summary))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}"
        for row in rows
    )


def _describe(name: str, image_size: int, classes: int) -> str:
    entry = head_entry(name)
    counts, maps = head_parameters(name, image_size, classes)
    options = ", ".join(f"{key}={value}" for key, value in entry.options.items()) or "defaults"
    return (
        f"{name}: {entry.summary}\n\n{(entry.cls.__doc__ or '').strip()}\n\n"
        f"class       {entry.cls.__module__}:{entry.cls.__qualname__} ({options})\n"
        f"takes       {maps} feature maps of {image_size} × {image_size} pictures\n"
        f"parameters  {counts.head:,} in the head; {counts.total:,} in the model, "
        f"batch-norm statistics included"
    )
