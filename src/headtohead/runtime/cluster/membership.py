"""The machines of a Ray cluster: who is there, of which kind, what each has, who is left out."""

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray

import headtohead
from headtohead.core.errors import RunError, StorageError, UsageError, brief
from headtohead.data.feature_cache import key_of
from headtohead.data.prepared import MANIFEST
from headtohead.runtime.cluster import file_sets, node
from headtohead.runtime.cluster.file_sets import FileSet, on
from headtohead.runtime.cluster.placement import ClusterMachine, Kind, kind_of, seed_of
from headtohead.runtime.jobs import AnyJob
from headtohead.store.ledger import Ledger

REFRESH = 5.0
"""Seconds between two looks at who is there."""

ANSWER = 60.0
"""Seconds that a machine may take to say what it is."""

ABSENT = 60.0
"""Seconds without any machine after which a study ends: a new one may come."""

FETCHES = 3
"""Times that a machine may fail to say what it is, or to fetch what it needs."""

STILL = 180.0
"""Seconds in which a machine that fetches, or hashes, must get on: it is asked anew then."""


@dataclass
class KnownMachine(ClusterMachine):
    """A machine that said what it is.

    `places` are the folders of what it has (see `file_sets`), by their place in a cache; `out` says
    whether it sees the ledger's own folder, `shares` whether it sees the driver's own cache.
    """

    host: str = ""
    cores: float = 0.0
    cache: str = ""
    out: bool = False
    shares: bool = False
    places: dict[str, str] = field(default_factory=dict)


@dataclass
class Asked:
    """What a machine was asked: what it is, or (where a place is named) to fetch, or to hash."""

    machine: str
    place: str = ""
    hashing: bool = False
    heard: float = field(default_factory=lambda: time.monotonic())


class Membership:
    """Keeps the list of machines. `note` is told once of each that is left out, and why."""

    def __init__(self, setup: dict[str, Any], note: Callable[[str], None]) -> None:
        self._setup, self._note = setup, note
        self._me = ray.get_runtime_context().get_node_id()
        self._members: dict[str, KnownMachine] = {}
        self._kinds: dict[str, Kind] = {}
        self._left_out: dict[str, str] = {}
        self._disk = self._lost = False
        self._failures: Counter[tuple[str, str]] = Counter()
        self._pending: dict[Any, Asked] = {}
        self._file_sets: dict[str, FileSet] = {}
        self._sources: dict[str, list[tuple[str, str]]] = {}
        self._computing: dict[str, tuple[str, str]] = {}
        self._refreshed, self._seen = 0.0, time.monotonic()
        self._nodes: dict[str, dict[str, Any]] = {}
        self._device = self._choose_device()
        self._frozen: Ledger | None = None
        prepared = Path(setup["prepared"])
        self._prepared = f"prepared/{prepared.name}"
        self._needs = {self._prepared: (str(prepared), MANIFEST)}
        self._weights = None
        if setup["weights"] is not None:
            file, digest = Path(setup["weights"]), setup["question"]["backbone"]["weights_sha256"]
            self._weights = f"weights/{digest}/{file.name}"
            self._needs[self._weights] = str(file.parent), file.name
        for place, (folder, _) in self._needs.items():
            self._sources[place] = [(self._me, folder)]

    def _choose_device(self) -> str:
        self._nodes = {found["NodeID"]: found for found in ray.nodes() if found["Alive"]}
        gpus = any(found["Resources"].get("GPU") for found in self._nodes.values())
        device = str(self._setup["device"])
        device = ("cuda" if gpus else "cpu") if device == "auto" else device
        if device not in ("cpu", "cuda"):
            raise UsageError(
                f"device {device!r}: on a cluster use auto, cpu or cuda; Ray chooses which."
            )
        if device == "cuda" and not gpus:
            raise UsageError(
                "device 'cuda': no machine of the cluster has a GPU. Use --device cpu."
            )
        if device == "cpu" and "tf32" in self._setup["question"]["precisions"]:
            raise UsageError(
                "precision 'tf32' needs an NVIDIA GPU; received 'cpu' as the cluster's "
                "device. Use --precision float32, or bf16."
            )
        return device

    @property
    def on_gpu(self) -> bool:
        """Whether runs are trained on GPUs."""
        return self._device == "cuda"

    @property
    def pending(self) -> list[Any]:
        """What was asked of machines and is not answered."""
        return list(self._pending)

    def study(self, ledger: Ledger) -> None:
        """The study whose runs are to be done now."""
        self._frozen = ledger if ledger.file.study.backbone.frozen else None

    def refresh(self) -> None:
        """See who came, who went and who does not answer."""
        now = time.monotonic()
        if now - self._refreshed < REFRESH:
            return
        self._refreshed = now
        self._nodes = {found["NodeID"]: found for found in ray.nodes() if found["Alive"]}
        if self._members:
            self._seen = now
        for gone in self._members.keys() - self._nodes.keys():
            self._forget(self._members.pop(gone))
            self._lost = True
        asked = {asked.machine for asked in self._pending.values() if not asked.place}
        for new in self._nodes.keys() - self._members.keys() - asked - self._left_out.keys():
            if self._slots(self._nodes[new]):
                self._ask(new)
        for ref, waited in list(self._pending.items()):
            if now - waited.heard > (STILL if waited.place else ANSWER):
                self._drop(ref)
                self._failed(waited, "does not answer", times=FETCHES if waited.place else 1)
        for member in self._members.values():
            for place in self._needs.keys() - member.places.keys():
                self._fetch(member, place, member.cache)

    def _slots(self, found: dict[str, Any]) -> int:
        """How many runs the machine can do at once."""
        has, per_run = found["Resources"], self._setup["per_run"]
        counts = [has.get("CPU", 0) / per_run["cores"]]
        if self.on_gpu:
            whole, share = has.get("GPU", 0), per_run["gpus"]  # no run has parts of two GPUs
            counts.append(whole * int(1 / share + 1e-9) if share < 1 else whole / share)
        if per_run["memory"]:
            counts.append(has.get("memory", 0) / (per_run["memory"] * 2**30))
        return int(min(counts) + 1e-9)

    def _ask(self, machine: str) -> None:
        asked = {
            "device": self._device,
            "cache": self._setup["cache"],
            "tokens": self._setup["tokens"],
            "secret": self._setup["secret"],
            "shared": self._setup["shared"],
            "places": self._needs,
        }
        self._pending[_task(node.look, machine).remote(asked)] = Asked(machine)

    def settle(self, ref: Any) -> None:
        """Take an answer, or a sign that a task gets on."""
        if (asked := self._pending.get(ref)) is None:
            return  # it was given up meanwhile
        machine, place = asked.machine, asked.place
        found = self._nodes.get(machine)
        if found is None or (place and not asked.hashing and machine not in self._members):
            self._drop(ref)  # it is gone, or left out
            return
        try:
            answer = ray.get(next(ref) if place else ref)
        except (OSError, StorageError, StopIteration, ray.exceptions.RayError) as error:
            del self._pending[ref]
            why = brief(str(getattr(error, "cause", error)), 300)
            if isinstance(error, (OSError, StorageError)) and not asked.hashing:
                self.leave_out(machine, why, disk=True)
            else:
                self._failed(asked, f"cannot fetch {place}: {why}" if place else why)
            return
        asked.heard = time.monotonic()
        if answer is None:
            return
        del self._pending[ref]
        del self._failures[machine, place]
        if asked.hashing:
            self._file_sets[place] = answer
        elif place:
            self._have(self._members[machine], place, answer)
            return
        else:
            self._welcome(machine, found, answer)
        self._refreshed = 0.0  # what it lacks is fetched at once

    def _drop(self, ref: Any) -> None:
        ray.cancel(ref, force=True)
        del self._pending[ref]

    def _failed(self, asked: Asked, why: str, times: int = FETCHES) -> None:
        """It is asked again so many `times`, then left out; hashing is asked of others."""
        machine, place = asked.machine, asked.place
        self._failures[machine, place] += 1
        if self._failures[machine, place] < times:
            return
        if not asked.hashing:
            self.leave_out(machine, why)
            return
        self._sources[place] = [source for source in self._sources[place] if source[0] != machine]
        if not self._sources[place] and place in self._needs:
            raise RunError(f"cannot read {place} to send it to the cluster's machines: {why}")

    def _welcome(self, machine: str, found: dict[str, Any], answer: dict[str, Any]) -> None:
        version = answer["version"]
        if version != headtohead.__version__:
            self.leave_out(machine, f"has headtohead {version}, not {headtohead.__version__}")
            return
        kind = self._kinds[machine] = kind_of(answer["environment"])
        member = self._members[machine] = KnownMachine(
            machine,
            kind,
            self._slots(found),
            host=answer["host"],
            cores=found["Resources"]["CPU"],
            cache=answer["cache"],
            out="out" in answer["sees"],
            shares="cache" in answer["sees"],
        )
        for place, folder in answer["has"].items():
            self._have(member, place, folder)

    def _have(self, member: KnownMachine, place: str, folder: str) -> None:
        member.places[place] = folder
        sources = self._sources.setdefault(place, [])
        if (member.id, folder) not in sources:
            sources.append((member.id, folder))

    def _fetch(self, member: KnownMachine, place: str, cache: str) -> None:
        """Ask `member` to fetch, unless it does, or too many do: sources double as they fetch."""
        at_it = [asked.machine for asked in self._pending.values() if asked.place == place]
        sources = self._sources[place]
        if member.id in at_it or len(at_it) >= 2 * len(sources):
            return
        if place not in self._file_sets:
            if not at_it:
                machine, folder = sources[0]
                name = Path(place).name if place == self._weights else None
                ref = _task(file_sets.hashed, machine, streams=True).remote(place, folder, name)
                self._pending[ref] = Asked(machine, place, hashing=True)
            return
        start = (len(at_it) + self._failures[member.id, place]) % len(sources)
        ordered = [*sources[start:], *sources[:start]]
        fetching = _task(file_sets.fetch, member.id, streams=True)
        ref = fetching.remote(self._file_sets[place], cache, ordered)
        self._pending[ref] = Asked(member.id, place)

    def usable(self) -> list[KnownMachine]:
        """Machines that can do a job now, or when one of theirs is over."""
        return [m for m in self._members.values() if self._needs.keys() <= m.places.keys()]

    def kinds(self) -> Collection[Kind]:
        """Of the machines that are there, also of those that fetch, or are asked again."""
        there = self._nodes.keys() - self._left_out.keys()
        return {self._kinds[machine] for machine in there & self._kinds.keys()}

    def wait(self) -> None:
        """Until every machine that is there has said what it is, or does not answer."""
        self.refresh()
        while unanswered := [ref for ref, asked in self._pending.items() if not asked.place]:
            for ref in ray.wait(unanswered, timeout=1)[0]:
                self.settle(ref)
            self.refresh()

    def able(self, job: AnyJob, member: KnownMachine) -> bool:
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

    def begin(self, job: AnyJob, member: KnownMachine) -> None:
        """`member` is given `job`: what is not there for it yet, it computes."""
        if self._frozen is not None:
            place = self._place(seed_of(job))
            if place not in member.places:
                self._computing[place] = self._cache_of(member)

    def features_ready(self, seed: int, member: KnownMachine) -> None:
        """A run of the seed has begun on `member`: its features are complete there."""
        if self._frozen is None:
            return
        place = self._place(seed)
        where = self._computing.pop(place, self._cache_of(member))
        for other in self.usable():
            if place not in other.places and self._cache_of(other) == where:
                self._have(other, place, f"{where[1]}/{place}")

    def not_computing(self, seed: int) -> None:
        """No run of the seed goes on: where its features are not complete, any may compute them."""
        if self._frozen is not None:
            self._computing.pop(self._place(seed), None)

    def _place(self, seed: int) -> str:
        assert self._frozen is not None  # noqa: S101 - the callers ask
        file = self._frozen.file
        key = key_of(file.study, file.prepared, seed=seed, device=self._device)
        place = f"features/{key.digest()}"
        mine = Path(self._setup["prepared"]).parents[1] / place
        if place not in self._sources and mine.is_dir():
            self._sources[place] = [(self._me, str(mine))]
        return place

    def _cache_of(self, member: KnownMachine) -> tuple[str, str]:
        """Where `member` keeps features: its host, none where all share it, and the folder.

        The same path alone says nothing: it may be another disk on each machine.
        """
        prepared = member.places[self._prepared]
        shared = member.shares and prepared == self._setup["prepared"]
        host = "" if shared else member.host
        return host, str(Path(prepared).parents[1])

    def order(self, member: KnownMachine) -> dict[str, Any]:
        """What `member` is told with every job."""
        question = {**self._setup["question"], "device": self._device, "workers": 1}
        if self._weights is not None:
            question["backbone"] = {**question["backbone"], "weights": self.weights(member)}
        return {
            "question": question,
            "cache": member.cache,
            "setup": {
                "device": "cuda:0" if self.on_gpu else "cpu",
                "deterministic": self._setup["question"]["deterministic"],
                "prepared": member.places[self._prepared],
            },
        }

    def weights(self, member: KnownMachine) -> str | None:
        """The backbone's weights as `member` finds them; None for random ones."""
        if self._weights is None:
            named: str | None = self._setup["question"]["backbone"].get("weights")
            return named
        return f"{member.places[self._weights]}/{Path(self._weights).name}"

    def wait_longer(self, seconds: float) -> None:
        """So long nobody was listened to."""
        self._seen += seconds
        for asked in self._pending.values():
            asked.heard += seconds

    def look_again(self) -> None:
        """Something died: see at once who is still there."""
        self._refreshed = 0.0

    def ask_again(self, member: KnownMachine) -> None:
        """`member` may have no room, or be gone: it says again what it is before it gets a job."""
        if self._members.pop(member.id, None) is not None:
            self._forget(member)

    def leave_out(self, machine: str, why: str, *, disk: bool = False) -> None:
        """No more jobs for that machine; `disk` says whether its disk is the reason."""
        if machine in self._left_out:
            return
        member = self._members.pop(machine, None)
        known = self._nodes.get(machine, {})
        host = member.host if member else known.get("NodeManagerHostname", machine)
        self._left_out[machine] = f"{host} {why}"
        self._disk = self._disk or disk
        self._note(f"{host} is left out: it {why}")
        if member is not None:
            self._forget(member)

    def _forget(self, member: KnownMachine) -> None:
        """It is gone: what it was computing is computed elsewhere, and nothing fetched from it.

        Not so this process's own machine, which only does no jobs: from it the others get images.
        """
        for place, sources in self._sources.items():
            if member.id != self._me:
                self._sources[place] = [source for source in sources if source[0] != member.id]
        there = {self._cache_of(m) for m in self.usable()}
        self._computing = {p: where for p, where in self._computing.items() if where in there}

    def check_hope(self) -> None:
        """Raises RunError or StorageError where no machine can do any job, nor will soon.

        Where one that could is gone, another may come: a cloud takes machines away and gives them.
        """
        now = time.monotonic()
        if self.usable() or self._pending:
            self._seen = now
        elif now - self._seen > ABSENT or (
            not self._lost and self._nodes.keys() <= self._left_out.keys()
        ):
            reasons = "; ".join(self._left_out.values())
            kind = StorageError if self._disk else RunError
            raise kind(
                f"no machine of the Ray cluster can train a run"
                f"{': ' + reasons if reasons else ', with what --per-run asks for'}. Start one "
                f"that can, then give the same command again: what is finished is kept."
            )


def _task(function: Callable[..., Any], machine: str, *, streams: bool = False) -> Any:
    """A task for that machine, which takes none of its cores."""
    returns = {"num_returns": "streaming"} if streams else {}
    options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": on(machine), **returns}
    return ray.remote(function).options(**options)
