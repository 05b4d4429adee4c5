"""The heads that can be compared, in words and numbers."""

import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from headtohead.backbones.counting import multiply_adds
from headtohead.backbones.table import build_backbone
from headtohead.config.images import LARGEST
from headtohead.core.errors import UsageError
from headtohead.heads.base import Head
from headtohead.heads.classifier import Classifier, outputs_for
from headtohead.heads.table import FAMILIES, build_head, head_entry, own_options
from headtohead.store.records import Parameters

MapShape = tuple[int, int, int]
"""Channels, height and width of feature maps."""


@dataclass(frozen=True)
class HeadFacts:
    """What a head is at one size. `refusal`: why it cannot be had there, else None."""

    name: str
    parameters: int = 0
    multiply_adds: int = 0
    class_maps: str = ""
    refusal: str | None = None


def head_facts(name: str, maps: MapShape, outputs: int) -> HeadFacts:
    """Parameters, multiply-adds for one image, and kind of class maps, on `maps`.

    Raises UsageError for an unknown head.
    """
    entry = head_entry(name)
    channels, *size = maps
    try:
        head = build_head(name, channels, (size[0], size[1]), outputs)
    except UsageError as error:
        return HeadFacts(name, class_maps=class_maps_of(entry.cls), refusal=str(error))
    features = torch.zeros(1, *maps)
    counted = multiply_adds(head, features)
    with torch.no_grad():
        mapped = head.class_maps(features) is not None
    return HeadFacts(
        name,
        sum(p.numel() for p in head.parameters()),
        counted,
        class_maps_of(entry.cls) if mapped else "none",
    )


def class_maps_of(cls: type[Head]) -> str:
    """`exact`, `fixed attention` (see `Head`), or `none`."""
    if cls.class_maps is Head.class_maps:
        return "none"
    return "fixed attention" if cls.fixed_attention else "exact"


MOST_CLASSES = 100_000
MOST_VALUES = 10_000_000
"""Of one image's feature maps."""
"""Above it a head is larger than memory, and no set of images has so many."""


def head_parameters(name: str, image_size: int, classes: int) -> tuple[Parameters, str]:
    """Parameter counts of head `name` on the tutorial's backbone, and the feature maps' shape.

    Raises UsageError for an unknown head, fewer than two classes, or images too small for the
    backbone or larger than a study's.
    """
    _check_sizes(image_size, classes)
    backbone = build_backbone("tutorial_cnn")
    size = backbone.map_size(image_size)
    head = build_head(name, backbone.channels, size, outputs_for(classes))
    maps = f"{backbone.channels} × {size[0]} × {size[1]}"
    return Classifier(backbone, head).parameters_count(), maps


def _check_sizes(image_size: int, classes: int) -> None:
    if not 2 <= classes <= MOST_CLASSES:
        raise UsageError(f"--classes is a number from 2 to {MOST_CLASSES}; received {classes}.")
    if not 8 <= image_size <= LARGEST:
        raise UsageError(f"--image-size is a side from 8 to {LARGEST}; received {image_size}.")


def head_options(name: str) -> dict[str, Any]:
    """The options that head `name` takes, and the value of each, as JSON has it.

    An option without a default is left out. Raises UsageError for an unknown head.
    """
    entry = head_entry(name)
    own = own_options(entry.cls).values()
    defaults = {p.name: p.default for p in own if p.default is not inspect.Parameter.empty}
    options: dict[str, Any] = json.loads(json.dumps({**defaults, **entry.options}, default=str))
    return options


def heads(
    name: str | None = None,
    *,
    image_size: int = 100,
    classes: int = 2,
    maps: str | Sequence[int] | None = None,
) -> str:
    """A table of all heads by family, or a description of one, as `headtohead heads` prints it.

    Sizes are those on the feature maps `maps` ("1280x7x7": channels, height, width), by default
    the tutorial's backbone's for square images of `image_size` pixels. `name` may be a head of
    one's own, `module:Class`. Raises UsageError for an unknown head, maps that are none, fewer than
    two classes, and images too small for the backbone or larger than a study's.
    """
    _check_sizes(image_size, classes)
    shape = _maps_from(maps, image_size)
    if name is not None:
        return _describe(name, shape, classes)
    shown = f"{shape[0]} × {shape[1]} × {shape[2]}"
    header = ("head", "parameters", "multiply-adds", "class maps", "formula", "source")
    rows: list[tuple[str, ...]] = []
    breaks: dict[int, str] = {}
    for family, entries in FAMILIES.items():
        breaks[len(rows)] = family
        for known, entry in entries.items():
            facts = head_facts(known, shape, outputs_for(classes))
            sizes = (f"{facts.parameters:,}", f"{facts.multiply_adds:,}")
            counted = sizes if facts.refusal is None else ("-", "-")
            rows.append((known, *counted, facts.class_maps, entry.formula, entry.source))
    lines = [f"On feature maps of {shown}, {classes} classes; - : not on maps of this size.", ""]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines.append(_row(header, widths))
    for index, row in enumerate(rows):
        if index in breaks:
            lines += ["", breaks[index].upper()]
        lines.append(_row(row, widths))
    return "\n".join([*lines, "", "headtohead heads NAME describes one."])


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    aligned = [
        f"{cell:>{width}}" if column in (1, 2) else f"{cell:<{width}}"
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(aligned).rstrip()


def _maps_from(maps: str | Sequence[int] | None, image_size: int) -> MapShape:
    if maps is None:
        backbone = build_backbone("tutorial_cnn")
        return backbone.channels, *backbone.map_size(image_size)
    parts = maps.replace("×", "x").split("x") if isinstance(maps, str) else list(maps)
    try:
        channels, height, width = (int(part) for part in parts)
    except ValueError:
        channels = height = width = 0
    if min(channels, height, width) < 1:
        raise UsageError(
            f"maps are channels x height x width, as 1280x7x7; received {maps!r}."
        ) from None
    if channels * height * width > MOST_VALUES:
        raise UsageError(
            f"maps of more than {MOST_VALUES:,} values are those of no backbone; received {maps!r}."
        )
    return channels, height, width


def _describe(name: str, maps: MapShape, classes: int) -> str:
    entry = head_entry(name)
    facts = head_facts(name, maps, outputs_for(classes))
    if facts.refusal is not None:
        raise UsageError(facts.refusal)
    options = ", ".join(f"{key}={value}" for key, value in head_options(name).items()) or "none"
    lines = {
        "formula": entry.formula,
        "use it when": entry.when,
        "options": options,
        "parameters": f"{facts.parameters:,} on {maps[0]} × {maps[1]} × {maps[2]} feature maps, "
        f"{classes} classes" + (f"; {entry.parameters}" if entry.parameters else ""),
        "multiply-adds": f"{facts.multiply_adds:,} for an image",
        "class maps": facts.class_maps,
        "invariances": _invariances(entry.cls),
        "source": entry.source,
        "class": f"{entry.cls.__module__}:{entry.cls.__qualname__}",
    }
    described = "\n".join(f"{key:<14} {value}" for key, value in lines.items() if value)
    return f"{name}: {entry.summary}\n\n{inspect.getdoc(entry.cls) or ''}\n\n{described}"


def _invariances(cls: type[Head]) -> str:
    claims = {"permutation": cls.permutation_invariant, "translation": cls.translation_invariant}
    if None in claims.values():
        return ""
    return ", ".join(name for name, held in claims.items() if held) or "none: it sees places"
