"""Which machine of a cluster has which files, who fetches them from whom, and who computes them."""

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray

from headtohead.core.errors import RunError
from headtohead.data.feature_cache import key_of
from headtohead.data.prepared import MANIFEST
from headtohead.runtime.cluster import file_sets
from headtohead.runtime.cluster.file_sets import FileSet, on
from headtohead.runtime.cluster.placement import ClusterMachine, seed_of
from headtohead.runtime.jobs import AnyJob
from headtohead.store.ledger import Ledger


@dataclass
class Asked:
    """What a machine was asked: what it is, or (where a place is named) to fetch, or to hash."""

    machine: str
    place: str = ""
    hashing: bool = False
    heard: float = field(default_factory=lambda: time.monotonic())


class Asking:
    """What machines were asked and have not answered, and how often each failed."""

    def __init__(self) -> None:
        self.open: dict[Any, Asked] = {}
        self.failures: Counter[tuple[str, str]] = Counter()

    def ask(self, asked: Asked, function: Callable[..., Any], *arguments: Any) -> None:
        """By a task for that machine, which takes none of its cores; None means that it gets on."""
        options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": on(asked.machine)}
        task = ray.remote(function).options(num_returns="streaming", **options)
        self.open[task.remote(*arguments)] = asked

    def drop(self, ref: Any) -> None:
        """Nobody waits for the answer any more."""
        ray.cancel(ref, force=True)
        del self.open[ref]

    def fails(self, asked: Asked) -> int:
        """It failed once more; how often in all since it last succeeded."""
        self.failures[asked.machine, asked.place] += 1
        return self.failures[asked.machine, asked.place]


class Stock:
    """Keeps what is where: images, weights and features, by their place in a cache.

    `me` is the machine that this process runs on, which has images and weights from the beginning.
    """

    def __init__(self, setup: dict[str, Any], me: str, device: str, asking: Asking) -> None:
        self._setup, self._me, self._device, self._asking = setup, me, device, asking
        self._file_sets: dict[str, FileSet] = {}
        self._computing: dict[str, tuple[str, str]] = {}
        self._frozen: Ledger | None = None
        self._features: dict[int, str] = {}
        prepared = Path(setup["prepared"])
        self._prepared = f"prepared/{prepared.name}"
        self.needs = {self._prepared: (str(prepared), MANIFEST)}
        self._weights = None
        if setup["weights"] is not None:
            file, digest = Path(setup["weights"]), setup["question"]["backbone"]["weights_sha256"]
            self._weights = f"weights/{digest}/{file.name}"
            self.needs[self._weights] = str(file.parent), file.name
        self._sources = {place: [(me, folder)] for place, (folder, _) in self.needs.items()}

    def study(self, ledger: Ledger) -> None:
        """The study whose runs are to be done now."""
        self._frozen = ledger if ledger.file.study.backbone.frozen else None
        self._features = {}

    def is_complete(self, member: ClusterMachine) -> bool:
        """Whether the machine has what every job reads."""
        return self.needs.keys() <= member.places.keys()

    def supply(self, member: ClusterMachine) -> None:
        """Let the machine fetch what it lacks of that."""
        for place in self.needs.keys() - member.places.keys():
            self._fetch(member, place, member.cache)

    def have(self, member: ClusterMachine, place: str, folder: str) -> None:
        """The machine has it in that folder, and others may fetch it there."""
        member.places[place] = folder
        sources = self._sources.setdefault(place, [])
        if (member.id, folder) not in sources:
            sources.append((member.id, folder))

    def hashed(self, file_set: FileSet) -> None:
        """Now it can be fetched."""
        self._file_sets[file_set.place] = file_set

    def cannot_read(self, machine: str, place: str, why: str) -> None:
        """It is fetched from others. Raises RunError where no other has it."""
        self._sources[place] = [source for source in self._sources[place] if source[0] != machine]
        if not self._sources[place] and place in self.needs:
            raise RunError(f"cannot read {place} to send it to the cluster's machines: {why}")

    def forget(self, machine: str, there: Collection[ClusterMachine]) -> None:
        """It is gone: what it was computing is computed elsewhere, and nothing fetched from it.

        Not so this process's own machine, which only does no jobs: from it the others get images.
        """
        for place, sources in self._sources.items():
            if machine != self._me:
                self._sources[place] = [source for source in sources if source[0] != machine]
        caches = {self._cache_of(member) for member in there}
        self._computing = {p: where for p, where in self._computing.items() if where in caches}

    def _fetch(self, member: ClusterMachine, place: str, cache: str) -> None:
        """Ask `member` to fetch, unless it does, or too many do: sources double as they fetch."""
        at_it = [asked.machine for asked in self._asking.open.values() if asked.place == place]
        sources = self._sources[place]
        if member.id in at_it or len(at_it) >= 2 * len(sources):
            return
        if place not in self._file_sets:
            if not at_it:
                machine, folder = sources[0]
                name = Path(place).name if place == self._weights else None
                asked = Asked(machine, place, hashing=True)
                self._asking.ask(asked, file_sets.hashed, place, folder, name)
            return
        start = (len(at_it) + self._asking.failures[member.id, place]) % len(sources)
        ordered = [*sources[start:], *sources[:start]]
        wanted = self._file_sets[place]
        self._asking.ask(Asked(member.id, place), file_sets.fetch, wanted, cache, ordered)

    def able(self, job: AnyJob, member: ClusterMachine) -> bool:
        """Whether the machine has the features that `job` is trained on, or is to compute them.

        They are computed on one machine and fetched by the others: by which layout of memory a
        backbone is fastest, and so the last bit, is chosen where they are computed.
        """
        if self._frozen is None:
            return True
        place, where = self._place(seed_of(job)), self._cache_of(member)
        if place in member.places:
            return True
        if place in self._computing:
            return self._computing[place] == where
        if self._sources.get(place):
            self._fetch(member, place, where[1])
            return False
        return True

    def begin(self, job: AnyJob, member: ClusterMachine) -> None:
        """`member` is given `job`: what is not there for it yet, it computes."""
        if self._frozen is not None:
            place = self._place(seed_of(job))
            if place not in member.places:
                self._computing[place] = self._cache_of(member)

    def features_ready(
        self, seed: int, member: ClusterMachine, machines: Collection[ClusterMachine]
    ) -> None:
        """A run of the seed has begun on `member`: its features are complete there."""
        if self._frozen is None:
            return
        place = self._place(seed)
        where = self._computing.pop(place, self._cache_of(member))
        for other in machines:
            if place not in other.places and self._cache_of(other) == where:
                self.have(other, place, f"{where[1]}/{place}")

    def ended(self, job: AnyJob, at_work: Collection[AnyJob]) -> None:
        """`job` is over: where none `at_work` has its features, any machine may compute them."""
        if self._frozen is not None:
            place = self._place(seed_of(job))
            if place not in {self._place(seed_of(other)) for other in at_work}:
                self._computing.pop(place, None)

    def _place(self, seed: int) -> str:
        """Of the features of that seed's runs; asked for every job and machine, found once."""
        if seed not in self._features:
            assert self._frozen is not None  # noqa: S101 - the callers ask
            file = self._frozen.file
            key = key_of(file.study, file.prepared, seed=seed, device=self._device)
            place = self._features[seed] = f"features/{key.digest()}"
            mine = Path(self._setup["prepared"]).parents[1] / place
            if place not in self._sources and mine.is_dir():
                self._sources[place] = [(self._me, str(mine))]
        return self._features[seed]

    def _cache_of(self, member: ClusterMachine) -> tuple[str, str]:
        """Where `member` keeps features: its host, none where all share it, and the folder.

        The same path alone says nothing: it may be another disk on each machine.
        """
        prepared = member.places[self._prepared]
        shared = member.shares and prepared == self._setup["prepared"]
        host = "" if shared else member.host
        return host, str(Path(prepared).parents[1])

    def prepared(self, member: ClusterMachine) -> str:
        """The images' folder on that machine."""
        return member.places[self._prepared]

    def weights(self, member: ClusterMachine) -> str | None:
        """The backbone's weights as `member` finds them; None for random ones."""
        if self._weights is None:
            named: str | None = self._setup["question"]["backbone"].get("weights")
            return named
        return f"{member.places[self._weights]}/{Path(self._weights).name}"
