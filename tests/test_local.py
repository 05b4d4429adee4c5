"""Worker processes: every job is done once, and a death costs one job."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from headtohead.core.errors import StorageError
from headtohead.runtime.executor import Event
from headtohead.runtime.jobs import AnyJob, FiguresJob, Job
from headtohead.runtime.local import LocalExecutor
from headtohead.runtime.process import StandbyProcesses

BEGINNING = """
import json, os, signal, sys, time
sys.stdin.readline()  # the question
setup = json.loads(sys.stdin.readline())
def say(**event):
    print(json.dumps(event), flush=True)
"""

WORKER = (
    BEGINNING
    + """
for line in sys.stdin:
    job = json.loads(line)
    if "lent" in job:
        continue
    say(event="start", worker=setup["worker"], threads=os.environ["OMP_NUM_THREADS"])
    if job["head"] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if job["head"] == "leaves":
        sys.exit(7)
    if job["head"] == "last":
        say(event="error", message="cannot be captured", leaves=True)
        time.sleep(0.2)  # a process takes its time to end
        sys.exit(0)
    if job["head"] == "refused":
        say(event="error", message="no")
    elif job["head"] == "full":
        say(event="error", message="disk full", exit_code=5)
    else:
        say(event="done", status="finished")
"""
)


def executor_of(tmp_path: Path, code: str, setups: list[dict[str, Any]]) -> LocalExecutor:
    standby = StandbyProcesses([sys.executable, "-c", code], {"question": True})
    return LocalExecutor(standby, setups, tmp_path / "logs")


def run(tmp_path: Path, heads: list[str], workers: int = 2) -> list[tuple[Job, Event]]:
    events: list[tuple[Job, Event]] = []
    setups: list[dict[str, Any]] = [{"worker": number} for number in range(workers)]
    jobs = [Job(head, seed) for seed, head in enumerate(heads)]
    with executor_of(tmp_path, WORKER, setups) as executor:
        executor.run(jobs, lambda job, event: events.append((job, event)))
    return events


def ends(events: list[tuple[Job, Event]]) -> dict[int, str]:
    return {
        job.seed: event["event"] for job, event in events if event["event"] in ("done", "error")
    }


def test_every_job_is_done_once(tmp_path: Path) -> None:
    events = run(tmp_path, ["a"] * 7)
    assert ends(events) == dict.fromkeys(range(7), "done")
    assert sum(event["event"] == "start" for _, event in events) == 7


def test_workers_are_single_threaded(tmp_path: Path) -> None:
    assert run(tmp_path, ["a"])[0][1]["threads"] == "1"


def test_more_workers_than_jobs_are_not_started(tmp_path: Path) -> None:
    run(tmp_path, ["a"], workers=4)
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["worker-0.log"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_worker_costs_its_job_and_no_other(tmp_path: Path, workers: int) -> None:
    events = run(tmp_path, ["a", "killed", "a", "leaves", "refused", "a"], workers)
    assert ends(events) == {0: "done", 1: "error", 2: "done", 3: "error", 4: "error", 5: "done"}
    messages = {job.seed: event.get("message", "") for job, event in events}
    assert "SIGKILL" in messages[1]
    assert "worker-" in messages[1]
    assert "exit code 7" in messages[3]


def test_a_full_disk_stops_the_study(tmp_path: Path) -> None:
    """Every further run would fail in the same way and hide the reason."""
    with pytest.raises(StorageError, match="disk full"):
        run(tmp_path, ["a", "full", *["a"] * 20])


def test_a_log_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(StorageError, match="logs"):
        run(tmp_path, ["a"])


def test_a_worker_that_leaves_gets_no_other_job(tmp_path: Path) -> None:
    """Else the next run is given to a process that is ending, and fails for nothing."""
    found = ends(run(tmp_path, ["a", "last", "a", "last", "a", "a"]))
    assert found == {0: "done", 1: "error", 2: "done", 3: "error", 4: "done", 5: "done"}


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_job_waits_for_the_one_it_needs(tmp_path: Path, workers: int) -> None:
    """Else a head starts from a backbone that nobody has trained yet."""
    first, second, third = Job("a", 0), Job("b", 0, after="a"), Job("c", 0, after="b")
    other, last = Job("killed", 0), Job("d", 0, after="killed")
    events: list[tuple[Job, str]] = []
    setups: list[dict[str, Any]] = [{"worker": number} for number in range(workers)]
    with executor_of(tmp_path, WORKER, setups) as executor:
        executor.run(
            [third, second, last, other, first],
            lambda job, event: events.append((job, event["event"])),
        )
    assert len([kind for _, kind in events if kind in ("done", "error")]) == 5
    for before, after in ((first, second), (second, third)):
        assert events.index((before, "done")) < events.index((after, "start"))
    assert events.index((other, "error")) < events.index((last, "start"))


SECOND_FIRST = (
    BEGINNING
    + """
from pathlib import Path
mine = setup["worker"]
for line in sys.stdin:
    job = json.loads(line)
    if "lent" in job:
        continue
    say(event="start", worker=mine)
    Path(f"{mine}-began-{job['seed']}").touch()
    other = f"1-done-{job['seed']}" if mine == 0 else f"0-began-{job['seed']}"
    while not Path(other).exists():
        time.sleep(0.01)
    say(event="done", status="finished")
    if mine == 1:
        time.sleep(0.2)  # so that its end is heard first
        Path(f"1-done-{job['seed']}").touch()
"""
)


def test_a_worker_has_the_heads_of_a_seed_that_it_has_had_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each worker makes anew what every head's pool makes of frozen features: half a minute
    of a study of 25 heads."""
    monkeypatch.chdir(tmp_path)
    jobs = [Job(head, seed) for seed in range(4) for head in ("a", "b")]
    begun: list[tuple[str, int]] = []
    setups: list[dict[str, Any]] = [{"worker": number} for number in range(2)]

    def heard(job: Job, event: Event) -> None:
        if event["event"] == "start":
            begun.append((job.head, event["worker"]))

    with executor_of(tmp_path, SECOND_FIRST, setups) as executor:
        executor.run(jobs, heard)
    assert sorted(begun) == [("a", 0)] * 4 + [("b", 1)] * 4


TALKING = (
    BEGINNING
    + """
for line in sys.stdin:
    say(event="answer", refusal=None)
    say(event="note", message=setup["log"])
    say(event="done", status="finished")
"""
)


def test_a_late_answer_is_no_news_of_a_run_and_the_log_has_a_place(tmp_path: Path) -> None:
    """Else a run is told of what was asked before it, or a death points to no log."""
    events: list[Event] = []
    with executor_of(tmp_path, TALKING, [{"worker": 3}]) as executor:
        executor.run([Job("a", 0)], lambda _, event: events.append(event))
    assert [event["event"] for event in events] == ["note", "done"]
    assert events[0]["message"] == str(tmp_path / "logs" / "worker-3.log")


LENT = (
    BEGINNING
    + """
for line in sys.stdin:
    message = json.loads(line)
    if "lent" in message:
        say(event="lent", cores=message["lent"])
        if message["lent"] == [0]:
            say(event="done", status="finished")
    elif message.get("head") == "short" or "metric" in message:
        time.sleep(0.2)
        say(event="done", status="finished")
"""
)


def lent(
    tmp_path: Path, jobs: list[AnyJob], cores: list[int | None]
) -> list[tuple[str, list[Any]]]:
    """Which cores each head's worker was lent, in the order of telling."""
    events: list[tuple[str, list[Any]]] = []
    setups: list[dict[str, Any]] = [
        {"worker": number, "core": core} for number, core in enumerate(cores)
    ]
    with executor_of(tmp_path, LENT, setups) as executor:
        executor.run(
            jobs,
            lambda job, event: (
                events.append((str(job).split()[0], event["cores"]))
                if event["event"] == "lent"
                else None
            ),
        )
    return events


def test_the_last_run_is_lent_the_cores_that_nobody_needs(tmp_path: Path) -> None:
    """Else half of the machine is idle until a study's last run is over."""
    found = lent(tmp_path, [Job("short", 0), Job("long", 0)], [0, 1])
    assert found == [("long", [0])]


def test_a_single_run_is_lent_all_cores_but_its_own(tmp_path: Path) -> None:
    assert lent(tmp_path, [Job("long", 0)], [1, 0]) == [("long", [0])]


def test_what_is_no_run_has_its_own_core(tmp_path: Path) -> None:
    """A step's time would be that of however many cores were at hand."""
    assert lent(tmp_path, [FiguresJob("accuracy")], [1, 0]) == []


PROCESS = (
    BEGINNING
    + """
for line in sys.stdin:
    say(event="process", id=os.getpid())
    say(event="done", status="finished")
"""
)


@pytest.mark.parametrize("killed", [False, True])
def test_workers_stay_for_the_next_jobs(tmp_path: Path, killed: bool) -> None:
    """Starting one takes seconds. One that died meanwhile costs no job."""
    found: list[list[int]] = []
    with executor_of(tmp_path, PROCESS, [{"worker": 0}]) as executor:
        events: list[Event] = []
        for seed in range(2):
            events.clear()
            executor.run([Job("a", seed)], lambda _, event: events.append(event))
            assert [event["event"] for event in events] == ["process", "done"]
            found.append([event["id"] for event in events if event["event"] == "process"])
            if killed:
                os.kill(found[-1][0], signal.SIGKILL)
                os.waitid(os.P_PID, found[-1][0], os.WEXITED | os.WNOWAIT)
    assert (found[0] == found[1]) is not killed
