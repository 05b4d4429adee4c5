"""What runs on a machine of a Ray cluster: tasks that say what it has, and one that does a job.

A job is done by the same worker process as on one machine (`headtohead.runtime.worker`), a child
of Ray's own, which passes on what it says and sends its files home. A child whose parent was
killed ends by itself: its standard input closes.
"""

import contextlib
import os
import queue
import re
import shutil
import socket
import time
from collections.abc import Generator, Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

from filelock import FileLock, Timeout

import headtohead
from headtohead.core.errors import StorageError
from headtohead.core.files import sha256_of, sha256_of_bytes, write_atomic
from headtohead.core.processes import Pool, Process, Worker, module_command
from headtohead.core.system import CACHE_VARIABLE, cache_folder, cpu_name
from headtohead.runtime.cluster import transfer
from headtohead.runtime.executor import Event
from headtohead.runtime.jobs import AnyJob, Job, from_data
from headtohead.runtime.machine import drivers_gpus

BEAT = 10.0
"""Seconds between two signs of life while a job says nothing."""

HOME_INTERVAL = 60.0
"""Seconds between two times that a run's position is sent home: what a kill may cost."""

Order: TypeAlias = dict[str, Any]
"""A job with all that it takes: see `headtohead.runtime.cluster.driver`."""


def look(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A task: once, what this machine is, what its cache has, and which folders it shares.

    `asked` is the driver's setup with the device, and with places in a cache, each with the
    driver's folder and a file that must be there.
    """
    cache = cache_here(asked["cache"])
    has = {}
    for place, (there, file) in asked["places"].items():
        for folder in (cache / place, *([Path(there)] if asked["shared"] else [])):
            if place not in has and _is_there(place, folder / file):
                has[place] = str(folder)
    yield {
        "host": socket.gethostname(),
        "version": headtohead.__version__,
        "environment": environment(asked["device"]),
        "cache": str(cache),
        "has": has,
        "sees": [
            folder
            for folder, token in asked["tokens"].items()
            if asked["shared"] and _reads(token, asked["secret"])
        ],
    }


def _is_there(place: str, file: Path) -> bool:
    """Whether that file is here: `place` tells weights apart from others of the same name."""
    kind, digest, *_ = place.split("/")
    return file.is_file() and (kind != "weights" or sha256_of(file) == digest)


def cache_here(named: str | None) -> Path:
    """The cache of this machine: its HEADTOHEAD_CACHE, what the command `named`, or its user's."""
    return Path(os.environ.get(CACHE_VARIABLE) or named or cache_folder()).absolute()


def _reads(path: str, content: str) -> bool:
    """Whether that very file is here: a folder of the same name may be another machine's."""
    with contextlib.suppress(OSError):
        return Path(path).read_text(encoding="ascii") == content
    return False


def environment(device: str) -> dict[str, str]:
    """What a run on `device` of this machine would record that its numbers depend on.

    As `headtohead.training.device.environment` does, without importing torch.
    """
    gpus = sorted({name.partition(": ")[2] for name in drivers_gpus()})
    fused = device == "cpu" and find_spec("numba") and find_spec("headtohead.accel")
    system = os.uname()
    return {
        "torch": torch_version(),
        "platform": f"{system.sysname} {system.machine}",
        "device": device,
        "processor": cpu_name() if device == "cpu" else ", ".join(gpus),
        "kernels": "fused" if fused else "plain",
    }


def torch_version() -> str:
    """What `torch.__version__` says, not imported: that of the installer may lack its last part."""
    found = find_spec("torch")
    with contextlib.suppress(OSError):
        text = Path(str(found and found.origin)).with_name("version.py").read_text(encoding="utf-8")
        if match := re.search(r"^__version__ = ['\"](.+)['\"]", text, re.MULTILINE):
            return match[1]
    return metadata.version("torch")


def work(order: Order) -> Iterator[Event]:
    """A task: do one job, and tell of it as a worker does.

    Besides a worker's events there are "alive" (first of all, and in silence), "piece" (of a
    file), "refused" (this machine cannot do such jobs) and "died" (the worker has).
    """
    yield {"event": "alive"}
    job, known, own = from_data(order["job"]), dict[str, str](), not order["out"]
    try:
        out = _scratch(Path(order["cache"])) if own else Path(order["out"])
        for name, content in order["files"].items():
            write_atomic(out / name, content)
            known[name] = sha256_of_bytes(content)
        yield from _do(job, out, order, known)
    except (OSError, StorageError) as error:
        yield {"event": "error", "message": str(error), "exit_code": StorageError.exit_code}
    finally:
        if own:
            _clear(Path(order["cache"]))


def _do(job: AnyJob, out: Path, order: Order, known: dict[str, str]) -> Iterator[Event]:
    child = yield from _child(order, out)
    if child is None:
        return
    child.process.send(order["job"])
    sent = time.monotonic()
    for event in child.events():
        kind = event["event"]
        over = kind in ("done", "error", "died")
        due = kind == "epoch" and time.monotonic() - sent >= HOME_INTERVAL
        if not order["out"] and over:
            yield from _files(out, transfer.writes(out, job), known)
        elif not order["out"] and due and isinstance(job, Job):
            yield from _files(out, transfer.position(job), known)
            sent = time.monotonic()
        if event.get("leaves"):
            child.end()
        yield event
        if over:
            return


def _files(out: Path, names: list[str], known: dict[str, str]) -> Iterator[Event]:
    logs = [f"logs/{log.name}" for log in (out / "logs").glob("*.log") if log.stat().st_size]
    for piece in transfer.changed(out, [*logs, *names], known):
        yield {"event": "piece", **piece}


class _Child(Worker):
    """A worker process, kept from job to job."""

    def __init__(self, key: str, order: Order, out: Path) -> None:
        variables = {CACHE_VARIABLE: order["cache"]}
        super().__init__(Process(module_command("headtohead.runtime.worker"), variables))
        self.key, self._pool = key, Pool[Worker]()
        self._pool.add(self)
        self.process.send(order["question"])
        name = f"worker-{socket.gethostname()}-{os.getpid()}"
        log = out / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        setup = {"worker": name, "out": str(out), "log": str(log), "core": None}
        self.process.send({**order["setup"], **setup})

    def events(self) -> Iterator[Event]:
        """What it says, a sign of life where it is silent, and its death as "died"."""
        while True:
            try:
                _, event = self._pool.hear(BEAT)
            except queue.Empty:
                event = {"event": "alive"}
            if event is None:
                death = self.process.death()
                self.end()
                yield {"event": "died", "message": f"its worker ended with {death}"}
                return
            yield event

    def end(self) -> None:
        """End it, whatever it is doing."""
        global _child_here
        self._pool.stop()
        _child_here = None


_child_here: _Child | None = None
"""This process of Ray's does one job after the other: its worker stays."""


def _child(order: Order, out: Path) -> Generator[Event, None, _Child | None]:
    """The worker that does such jobs, started where there is none; None where it cannot."""
    global _child_here
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    key = repr([order["question"], order["setup"], str(out), gpus])
    if _child_here is not None and (_child_here.key != key or _child_here.process.is_dead()):
        _child_here.end()
    if _child_here is not None:
        return _child_here
    child = _child_here = _Child(key, order, out)
    for event in child.events():
        if event["event"] == "answer" and event["refusal"] is None:
            return child
        if event["event"] == "answer":
            child.end()
            yield {"event": "refused", "message": event["refusal"]}
            return None
        yield event
    return None


_scratch_lock: FileLock | None = None


def _scratch(cache: Path) -> Path:
    """A folder of the cache for this process; those of processes that are gone are removed."""
    global _scratch_lock
    home = cache / "ray"
    home.mkdir(parents=True, exist_ok=True)
    for lock in home.glob("*.lock"):
        with contextlib.suppress(Timeout, OSError), FileLock(lock, timeout=0):
            shutil.rmtree(lock.with_name(lock.stem), ignore_errors=True)
            lock.unlink(missing_ok=True)
    out = _scratch_of(cache)
    if _scratch_lock is None:
        _scratch_lock = FileLock(out.with_name(f"{out.name}.lock"))  # a host's name may have dots
        _scratch_lock.acquire()
    out.mkdir(exist_ok=True)
    return out


def _scratch_of(cache: Path) -> Path:
    return cache / "ray" / f"{socket.gethostname()}-{os.getpid()}"


def _clear(cache: Path) -> None:
    """Leave nothing of a job but the worker's log."""
    for name in ("runs", "evidence"):
        shutil.rmtree(_scratch_of(cache) / name, ignore_errors=True)
