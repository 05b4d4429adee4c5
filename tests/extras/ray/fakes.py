"""A Ray without machines: tasks are kept, and answered by the test."""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

import headtohead
from headtohead.runtime.cluster import stock
from headtohead.runtime.cluster.membership import Membership
from headtohead.runtime.cluster.placement import kind_of

ME = "me"
PREPARED = "/cache/prepared/digest"
ENVIRONMENT = {"torch": "2", "processor": "Intel", "device": "cpu", "kernels": "fused"}


class Task:
    """What was asked of a machine: a reference, and what it yields."""

    def __init__(self, function: Callable[..., Any], machine: str, arguments: Any) -> None:
        self.function, self.machine, self.arguments = function, machine, arguments
        self.values: deque[Any] = deque()
        self.cancelled = False

    def __next__(self) -> Any:
        if not self.values:
            raise StopIteration
        return self.values.popleft()


class FakeRay:
    """Stands for the module `ray` in another module."""

    exceptions = ray.exceptions

    def __init__(self, *machines: str, **resources: float) -> None:
        self.resources = {"CPU": 2.0, **resources}
        self.machines = list(machines)
        self.idle: set[str] = set()
        self.tasks: list[Task] = []
        self.script: Callable[[Task], None] = lambda task: None

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {
                "NodeID": name,
                "NodeManagerHostname": name,
                "Alive": True,
                "Resources": {} if name in self.idle else self.resources,
            }
            for name in self.machines
        ]

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: ME)

    def remote(self, function: Callable[..., Any]) -> Any:
        def options(**given: Any) -> Any:
            def begin(*arguments: Any) -> Task:
                machine = given["scheduling_strategy"].node_id
                self.tasks.append(Task(function, machine, arguments))
                self.script(self.tasks[-1])
                return self.tasks[-1]

            return SimpleNamespace(remote=begin)

        return SimpleNamespace(options=options)

    def get(self, found: Any, timeout: float | None = None) -> Any:
        if isinstance(found, Exception):
            raise found
        return found() if callable(found) else found

    def wait(
        self, refs: list[Task], num_returns: int = 1, timeout: float = 0
    ) -> tuple[list[Task], list[Task]]:
        ready = [ref for ref in refs if ref.values][:num_returns]
        return ready, [ref for ref in refs if ref not in ready]

    def cancel(self, ref: Task, **_: Any) -> None:
        ref.cancelled = True

    def asked(self, function: Callable[..., Any], machine: str | None = None) -> list[Task]:
        """Tasks of that function, of that machine where one is named."""
        tasks = [task for task in self.tasks if task.function is function]
        return [task for task in tasks if machine in (None, task.machine)]


def put(monkeypatch: pytest.MonkeyPatch, fake: FakeRay, *modules: Any) -> None:
    """Let modules of the cluster use it."""
    for module in (*modules, stock):
        monkeypatch.setattr(module, "ray", fake)
        monkeypatch.setattr(module, "on", lambda node: SimpleNamespace(node_id=node), raising=False)


def setup(device: str = "cpu", **changes: Any) -> dict[str, Any]:
    """What the process that knows Ray is told first."""
    question = {
        "deterministic": True,
        "precisions": [],
        "backbone": {"weights": None},
        "device": device,
        "workers": None,
    }
    return {
        "address": None,
        "out": "/out",
        "prepared": PREPARED,
        "question": question,
        "tokens": {},
        "secret": "",
        "weights": None,
        "cache": None,
        "per_run": {"cores": 1, "gpus": 1, "memory": None},
        "shared": True,
        **changes,
    }


def answer(machine: str, **changes: Any) -> dict[str, Any]:
    """What a machine says that has the prepared set and sees no folder of this one's."""
    return {
        "host": machine,
        "version": headtohead.__version__,
        "environment": ENVIRONMENT,
        "cache": "/cache",
        "has": {f"prepared/{Path(PREPARED).name}": PREPARED},
        "sees": [],
        **changes,
    }


KIND = kind_of(ENVIRONMENT)


def settle(membership: Membership, task: Task, *values: Any) -> None:
    """The task yields these."""
    for value in values:
        task.values.append(value)
        membership.settle(task)
