"""The way into a Ray cluster: `python -m headtohead.runtime.cluster.driver`, started by `ray.py`.

A process of its own, because Ray ends a process that has lost its cluster's head. The first line of
its standard input is a setup, each other one {"jobs": [...]}. It says what happens as JSON lines,
with the job's number in its list, then "over". When its standard input closes it ends.
"""

import os
import queue
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import ray

from headtohead.core.errors import HeadToHeadError, StorageError, UsageError, brief
from headtohead.core.processes import listen
from headtohead.probes.table import probe_named
from headtohead.runtime.cluster import node, transfer
from headtohead.runtime.cluster.file_sets import on
from headtohead.runtime.cluster.membership import Membership
from headtohead.runtime.cluster.placement import (
    ClusterMachine,
    Kind,
    choose,
    kind_before,
    kind_of,
    seed_of,
)
from headtohead.runtime.cluster.transfer import DamagedFileError, Receiver
from headtohead.runtime.executor import Event
from headtohead.runtime.jobs import AnyJob, Job, SessionJob, as_data, from_data
from headtohead.runtime.pipes import Say, log_to, own_input, own_output, say
from headtohead.store.ledger import Ledger
from headtohead.store.records import RECORD, RESUME, with_kernels

DEATHS = 5
"""Times that a job's worker or machine may die before the job counts as failed."""

SILENCE = 120.0
"""Seconds without a sign of life after which a machine does not answer: see `node.BEAT`."""

PATIENCE = 300.0
"""Seconds that a job may wait for its machine's cores before it is given to any machine again."""

NO_ROOM: Event = {"event": "not begun", "message": None}
"""How a job ends whose machine has no room. Where that went, or its worker died, before the job
began, the message says so. Nothing is wrong with the job."""

DEAF = 10.0
"""Seconds between two looks at clocks from which this process was stopped, as by Ctrl-Z, or busy:
no machine counts as silent for that time."""

LATE = 60.0
"""Seconds in which a shared file system must show what another machine wrote; NFS may need them."""

CONNECT = 20.0
"""Seconds in which a cluster's head must answer."""

TICK = 0.5  # seconds between two looks at clocks


def main() -> None:
    """Do jobs until standard input closes."""
    messages: queue.Queue[dict[str, Any]] = queue.Queue()
    output = own_output()
    listen(own_input(), messages.put, _leave)
    setup = messages.get()
    tell: Say = partial(say, output)
    log_to(Path(setup["log"]))
    try:
        connect(setup["address"], f"; see {setup['log']}")
        driver = Driver(setup, tell)
        while True:
            driver.run([from_data(data) for data in messages.get()["jobs"]])
            tell("over")
    except HeadToHeadError as error:
        tell("failed", message=str(error), exit_code=error.exit_code)
    except Exception as error:
        traceback.print_exc()
        tell("failed", message=f"Ray: {brief(str(error), 300)}; see {setup['log']}", exit_code=4)
    ray.shutdown()


def _leave() -> None:
    """End what Ray runs for this process, if that can be had in time."""
    threading.Timer(5, os._exit, (0,)).start()
    ray.shutdown()


def connect(address: str | None, more: str = "") -> None:
    """Join the cluster, or start one on this machine where none is named and none runs.

    Raises UsageError, whose message ends with `more`.
    """
    if address is not None and address.startswith("ray://"):
        raise UsageError(
            f"--executor ray:{address}: Ray's client is not supported. Run the command on a "
            f"machine of the cluster, with --executor ray:HOST:PORT."
        )
    host, _, port = (address or "").rpartition(":")
    try:
        if host and port.isdecimal():
            socket.create_connection((host, int(port)), CONNECT).close()  # Ray would try for long
        ray.init(address=address, log_to_driver=False, include_dashboard=False)
    except Exception as error:  # Ray raises many kinds, OSError and RuntimeError among them
        traceback.print_exc()
        where = f"the Ray cluster at {address}" if address else "Ray"
        raise UsageError(
            f"cannot reach {where}: {brief(str(error), 300)}. Start it, or name another by "
            f"--executor ray:ADDRESS{more}."
        ) from error


@dataclass
class Attempt:
    """A job on a machine."""

    job: AnyJob
    member: ClusterMachine
    receiver: Receiver
    heard: float = field(default_factory=lambda: time.monotonic())
    begun: bool = False


class Driver:
    """Hands out jobs, passes on what machines say, writes what they send into the ledger."""

    def __init__(self, setup: dict[str, Any], tell: Say) -> None:
        self._setup, self._tell = setup, tell
        self._out = Path(setup["out"])
        self._ledger: Ledger
        self._numbers: dict[AnyJob, int] = {}
        self._deaths: dict[AnyJob, list[str]] = {}
        self._bound: dict[int, Kind] = {}
        self._waiting: list[AnyJob] = []
        self._running: dict[Any, Attempt] = {}
        self._watched = 0.0
        self._membership = Membership(setup, lambda text: tell("said", message=text))

    def run(self, jobs: Sequence[AnyJob]) -> None:
        """Do all jobs, and return when they are over. Raises RunError and StorageError."""
        self._ledger = Ledger.open(self._out)
        self._membership.stock.study(self._ledger)
        self._numbers = {job: number for number, job in enumerate(jobs)}
        self._deaths, self._waiting = {job: [] for job in jobs}, list(jobs)
        self._bind()
        self._watched = time.monotonic()
        while self._waiting or self._running:
            self._membership.refresh()
            self._hand_out()
            if not self._running:
                self._membership.check_hope()
            for ref in self._ready():
                if ref not in self._running:
                    self._membership.settle(ref)
                    continue
                attempt = self._running[ref]
                if (end := self._hear(ref, attempt)) is not None:
                    self._end(ref, attempt, end)
            self._watch()

    def _ready(self) -> list[Any]:
        """All that have something to say: were one heard at a time, others would seem silent."""
        asked = [*self._running, *self._membership.pending]
        if not asked:
            time.sleep(TICK)
            return []
        ray.wait(asked, timeout=TICK)
        ready: list[Any] = ray.wait(asked, num_returns=len(asked), timeout=0)[0]
        return ready

    def _watch(self) -> None:
        """Take jobs back from machines that are silent, or have no room for long."""
        now, before = time.monotonic(), self._watched
        self._watched = now
        if now - before > DEAF:  # machines may have said much that was not heard yet
            self._membership.wait_longer(now - before)
            for attempt in self._running.values():
                attempt.heard += now - before
            return
        for ref, attempt in list(self._running.items()):
            silent = time.monotonic() - attempt.heard
            if attempt.begun and silent > SILENCE:
                ray.cancel(ref, force=True)
                self._membership.leave_out(attempt.member.id, "does not answer")
                self._end(ref, attempt, "its machine does not answer")
            elif not attempt.begun and silent > PATIENCE:  # others may have taken its cores
                ray.cancel(ref, force=True)
                found = f"{attempt.member.host} had no room in {PATIENCE / 60:g} minutes"
                self._tell("said", message=f"{attempt.job} waits: {found}")
                self._end(ref, attempt, NO_ROOM)

    def _bind(self) -> None:
        """Seeds of which there are runs go where these came from."""
        for seed in {seed_of(job) for job in self._waiting} - self._bound.keys():
            for head in self._ledger.file.study.heads:
                if (run := self._ledger.run(head, seed)) is not None:
                    self._membership.wait()
                    before = with_kernels(run.record.environment)
                    kind = kind_before(before, self._membership.kinds())
                    self._bound[seed] = kind or kind_of(before)
                    break

    def _unbind(self, job: AnyJob, member: ClusterMachine) -> None:
        """A seed of which nothing is trained may leave a kind whose machines end its runs."""
        seed, there = seed_of(job), self._membership.usable()
        alike = {machine.id for machine in there if machine.kind == member.kind}
        begun = seed in map(seed_of, self._at_work())
        if begun or not alike <= set(self._deaths[job]):
            return
        if all(self._ledger.run(head, seed) is None for head in self._ledger.file.study.heads):
            self._bound.pop(seed, None)

    def _at_work(self) -> list[AnyJob]:
        return [attempt.job for attempt in self._running.values()]

    def _hand_out(self) -> None:
        limit = self._setup["question"]["workers"]
        while limit is None or len(self._running) < limit:
            there, able = self._membership.usable(), self._membership.stock.able
            busy = Counter(attempt.member.id for attempt in self._running.values())
            for member in there:
                member.busy = busy[member.id]
            kinds, at_work = self._membership.kinds(), self._at_work()
            found = choose(self._waiting, at_work, there, kinds, self._bound, able, self._deaths)
            if found is None:
                return
            job, member = found
            self._waiting.remove(job)
            seed = seed_of(job)
            if self._bound.get(seed, member.kind) != member.kind:
                self._tell(
                    "said",
                    message=f"Seed {seed}: no machine is left whose numbers agree with those of "
                    f"its first runs; the others are trained on {member.host}, and its pairs will "
                    f"be flagged.",
                )
            self._bound[seed] = member.kind
            self._membership.stock.begin(job, member)
            ref = self._start(job, member)
            self._running[ref] = Attempt(job, member, Receiver(self._out))

    def _start(self, job: AnyJob, member: ClusterMachine) -> Any:
        study = self._ledger.file.study
        probe = probe_named(study, job.probe) if isinstance(job, SessionJob) else None
        weights = self._membership.stock.weights(member)
        # What was lost may go on unseen: what follows it works apart, and sends its files.
        shared = member.out and weights == study.backbone.weights and not self._deaths[job]
        names = transfer.reads(self._ledger, job, probe)
        order = {
            "job": as_data(job),
            "out": str(self._out) if shared else None,
            "files": {} if shared else transfer.packed(self._ledger, names, weights),
            **self._membership.order(member),
        }
        per_run = self._setup["per_run"]
        # What measures all heads is alone on its machine.
        cores = member.cores if isinstance(job, SessionJob) else per_run["cores"]
        return (
            ray.remote(node.work)
            .options(
                num_returns="streaming",
                max_retries=0,  # Ray would retry without end what takes too much memory
                num_cpus=cores,
                num_gpus=per_run["gpus"] if self._membership.on_gpu else 0,
                memory=int((per_run["memory"] or 0) * 2**30) or None,
                scheduling_strategy=on(member.id),
            )
            .remote(order)
        )

    def _hear(self, ref: Any, attempt: Attempt) -> Event | str | None:
        """Take one event; the last one, or why there is none, and None while it goes on."""
        try:
            event = ray.get(next(ref), timeout=SILENCE)
        except StopIteration:
            return "its task ended early"
        except ray.exceptions.RayError as error:
            return self._lost(ref, attempt, error)
        if not attempt.begun:
            self._membership.began(attempt.member)
        attempt.heard, attempt.begun = time.monotonic(), True
        kind = event["event"]
        try:
            if kind == "piece":
                attempt.receiver.take(event)
        except DamagedFileError as error:
            ray.cancel(ref, force=True)
            return str(error)
        if kind in ("alive", "piece"):
            return None
        if kind in ("start", "done"):  # a run that only has to be probed does not start
            there = self._membership.complete()
            self._membership.stock.features_ready(seed_of(attempt.job), attempt.member, there)
        if kind == "done":
            return self._checked(attempt, event)
        if kind == "died":
            return str(event["message"])
        if kind in ("error", "refused"):
            return dict(event)
        self._tell(**{**event, "job": self._numbers[attempt.job]})
        return None

    def _lost(self, ref: Any, attempt: Attempt, error: Exception) -> Event | str:
        """What became of an attempt that Ray has no more events of."""
        if isinstance(error, ray.exceptions.OutOfMemoryError):
            return {
                "event": "error",
                "message": "Ray ended it, because its machine's memory was nearly full. Reserve "
                "more for each run by --per-run memory=GIB, then give the same command again.",
            }
        if isinstance(error, ray.exceptions.GetTimeoutError):
            ray.cancel(ref, force=True)  # it may go on, and write where another run does
        why = f"{type(error).__name__}: {brief(str(error), 200)}"
        if not attempt.begun:
            return {**NO_ROOM, "message": why}
        self._membership.look_again()
        return why

    def _checked(self, attempt: Attempt, event: Event) -> Event | str:
        """The end of a job whose files are all in the ledger, else why it is none."""
        job, until = attempt.job, time.monotonic() + LATE
        if isinstance(job, Job):
            while self._ledger.run(job.head, job.seed) is None:
                if not attempt.member.out or time.monotonic() >= until:
                    return "its files did not arrive"
                time.sleep(TICK)
            folder = self._ledger.run_folder(job.head, job.seed)
            if (folder / RECORD).is_file():
                (folder / RESUME).unlink(missing_ok=True)
        return event

    def _end(self, ref: Any, attempt: Attempt, end: Event | str) -> None:
        """A job is over, or to be done again: it died, or its machine cannot do it or is full."""
        del self._running[ref]
        attempt.receiver.close()
        job, member = attempt.job, attempt.member
        self._membership.stock.ended(job, self._at_work())
        tell: Callable[..., None] = partial(self._tell, job=self._numbers[job])
        if isinstance(end, str):
            self._deaths[job].append(member.id)
            self._unbind(job, member)
            if len(self._deaths[job]) >= DEATHS:
                tell("error", message=f"{end}; tried {DEATHS} times, the last on {member.host}")
                return
            tell("note", message=f"lost on {member.host} ({end}); it is done again")
        elif end["event"] == NO_ROOM["event"]:
            self._membership.ask_again(member, end["message"])
        elif end["event"] == "refused":
            self._membership.leave_out(member.id, f"cannot do such runs: {end['message']}")
        elif end.get("exit_code") == StorageError.exit_code:
            self._membership.leave_out(
                member.id, f"cannot be written to: {end['message']}", disk=True
            )
        else:
            tell(**end)
            return
        self._waiting.append(job)
        self._waiting.sort(key=self._numbers.__getitem__)


if __name__ == "__main__":
    main()
    sys.exit(0)
