"""The machines of a Ray cluster: who is there, of which kind, who is left out."""

import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import ray

import headtohead
from headtohead.core.errors import RunError, StorageError, UsageError, brief
from headtohead.runtime.cluster import node
from headtohead.runtime.cluster.placement import ClusterMachine, Kind, kind_of
from headtohead.runtime.cluster.stock import Asked, Asking, Stock

REFRESH = 5.0
"""Seconds between two looks at who is there."""

ANSWER = 120.0
"""Seconds that a machine may take to say what it is: Ray starts a worker late on a busy one."""

ABSENT = 60.0
"""Seconds without any machine after which a study ends: a new one may come."""

FETCHES = 3
"""Times that a machine may fail to say what it is, to fetch what it needs, or to begin a run."""

STILL = 180.0
"""Seconds in which a machine that fetches, or hashes, must get on: it is asked anew then."""


class Membership:
    """Keeps the list of machines. `note` is told once of each that is left out, and why."""

    def __init__(self, setup: dict[str, Any], note: Callable[[str], None]) -> None:
        self._setup, self._note = setup, note
        self._members: dict[str, ClusterMachine] = {}
        self._doubted: set[str] = set()
        self._left_out: dict[str, str] = {}
        self._unbegun: Counter[str] = Counter()
        self._disk = self._lost = False
        self._refreshed, self._seen = 0.0, time.monotonic()
        self._nodes: dict[str, dict[str, Any]] = {}
        self._device = self._choose_device()
        self._asking = Asking()
        me = ray.get_runtime_context().get_node_id()
        self.stock = Stock(setup, me, self._device, self._asking)

    def _choose_device(self) -> str:
        self._nodes = {found["NodeID"]: found for found in ray.nodes() if found["Alive"]}
        gpus = any(found["Resources"].get("GPU") for found in self._nodes.values())
        device = str(self._setup["question"]["device"])
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
        return list(self._asking.open)

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
            self._drop(gone)
            self._lost = True
        asked = {asked.machine for asked in self._asking.open.values() if not asked.place}
        known = (self._members.keys() - self._doubted) | asked | self._left_out.keys()
        for machine in self._nodes.keys() - known:
            if self._slots(self._nodes[machine]):
                self._ask(machine)
        for ref, waited in list(self._asking.open.items()):
            if now - waited.heard > (STILL if waited.place else ANSWER):
                self._asking.drop(ref)
                self._failed(waited, "does not answer", times=FETCHES if waited.place else 1)
        for member in self._members.values():
            self.stock.supply(member)

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
        asked = {**self._setup, "device": self._device, "places": self.stock.needs}
        self._asking.ask(Asked(machine), node.look, asked)

    def settle(self, ref: Any) -> None:
        """Take an answer, or a sign that a task gets on."""
        if (asked := self._asking.open.get(ref)) is None:
            return  # it was given up meanwhile
        machine, place = asked.machine, asked.place
        found = self._nodes.get(machine)
        if found is None or (place and not asked.hashing and machine not in self._members):
            self._asking.drop(ref)  # it is gone, or left out
            return
        try:
            answer = ray.get(next(ref))
        except (OSError, StorageError, StopIteration, ray.exceptions.RayError) as error:
            del self._asking.open[ref]
            why = brief(str(getattr(error, "cause", error)), 300)
            if isinstance(error, (OSError, StorageError)) and not asked.hashing:
                self.leave_out(machine, why, disk=True)
            else:
                what = f"cannot fetch {place}" if place else "does not answer"
                self._failed(asked, f"{what}: {why}")
            return
        asked.heard = time.monotonic()
        if answer is None:
            return
        del self._asking.open[ref]
        del self._asking.failures[machine, place]
        if asked.hashing:
            self.stock.hashed(answer)
        elif place:
            self.stock.have(self._members[machine], place, answer)
            return
        else:
            self._welcome(machine, found, answer)
        self._refreshed = 0.0  # what it lacks is fetched at once

    def _failed(self, asked: Asked, why: str, times: int = FETCHES) -> None:
        """It is asked again so many `times`, then left out; hashing is asked of others."""
        if self._asking.fails(asked) < times:
            return
        if asked.hashing:
            self.stock.cannot_read(asked.machine, asked.place, why)
        else:
            self.leave_out(asked.machine, why)

    def _welcome(self, machine: str, found: dict[str, Any], answer: dict[str, Any]) -> None:
        version = answer["version"]
        if machine in self._left_out:  # a run that it still had met a full disk meanwhile
            return
        if version != headtohead.__version__:
            self.leave_out(machine, f"has headtohead {version}, not {headtohead.__version__}")
            return
        self._doubted.discard(machine)
        member = self._members[machine] = ClusterMachine(
            machine,
            kind_of(answer["environment"]),
            self._slots(found),
            host=answer["host"],
            cores=found["Resources"]["CPU"],
            cache=answer["cache"],
            out="out" in answer["sees"],
            shares="cache" in answer["sees"],
        )
        for place, folder in answer["has"].items():
            self.stock.have(member, place, folder)

    def usable(self) -> list[ClusterMachine]:
        """Machines that can do a job now, or when one of theirs is over."""
        return [member for member in self.complete() if member.id not in self._doubted]

    def complete(self) -> list[ClusterMachine]:
        """Machines that have what every job reads, also those that are asked again."""
        return [member for member in self._members.values() if self.stock.is_complete(member)]

    def kinds(self) -> Collection[Kind]:
        """Of the machines that are there, also of those that fetch, or are asked again."""
        return {member.kind for member in self._members.values()}

    def wait(self) -> None:
        """Until every machine that is there has said what it is, or does not answer."""
        self.refresh()
        while unanswered := [ref for ref, asked in self._asking.open.items() if not asked.place]:
            for ref in ray.wait(unanswered, timeout=1)[0]:
                self.settle(ref)
            self.refresh()

    def order(self, member: ClusterMachine) -> dict[str, Any]:
        """What `member` is told with every job."""
        question = {**self._setup["question"], "device": self._device, "workers": 1}
        weights = self.stock.weights(member)
        question["backbone"] = {**question["backbone"], "weights": weights}
        return {
            "question": question,
            "cache": member.cache,
            "setup": {
                "device": "cuda:0" if self.on_gpu else "cpu",
                "deterministic": self._setup["question"]["deterministic"],
                "prepared": self.stock.prepared(member),
            },
        }

    def wait_longer(self, seconds: float) -> None:
        """So long nobody was listened to."""
        self._seen += seconds
        for asked in self._asking.open.values():
            asked.heard += seconds

    def look_again(self) -> None:
        """Something died: see at once who is still there."""
        self._refreshed = 0.0

    def ask_again(self, member: ClusterMachine, died: str | None = None) -> None:
        """`member` may have no room, or be gone: it says again what it is before it gets a job.

        `died` says how its worker ended where one died before its job began: where that comes
        again and again, and no job begins, the machine is left out.
        """
        if member.id not in self._members.keys() - self._doubted:
            return
        self._doubted.add(member.id)
        self._unbegun[member.id] += died is not None
        if self._unbegun[member.id] >= FETCHES:
            self.leave_out(member.id, f"ends every run before it begins: {died}")

    def began(self, member: ClusterMachine) -> None:
        """A job began there."""
        del self._unbegun[member.id]

    def leave_out(self, machine: str, why: str, *, disk: bool = False) -> None:
        """No more jobs for that machine; `disk` says whether its disk is the reason."""
        if machine in self._left_out:
            return
        member = self._drop(machine)
        known = self._nodes.get(machine, {})
        host = member.host if member else known.get("NodeManagerHostname", machine)
        self._left_out[machine] = f"{host} {why}"
        self._disk = self._disk or disk
        self._note(f"{host} is left out: it {why}")

    def _drop(self, machine: str) -> ClusterMachine | None:
        """It is gone, or left out; what was known of it where it was a member."""
        member = self._members.pop(machine, None)
        if member is not None:
            self._doubted.discard(machine)
            self.stock.forget(machine, self.complete())
        return member

    def check_hope(self) -> None:
        """Raises RunError or StorageError where no machine can do any job, nor will soon.

        Where one that could is gone, another may come: a cloud takes machines away and gives them.
        """
        now = time.monotonic()
        if self.usable() or self._asking.open:
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
