"""The probes: those that come with headtohead, and those of the user's own that a study names."""

import importlib
import re
from collections.abc import Sequence
from typing import Any, get_args

from headtohead.config.study import NAME, StudySpec
from headtohead.core.errors import UsageError
from headtohead.probes.base import Need, Probe
from headtohead.probes.class_maps import CLASS_MAPS
from headtohead.probes.costs import COSTS
from headtohead.probes.images import MASKS, PICTURES
from headtohead.probes.predictions import PREDICTIONS
from headtohead.probes.speed import SPEED
from headtohead.probes.translation import TRANSLATION

PROBES: tuple[Probe[Any], ...] = (PREDICTIONS, COSTS, CLASS_MAPS, TRANSLATION, SPEED)
"""What every study is asked for. The stage, the workers and the report follow from it."""


def probes_of(study: StudySpec) -> tuple[Probe[Any], ...]:
    """The shipped probes and the study's own.

    Raises UsageError for one that cannot be imported, is no probe or has a name that is taken.
    Importing a module runs its code: a study's `probes` are those that the user's command named.
    """
    found = [*PROBES]
    for entry in study.probes:
        probe = _own_probe(entry)
        if probe.name in {PICTURES, MASKS, *(known.name for known in found)}:
            raise UsageError(f"probe {entry!r}: the name {probe.name!r} is taken; choose another.")
        found.append(probe)
    return tuple(found)


def probe_named(study: StudySpec, name: str) -> Probe[Any]:
    """One of the study's probes; raises as `probes_of` does, and KeyError for an unknown name."""
    return {probe.name: probe for probe in probes_of(study)}[name]


def _own_probe(entry: str) -> Probe[Any]:
    module, _, attribute = entry.partition(":")
    try:
        probe = getattr(importlib.import_module(module), attribute)()
    except Exception as error:  # the user's code runs here, and may fail in any way
        raise UsageError(
            f"probe {entry!r} could not be imported: {error}. Expected module:Class, with the "
            f"module in the current folder or installed."
        ) from error
    if missing := _missing(probe):
        raise UsageError(
            f"probe {entry!r} has no {', '.join(missing)}: a probe has a name, needs, collect and "
            f"describe, see headtohead.probes.base.Probe."
        )
    if not (isinstance(probe.name, str) and re.fullmatch(NAME, probe.name)):
        raise UsageError(
            f"probe {entry!r} cannot be called {probe.name!r}: its name is a folder; use letters, "
            f"digits and _."
        )
    known = get_args(Need)
    if unknown := sorted(set(probe.needs) - set(known)):
        raise UsageError(f"probe {entry!r} needs {unknown[0]!r}; choose from {', '.join(known)}.")
    return probe  # type: ignore[no-any-return]


def _missing(probe: object) -> Sequence[str]:
    parts = ("name", "needs", "collect", "describe")
    return [part for part in parts if not hasattr(probe, part)]
