"""Jobs by the machines of a Ray cluster: a second `Executor`, which needs headtohead[ray].

This process knows nothing of Ray. It starts one that does (`headtohead.runtime.cluster.driver`),
because Ray ends a process whose cluster's head is lost; what it was doing is then told in a
sentence, and the same command resumes. What is drawn, and needs no training, is done here.
"""

import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from headtohead.config.execution import ExecutionSpec
from headtohead.core.errors import DataError, HeadToHeadError, RunError, StorageError, UsageError
from headtohead.core.files import digest_of, expanded, write_atomic
from headtohead.core.processes import Process, module_command
from headtohead.data.prepared import PreparedSet
from headtohead.runtime.executor import Event, SomeJob
from headtohead.runtime.jobs import FiguresJob, as_data
from headtohead.runtime.local import LocalExecutor
from headtohead.runtime.preflight import PreflightQuestion

DRIVER = "headtohead.runtime.cluster.driver"
"""The module that knows Ray."""

LEAVING = 10.0
"""Seconds that the process which knows Ray has for ending what runs on the cluster."""

VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "30",
    "RAY_worker_niceness": "0",
}
"""Ray tells nobody what it is used for, leaves environments as they are, gives up in time, and
starts workers of the priority that this process has: by default whatever else runs goes first."""

ERRORS: dict[int, type[HeadToHeadError]] = {
    kind.exit_code: kind for kind in (UsageError, DataError, RunError, StorageError)
}


def check_ray() -> None:
    """Raises UsageError where Ray is not installed."""
    if find_spec("ray") is None:
        raise UsageError(
            f"--executor ray needs Ray: {sys.executable} -m pip install 'headtohead[ray]'."
        )


def ray_setup(
    execution: ExecutionSpec,
    question: PreflightQuestion,
    out: Path,
    prepared: PreparedSet,
    *,
    cache: Path | None,
) -> dict[str, Any]:
    """What the process that knows Ray is told first; `question` is about the cluster's machines."""
    weights = question.backbone.weights
    file = weights not in (None, "pretrained")
    resolved, images = out.resolve(), prepared.folder.resolve()
    return {
        "address": execution.address,
        "out": str(resolved),
        "log": str(resolved / "logs" / "ray.log"),
        "tokens": {
            "out": str(resolved / "logs" / ".ray-token"),
            "cache": str(images.parents[1] / "ray" / f"{digest_of(str(resolved))[:16]}.token"),
        },
        "secret": uuid.uuid4().hex,
        "prepared": str(images),
        "question": question.model_dump(mode="json"),
        "weights": str(expanded(weights).absolute()) if file and weights is not None else None,
        "cache": None if cache is None else str(expanded(cache).absolute()),
        "per_run": execution.per_run.model_dump(),
        "shared": execution.shared,
    }


class RayExecutor:
    """A Ray cluster, to be used in a `with` statement.

    `note` is told of machines that are left out, and why. `local` draws.
    """

    def __init__(
        self,
        setup: dict[str, Any],
        local: LocalExecutor,
        note: Callable[[str], None],
    ) -> None:
        self._setup, self._local, self._note = setup, local, note
        self._process: Process | None = None
        self._left = False
        self._events: Iterator[Event] = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._local:
            pass
        self._end()

    def alone(self) -> None:
        """As `Executor` says: the one process that waits here, for what is drawn, does nothing."""

    def run(self, jobs: Sequence[SomeJob], on_event: Callable[[SomeJob, Event], None]) -> None:
        """As `Executor` says. Raises RunError where the cluster is lost, or has no machine.

        The cluster is left as soon as there are figures to draw: they come last.
        """
        drawn = [job for job in jobs if isinstance(job, FiguresJob)]
        there = [job for job in jobs if not isinstance(job, FiguresJob)]
        if drawn:
            self._leave()
            self._local.run(drawn, on_event)
        if not there:
            return
        self._send({"jobs": [as_data(job) for job in there]})
        for event in self._events:
            kind = event["event"]
            if kind == "over":
                return
            if kind == "said":
                self._note(event["message"])
            elif kind == "failed":
                raise ERRORS.get(event["exit_code"], RunError)(event["message"])
            else:
                on_event(there[event.pop("job")], event)
        raise RunError(self._loss())

    def _leave(self) -> None:
        """Ask the process that knows Ray to end what runs on the cluster, and itself."""
        if self._process is not None:
            for path in self._setup["tokens"].values():
                Path(path).unlink(missing_ok=True)
            self._process.hang_up()
            self._left = True

    def _end(self) -> None:
        """Leave, and wait until that process is gone."""
        self._leave()
        if self._process is None:
            return
        until = time.monotonic() + LEAVING
        while not self._process.is_dead() and time.monotonic() < until:
            time.sleep(0.05)
        self._process.kill()
        self._process.close()
        self._process, self._left = None, False

    def _send(self, message: dict[str, Any]) -> None:
        if self._left:
            self._end()
        if self._process is None:
            # Machines that see a token may write to the ledger, or share this machine's cache.
            for path in self._setup["tokens"].values():
                write_atomic(Path(path), self._setup["secret"].encode())
            self._process = Process(module_command(DRIVER), VARIABLES)
            self._events = self._process.events()
            self._process.send(self._setup)
        self._process.send(message)

    def _loss(self) -> str:
        where = self._setup["address"] or "this machine"
        ended = "" if self._process is None else f" ({self._process.death()})"
        return (
            f"the Ray cluster at {where} was lost{ended}; see {self._setup['log']}. Start its head "
            f"node again, then give the same command again: it resumes."
        )
