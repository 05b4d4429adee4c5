"""Which machine of a cluster takes which job. Pure: no Ray, no clock, no disk.

All heads of a seed go to machines of one kind, whose numbers agree to the bit, because differences
are taken within a seed. How many cores a machine has, or how fast they are, is no part of its kind.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from headtohead.runtime.jobs import AnyJob, Job

Kind: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values of the environment that a run's numbers depend on, in order of the names."""

ALIKE = ("torch", "platform", "device", "processor", "kernels")
"""Of `headtohead.store.records.NUMERIC_ENVIRONMENT`, what machines may differ in."""


@dataclass
class ClusterMachine:
    """A machine that said what it is, and how many runs it can do at once; it does `busy` of them.

    `places` are the folders of what it has (see `file_sets`), by their place in a cache; `out` says
    whether it sees the ledger's own folder, `shares` whether it sees the driver's own cache.
    """

    id: str
    kind: Kind
    slots: int
    busy: int = 0
    host: str = ""
    cores: float = 0.0
    cache: str = ""
    out: bool = False
    shares: bool = False
    places: dict[str, str] = field(default_factory=dict)


def kind_of(environment: Mapping[str, str]) -> Kind:
    """The kind of the machine that has this environment."""
    return tuple((name, environment.get(name, "")) for name in ALIKE)


def kind_before(environment: Mapping[str, str], kinds: Collection[Kind]) -> Kind | None:
    """Which of `kinds` did a run that recorded `environment`; None for none of them.

    A run of plain kernels may come from a machine that has the fused ones, too: not every
    backbone has such.
    """
    mine = kind_of(environment)
    if mine in kinds:
        return mine
    fused = kind_of({**environment, "kernels": "fused"})
    return fused if fused in kinds and dict(mine)["kernels"] == "plain" else None


def choose(
    waiting: Sequence[AnyJob],
    running: Collection[AnyJob],
    machines: Collection[ClusterMachine],
    kinds: Collection[Kind],
    bound: Mapping[int, Kind],
    able: Callable[[AnyJob, ClusterMachine], bool],
    died: Mapping[AnyJob, Collection[str]] = MappingProxyType({}),
) -> tuple[AnyJob, ClusterMachine] | None:
    """The next job and the machine for it; None where nothing can be started now.

    `kinds` are all that are there, also of machines that can do no job yet. `bound` says which kind
    has trained, or trains, a seed. A seed whose kind is gone goes to any other: its pairs will be
    flagged. `able` says whether a machine has what a job reads, and `died`
    on which machines it died: others come first, though it wait for them.
    """
    if all(machine.busy >= machine.slots for machine in machines):
        return None
    left = Counter(map(seed_of, waiting))
    for job in _ready(waiting, running):
        seed = seed_of(job)
        if (kind := bound.get(seed)) in kinds:
            alike: Collection[ClusterMachine] = [m for m in machines if m.kind == kind]
        else:
            sound = _preferred(machines, died.get(job, ()))
            worth = set(_worth(left[seed], len(waiting), sound))
            alike = [m for m in machines if m.kind in worth]
        preferred = _preferred(alike, died.get(job, ()))
        free = [m for m in preferred if m.busy < m.slots and able(job, m)]
        if free:
            return job, max(free, key=lambda machine: (machine.slots - machine.busy, machine.id))
    return None


def _preferred(
    machines: Collection[ClusterMachine], died: Collection[str]
) -> Collection[ClusterMachine]:
    """All but those that it died on; all where there are no others."""
    return [machine for machine in machines if machine.id not in died] or machines


def seed_of(job: AnyJob) -> int:
    """The seed of a run; what measures all heads measures them at seed 0."""
    return job.seed if isinstance(job, Job) else 0


def _ready(waiting: Sequence[AnyJob], running: Collection[AnyJob]) -> Iterator[AnyJob]:
    """Jobs that wait for no other, in their order."""
    unfinished = {*waiting, *running}
    for job in waiting:
        before = job.after if isinstance(job, Job) else None
        if before is None or Job(before, seed_of(job)) not in unfinished:
            yield job


def _worth(heads: int, everything: int, machines: Collection[ClusterMachine]) -> Iterator[Kind]:
    """The kinds that a seed with so many `heads` left may be given to, of which no run was done.

    One slow machine of its own kind must not keep all others waiting at the end: it is given a
    seed only where it does the seed's heads before the others have done all that is left. The
    kind with the most slots takes any.
    """
    slots: Counter[Kind] = Counter()
    for machine in machines:
        slots[machine.kind] += machine.slots
    largest = max(slots.values())
    for kind, mine in slots.items():
        if mine == largest or heads * (slots.total() - mine) <= everything * mine:
            yield kind
