"""What the driver does with what machines say, by a Ray that only keeps what it is asked."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray")

from fakes import FakeRay, Task, answer, setup

from headtohead.runtime.cluster import driver as module
from headtohead.runtime.cluster import membership, node
from headtohead.runtime.cluster.driver import Driver
from headtohead.runtime.executor import Event
from headtohead.runtime.jobs import AnyJob, Job, from_data
from ledgers import add_run, study_ledger

HEADS = ("gap", "fc")


class Cluster:
    """A driver of a study of two heads, its Ray, and what it told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, ray: FakeRay) -> None:
        self.ray, self.told = ray, list[Event]()
        self.answers: dict[str, dict[str, Any]] = {}
        self.ledger = study_ledger(folder, heads=HEADS, seeds=2, reference="gap")
        for where in (module, membership):
            monkeypatch.setattr(where, "ray", ray)
            monkeypatch.setattr(where, "on", lambda node: SimpleNamespace(node_id=node))
        monkeypatch.setattr(module, "TICK", 0.01)
        ray.script = self.script
        self.driver = Driver(setup(out=str(folder)), self.tell)

    def tell(self, event: str, **details: Any) -> None:
        self.told.append({"event": event, **details})

    def script(self, task: Task) -> None:
        """What machines do: say what they are, and do jobs."""
        if task.function is node.look:
            task.values.append(answer(task.machine, **self.answers.get(task.machine, {})))
        elif task.function is node.work:
            self.work(task)

    def work(self, task: Task) -> None:
        job = task.arguments[0]["job"]
        task.values += [{"event": "here"}, {"event": "start", "epochs": 0}]
        task.values.append(lambda: self.done(job["head"], job["seed"]))

    def done(self, head: str, seed: int) -> Event:
        add_run(self.ledger, head, seed)
        return {"event": "done", "status": "finished"}

    def run(self, *jobs: Job) -> None:
        self.driver.run(jobs)

    def of(self, event: str) -> list[Event]:
        return [told for told in self.told if told["event"] == event]

    def worked(self, machine: str) -> list[AnyJob]:
        tasks = self.ray.asked(node.work, machine)
        return [from_data(task.arguments[0]["job"]) for task in tasks]


Make = Callable[[FakeRay], Cluster]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    return lambda ray: Cluster(tmp_path / "out", monkeypatch, ray)


ALL = [Job(head, seed) for seed in range(2) for head in HEADS]


def test_one_broken_machine_fails_no_run(cluster: Make) -> None:
    """Else it is always free, takes every job five times, and the study has no runs."""
    made = cluster(FakeRay("broken", "sound"))
    work = made.work

    def breaks(task: Task) -> None:
        if task.machine == "broken":
            task.values += [{"event": "here"}, {"event": "died", "message": "no torch"}]
        else:
            work(task)

    made.work = breaks  # type: ignore[method-assign]
    made.run(*ALL)
    assert made.of("error") == []
    assert len(made.of("done")) == 4
    assert len(made.worked("broken")) <= 4
