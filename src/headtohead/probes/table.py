"""The probes: those that come with headtohead, and those of the user's own that a study names."""

from typing import Any, get_args

from headtohead.config.study import StudySpec
from headtohead.core.errors import UsageError
from headtohead.core.own_code import own_instance
from headtohead.probes.base import Need, Probe
from headtohead.probes.class_maps import CLASS_MAPS
from headtohead.probes.costs import COSTS
from headtohead.probes.predictions import PREDICTIONS
from headtohead.probes.probe_images import MASKS, PICTURES
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
    probe: Probe[Any] = own_instance("probe", entry, ("name", "needs", "collect", "describe"))
    known = get_args(Need)
    if unknown := sorted(set(probe.needs) - set(known)):
        raise UsageError(f"probe {entry!r} needs {unknown[0]!r}; choose from {', '.join(known)}.")
    return probe
