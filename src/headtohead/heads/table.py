"""All heads by name: the union of the families' tables."""

import inspect
from collections.abc import Mapping
from typing import Any

from headtohead.core.errors import UsageError, likeliest
from headtohead.core.own_code import imported
from headtohead.heads.attention import ATTENTION
from headtohead.heads.base import Head, HeadEntry
from headtohead.heads.class_map_heads import CLASS_MAP_HEADS
from headtohead.heads.flatten import FLATTEN
from headtohead.heads.gates import GATES
from headtohead.heads.metric import METRIC
from headtohead.heads.ml_decoder import DECODERS
from headtohead.heads.pooling import POOLING
from headtohead.heads.regions import REGIONS
from headtohead.heads.second_order import SECOND_ORDER
from headtohead.heads.soft_pooling import SOFT_POOLING

FAMILIES: dict[str, dict[str, HeadEntry]] = {
    "flatten": FLATTEN,
    "global pools": {**POOLING, **SOFT_POOLING, **REGIONS},
    "class maps first": CLASS_MAP_HEADS,
    "attention": {**ATTENTION, **DECODERS, **GATES},
    "second order and codebooks": SECOND_ORDER,
    "metric": METRIC,
}

HEADS: dict[str, HeadEntry] = {
    name: entry for family in FAMILIES.values() for name, entry in family.items()
}


def head_entry(name: str) -> HeadEntry:
    """The head called `name`, or the class behind `module:Class`.

    Raises UsageError for an unknown name, a module that does not import, and a class that is no
    `Head`. Importing a module runs its code: callers pass on only what the user typed.
    """
    if name in HEADS:
        return HEADS[name]
    if not name.partition(":")[2]:
        raise UsageError(
            f"no head {name!r}.{likeliest(name, HEADS)} There are {', '.join(HEADS)}, and "
            f"module:Class."
        )
    cls = imported("head", name)
    if not (isinstance(cls, type) and issubclass(cls, Head)):
        raise UsageError(f"head {name!r} is not a subclass of headtohead.heads.base.Head.")
    return HeadEntry(cls, {}, (cls.__doc__ or "").partition("\n")[0])


def own_options(cls: type[Head]) -> dict[str, inspect.Parameter]:
    """The options of a head's constructor by name: what follows channels, size and outputs."""
    return {p.name: p for p in list(inspect.signature(cls).parameters.values())[3:]}


def build_head(
    name: str, channels: int, size: tuple[int, int], outputs: int, **options: Any
) -> Head:
    """A head by name for feature maps (N, channels, *size) and `outputs` logits.

    Raises UsageError for an unknown name or option, or maps that the head cannot take.
    """
    return _built(name, head_entry(name), (channels, size, outputs), options)


def build_head_of(
    cls: type[Head], channels: int, size: tuple[int, int], outputs: int, **options: Any
) -> Head:
    """As `build_head`, from the class. Raises UsageError."""
    return _built(cls.__qualname__, HeadEntry(cls), (channels, size, outputs), options)


def _built(
    name: str,
    entry: HeadEntry,
    given: tuple[int, tuple[int, int], int],
    options: Mapping[str, Any],
) -> Head:
    settings = {**entry.options, **options}
    known = own_options(entry.cls)
    catches_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
    if not catches_all and (unknown := [option for option in settings if option not in known]):
        raise UsageError(
            f"head {name} cannot take the option {unknown[0]!r}; it takes "
            f"{', '.join(known) or 'none'}."
        )
    try:
        return entry.cls(*given, **settings)
    except UsageError as error:
        raise UsageError(f"head {name}: {error}") from None
    except TypeError as error:
        raise UsageError(f"head {name} cannot take the options {settings!r}: {error}.") from None
