"""What the driver does with what machines say, by a Ray that only keeps what it is asked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from fakes import ENVIRONMENT, FakeRay, Task, answer, put, setup

from headtohead.runtime.cluster import driver as module
from headtohead.runtime.cluster import file_sets, membership, node, stock
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
        put(monkeypatch, ray, module, membership)
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
        elif task.function is file_sets.hashed:
            task.values.append(file_sets.FileSet("prepared/digest", ()))
        elif task.function is file_sets.fetch:
            self.fetch(task)

    def fetch(self, task: Task) -> None:
        """Nothing for now."""

    def work(self, task: Task) -> None:
        job = task.arguments[0]["job"]
        task.values += [{"event": "alive"}, {"event": "start", "epochs": 0}]
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
            task.values += [{"event": "alive"}, {"event": "died", "message": "no torch"}]
        else:
            work(task)

    made.work = breaks  # type: ignore[method-assign]
    made.run(*ALL)
    assert made.of("error") == []
    assert len(made.of("done")) == 4
    assert len(made.worked("broken")) <= 4


def test_a_machine_where_no_run_begins_is_left_out(
    cluster: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it says that it is ready, ends the next run, and so on for ever."""
    monkeypatch.setattr(membership, "REFRESH", 0.0)
    made = cluster(FakeRay("broken", "sound"))
    work = made.work

    def never_begins(task: Task) -> None:
        if task.machine == "broken":
            task.values.append(FakeRay.exceptions.WorkerCrashedError())
        else:
            work(task)
            for _ in range(30):
                task.values.insert(1, {"event": "alive"})

    made.work = never_begins  # type: ignore[method-assign]
    made.run(*ALL)
    assert len(made.of("done")) == 4
    assert len(made.of("said")) == 1
    assert membership.FETCHES <= len(made.worked("broken")) <= 2 * membership.FETCHES


def test_a_machine_whose_workers_die_now_and_then_stays(
    cluster: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a long study loses its only machine by three accidents."""
    monkeypatch.setattr(membership, "REFRESH", 0.0)
    made = cluster(FakeRay("a", CPU=1))
    work = made.work

    def dies_every_other_time(task: Task) -> None:
        if len(made.ray.asked(node.work)) % 2:
            task.values.append(FakeRay.exceptions.WorkerCrashedError())
        else:
            work(task)

    made.work = dies_every_other_time  # type: ignore[method-assign]
    made.run(*ALL)
    assert len(made.of("done")) == 4
    assert len(made.worked("a")) == 8


class Clock:
    """Passes only where a test lets it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for where in (module, membership, stock):
        monkeypatch.setattr(where, "time", made)
    return made


def test_no_machine_is_silent_while_the_command_was_stopped(cluster: Make, clock: Clock) -> None:
    """Else Ctrl-Z and fg leave every machine out, and the study ends."""
    made = cluster(FakeRay("a", "b"))
    work = made.work

    def stopped(task: Task) -> None:
        work(task)
        if len(made.ray.asked(node.work)) == 3:  # all have begun; what they say comes late

            def later() -> Event:
                clock.now += 1000
                return {"event": "alive"}

            task.values.insert(1, later)
            task.values.insert(2, {"event": "alive"})

    made.work = stopped  # type: ignore[method-assign]
    made.run(*ALL)
    assert made.of("said") == []
    assert len(made.of("done")) == 4
    assert len(made.ray.asked(node.work)) == 4


def test_every_machine_is_heard_before_one_is_heard_twice(cluster: Make, clock: Clock) -> None:
    """Else one that says much makes all others seem silent."""
    made = cluster(FakeRay("a", "b", CPU=1))
    work = made.work

    def talks(task: Task) -> None:
        def alive() -> Event:
            clock.now += 1
            return {"event": "alive"}

        work(task)
        if task.machine == "a":
            task.values.extendleft([alive] * 200)
        else:
            task.values.extendleft([{"event": "alive"}] * 50)

    made.work = talks  # type: ignore[method-assign]
    made.run(*ALL)
    assert made.of("said") == []
    assert made.of("note") == []


def test_a_seed_whose_kind_is_nowhere_is_told_and_one_that_still_fetches_is_waited_for(
    cluster: Make, clock: Clock
) -> None:
    """Else pairs are flagged without a word, or for nothing."""
    made = cluster(FakeRay("a", "b", "me"))
    add_run(made.ledger, "gap", 0, environment={**ENVIRONMENT, "processor": "AMD"})
    made.answers["b"] = {"environment": {**ENVIRONMENT, "processor": "AMD"}, "has": {}}
    fetched = []

    def fetch(task: Task) -> None:
        fetched.append(task)
        task.values.append("/cache/prepared/digest")

    made.fetch = fetch  # type: ignore[method-assign]
    made.run(Job("fc", 0), Job("fc", 1))
    assert Job("fc", 0) in made.worked("b")
    assert len(fetched) == 1
    assert made.of("said") == []


def test_a_seed_of_a_kind_that_is_gone_is_told(cluster: Make) -> None:
    """Else a user finds flagged pairs and does not know why."""
    made = cluster(FakeRay("a"))
    add_run(made.ledger, "gap", 0, environment={**ENVIRONMENT, "processor": "AMD"})
    add_run(made.ledger, "gap", 1, environment=ENVIRONMENT)
    made.run(Job("fc", 0), Job("fc", 1))
    assert [told["message"].split(":")[0] for told in made.of("said")] == ["Seed 0"]


def test_a_machine_that_is_asked_again_has_the_runs_that_it_has(
    cluster: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it gets twice what it has room for, and the half waits five minutes for cores."""
    monkeypatch.setattr(membership, "REFRESH", 0.0)
    made = cluster(FakeRay("a", CPU=2))
    work, refused, most = made.work, list[Task](), list[int]()

    def once_refused(task: Task) -> None:
        if refused or len(made.ray.asked(node.work)) == 1:
            work(task)
            for _ in range(30):
                task.values.insert(1, {"event": "alive"})
        else:
            refused.append(task)
            task.values.append(FakeRay.exceptions.WorkerCrashedError())
        at_work = [task for task in made.ray.asked(node.work) if task.values]
        most.append(len(at_work))

    made.work = once_refused  # type: ignore[method-assign]
    made.run(*ALL)
    assert refused
    assert max(most) == 2


def test_a_run_that_was_lost_is_done_again_apart(cluster: Make) -> None:
    """Else a machine cut off from the cluster, not from --out, writes into its successor's run."""
    made = cluster(FakeRay("a"))
    made.answers["a"] = {"sees": ["out"]}
    work = made.work

    def dies_once(task: Task) -> None:
        if len(made.ray.asked(node.work)) == 1:
            task.values += [{"event": "alive"}, FakeRay.exceptions.WorkerCrashedError()]
        else:
            work(task)

    made.work = dies_once  # type: ignore[method-assign]
    made.run(Job("gap", 0))
    first, second = (task.arguments[0] for task in made.ray.asked(node.work))
    assert (first["out"], first["files"]) == (str(made.ledger.out), {})
    assert second["out"] is None
    assert list(second["files"]) == ["study.yaml"]


def test_what_a_shared_file_system_shows_late_is_waited_for(
    cluster: Make, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a short run on NFS counts as lost five times in a row, and as failed."""
    made = cluster(FakeRay("a"))
    made.answers["a"] = {"sees": ["out"]}
    begun, run = clock.now, type(made.ledger).run
    late = lambda *given: run(*given) if clock.now > begun + 30 else None  # noqa: E731
    monkeypatch.setattr(type(made.ledger), "run", late)
    made.run(Job("gap", 0))
    assert len(made.of("done")) == len(made.worked("a")) == 1


def test_a_run_that_takes_too_much_memory_fails_alone_and_once(cluster: Make) -> None:
    """Else it takes its machine's other runs with it, again and again."""
    made = cluster(FakeRay("a", "b"))
    work = made.work

    def eats(task: Task) -> None:
        if from_data(task.arguments[0]["job"]) == ALL[1]:
            task.values += [{"event": "alive"}, FakeRay.exceptions.OutOfMemoryError("eaten")]
        else:
            work(task)

    made.work = eats  # type: ignore[method-assign]
    made.run(*ALL)
    (error,) = made.of("error")
    assert error["job"] == 1
    assert "--per-run memory" in error["message"]
    assert len(made.of("done")) == 3
    assert len(made.ray.asked(node.work)) == 4


def test_a_machine_whose_cores_others_took_is_told_and_asked_again(
    cluster: Make, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a study that waits for what another of the cluster's users holds says nothing."""
    made = cluster(FakeRay("a", CPU=1))
    work, wait = made.work, made.ray.wait

    def has_room_later(task: Task) -> None:
        if len(made.ray.asked(node.work)) > 1:
            work(task)

    def later(*asked: Any, **options: Any) -> Any:
        clock.now += 5
        return wait(*asked, **options)

    monkeypatch.setattr(made.ray, "wait", later)
    made.work = has_room_later  # type: ignore[method-assign]
    made.run(Job("gap", 0))
    first, second = made.ray.asked(node.work)
    assert (first.cancelled, second.cancelled) == (True, False)
    assert len(made.of("said")) == len(made.of("done")) == 1
    assert len(made.ray.asked(node.look)) == 2


def test_a_task_that_is_given_up_is_ended(cluster: Make) -> None:
    """Else it goes on beside its successor, and takes its cores."""
    made = cluster(FakeRay("a"))
    work = made.work

    def hangs_once(task: Task) -> None:
        work(task)
        if len(made.ray.asked(node.work)) == 1:
            task.values.insert(1, FakeRay.exceptions.GetTimeoutError())

    made.work = hangs_once  # type: ignore[method-assign]
    made.run(Job("gap", 0))
    first, second = made.ray.asked(node.work)
    assert (first.cancelled, second.cancelled) == (True, False)
    assert len(made.of("note")) == 1


def test_features_are_ready_when_a_run_that_did_not_start_is_over(
    cluster: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else they are computed again where a finished run is only probed, with other last bits."""
    made = cluster(FakeRay("a"))
    ready = list[tuple[int, str]]()
    monkeypatch.setattr(
        made.driver._membership.stock,
        "features_ready",
        lambda seed, member, machines: ready.append((seed, member.id)),
    )

    def only_done(task: Task) -> None:
        task.values += [{"event": "alive"}, lambda: made.done("gap", 1)]

    made.work = only_done  # type: ignore[method-assign]
    made.run(Job("gap", 1))
    assert ready == [(1, "a")]
