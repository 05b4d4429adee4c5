"""The backbones that can be named, in words and numbers: `headtohead backbones`."""

from importlib.util import find_spec
from pathlib import PurePath

import torch

from headtohead.backbones.base import Backbone
from headtohead.backbones.counting import multiply_adds
from headtohead.backbones.table import BACKBONES, FAMILIES, resolve
from headtohead.backbones.weights import network_of
from headtohead.config.backbone import ALIASES, BackboneSpec
from headtohead.core.errors import UsageError
from headtohead.core.text import MEGA

MOST_LISTED = 60

NO_LICENCE = "not known: look it up before you hand a model on"


def backbones(
    name: str | None = None,
    *,
    image_size: int | None = None,
    weights: str | None = None,
    weights_match: str | None = None,
) -> str:
    """A list of backbones, or a description of one, as `headtohead backbones` prints it.

    `name` is a backbone's, which is described, or a part of some, which are listed. `image_size` is
    the side of square images in pixels; by default the network's own, or 100. Raises UsageError
    where there is nothing of that name, or the backbone takes no such images or weights.
    """
    one = name is not None and _is_one(name)
    if not one and (image_size, weights, weights_match) != (None, None, None):
        raise UsageError(
            f"--image-size and --weights are for the description of one backbone; received "
            f"{'no name' if name is None else repr(name)}: give a backbone's whole name."
        )
    if name is None:
        return _all()
    if one:
        spec = BackboneSpec.model_validate(
            {"name": name, "weights": weights, "weights_match": weights_match or "name"}
        )
        found, backbone, notes = resolve(spec)
        return "\n".join([*describe(found, backbone, image_size), *notes])
    if not (names := _holding(name)):
        raise UsageError(
            f"no backbone's name holds {name!r}: `headtohead backbones` lists the families; timm's "
            f"names take the package timm."
        )
    over = len(names) - MOST_LISTED
    more = f"\n… {over} more: give a longer part of the name" if over > 0 else ""
    return "\n".join(names[:MOST_LISTED]) + more


def describe(spec: BackboneSpec, backbone: Backbone, image_size: int | None = None) -> list[str]:
    """Lines of what `backbone` is: its maps, size, preprocessing, weights and licence."""
    side = int(getattr(backbone, "image_size", 100)) if image_size is None else image_size
    if side < 1:
        raise UsageError(f"--image-size is 1 pixel or more; received {side}.")
    height, width = backbone.map_size(side)
    parameters = sum(p.numel() for p in backbone.parameters())
    images = torch.zeros(1, 3, side, side)
    licence = _licence(spec, backbone)
    unknown = "not known" if spec.weights is None else NO_LICENCE
    read = f"{spec.weights} (SHA-256 {spec.weights_sha256})"
    rows = {
        "maps": f"{backbone.channels} × {height} × {width} of {side} × {side} images",
        "stride": f"{backbone.stride:g} pixels; the first cell is centred on {backbone.first:g}",
        "parameters": f"{parameters:,}",
        "multiply-adds": f"{multiply_adds(backbone, images):,} an image",
        **backbone.preprocessing(),
        "weights": "random" if spec.weights is None else read,
        "trained": spec.training,
        "licence": f"{licence} (of its pretrained weights)" if licence else unknown,
    }
    wide = max(map(len, rows))
    return [spec.name, "", *(f"{topic:<{wide}}  {told}" for topic, told in rows.items())]


def facts(spec: BackboneSpec, backbone: Backbone) -> dict[str, str]:
    """What a report says of a backbone with weights: its preprocessing, and where those are from.

    In words by topic; empty where weights are random and inputs stay as they are. A file is named
    without its folders, which are one machine's own.
    """
    if spec.weights is None and backbone.normalization.is_identity:
        return {}
    found = {f"its {topic}": told for topic, told in backbone.preprocessing().items()}
    if spec.weights is None:
        return {**found, "weights": "random"}
    values = network_of(backbone).state_dict().values()
    size = sum(value.numel() * value.element_size() for value in values)
    own = spec.weights == "pretrained"
    source = "the library's own" if own else f"the file {PurePath(spec.weights).name}"
    return {
        **found,
        "weights": f"{source}, {size / MEGA:,.1f} MB of tensors",
        "SHA-256": spec.weights_sha256 or "not known",
        "licence": _licence(spec, backbone) or NO_LICENCE,
    }


def _licence(spec: BackboneSpec, backbone: Backbone) -> str | None:
    """Of its library's own weights, as timm has it; None where it is not known, as of a file's."""
    if spec.weights not in (None, "pretrained"):
        return None
    found: str | None = getattr(network_of(backbone), "pretrained_cfg", {}).get("license")
    return found


def _is_one(name: str) -> bool:
    """Whether `name` is a backbone's whole name, as far as that is known without building it."""
    family, colon, rest = name.partition(":")
    if family == "timm" and colon:
        from headtohead.backbones.timm import is_timm_model

        return is_timm_model(rest)
    return bool(colon) or name in BACKBONES or name in ALIASES


def _holding(part: str) -> list[str]:
    """All names that hold `part`, which may be `timm:PART`."""
    family, colon, rest = part.lower().partition(":")
    found = [] if colon else [name for name in BACKBONES if family in name]
    if find_spec("timm") is not None and (not colon or family == "timm"):
        from headtohead.backbones.timm import timm_names

        found += [f"timm:{name}" for name in timm_names(rest if colon else family)]
    return found


def _all() -> str:
    lines = [*BACKBONES]
    for family in FAMILIES:
        there = find_spec(family) is not None
        how = "" if there else f"  (pip install 'headtohead[{family}]')"
        lines.append(f"{family}:NAME{how}")
    return "\n".join([*lines, "module:callable  (your own)"])
