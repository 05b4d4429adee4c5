"""The way into a cluster, without one: what its process says is passed on, and its loss is told."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from headtohead.config.execution import ExecutionSpec
from headtohead.config.from_options import study_from
from headtohead.config.study import StudySpec
from headtohead.core.errors import RunError, StorageError, UsageError
from headtohead.runtime import ray, startup
from headtohead.runtime.executor import Event
from headtohead.runtime.jobs import AnyJob, FiguresJob, Job
from headtohead.runtime.local import LocalExecutor
from headtohead.runtime.preflight import question_about
from headtohead.runtime.process import StandbyProcesses
from headtohead.runtime.ray import RayExecutor

DRIVER = """
import json, os, signal, sys
def say(**event):
    print(json.dumps(event), flush=True)
setup = json.loads(sys.stdin.readline())
open(setup["seen"], "w").write(" ".join(open(path).read() for path in setup["tokens"].values()))
for line in sys.stdin:
    for number, job in enumerate(json.loads(line)["jobs"]):
        say(event="said", message="host is left out")
        say(event="start", job=number, epochs=0)
        if job["head"] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if job["head"] == "full":
            say(event="failed", message="disk full", exit_code=5)
        say(event="done", job=number, status="finished")
    say(event="over")
open(setup["seen"], "a").write(" ended")
"""

DRAWS = """
import json, sys
sys.stdin.readline(), sys.stdin.readline()
for line in sys.stdin:
    if "lent" not in json.loads(line):
        print(json.dumps({"event": "done", "status": "finished"}), flush=True)
"""


@pytest.fixture
def executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RayExecutor:
    (tmp_path / "a_driver.py").write_text(DRIVER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(ray, "DRIVER", "a_driver")
    standby = StandbyProcesses([sys.executable, "-c", DRAWS], {"question": True})
    local = LocalExecutor(standby, [{"worker": 0}], tmp_path / "logs")
    tokens = {"out": str(tmp_path / "logs" / ".ray-token"), "cache": str(tmp_path / "c" / "token")}
    setup = {
        "address": None,
        "log": "ray.log",
        "tokens": tokens,
        "secret": "secret",
        "seen": str(tmp_path / "seen"),
    }
    return RayExecutor(setup, local, lambda text: noted.append(text))


noted: list[str] = []


def run(executor: RayExecutor, jobs: list[AnyJob]) -> list[tuple[AnyJob, Event]]:
    events: list[tuple[AnyJob, Event]] = []
    executor.run(jobs, lambda job, event: events.append((job, event)))
    return events


def test_events_come_with_their_jobs_and_figures_are_drawn_here(
    executor: RayExecutor, tmp_path: Path
) -> None:
    """Else progress is shown of the wrong run, or a figure waits for a machine of the cluster."""
    noted.clear()
    jobs: list[AnyJob] = [Job("a", 0), FiguresJob("accuracy"), Job("b", 0)]
    with executor:
        first = run(executor, jobs)
        second = run(executor, [Job("c", 1)])
        drawn = run(executor, [FiguresJob("loss")])
        third = run(executor, [Job("d", 1)])
    ends = [job for job, event in first if event["event"] == "done"]
    assert ends == [jobs[1], jobs[0], jobs[2]]
    assert [(job, event["event"]) for job, event in second] == [
        (Job("c", 1), "start"),
        (Job("c", 1), "done"),
    ]
    assert drawn == [(FiguresJob("loss"), {"event": "done", "status": "finished"})]
    assert [(job, event["event"]) for job, event in third] == [
        (Job("d", 1), "start"),
        (Job("d", 1), "done"),
    ]
    assert noted == ["host is left out"] * 4
    assert (tmp_path / "seen").read_text() == "secret secret ended"
    assert not (tmp_path / "logs" / ".ray-token").exists()
    assert not (tmp_path / "c" / "token").exists()


def test_a_lost_cluster_is_told_with_what_to_do(executor: RayExecutor) -> None:
    """Ray ends its process when the head is gone: a user must not find an exit without a word."""
    with executor, pytest.raises(RunError, match=r"SIGKILL.*ray\.log.*same command"):
        run(executor, [Job("a", 0), Job("killed", 0)])


def test_a_failure_has_its_exit_code(executor: RayExecutor) -> None:
    with executor, pytest.raises(StorageError, match="disk full"):
        run(executor, [Job("full", 0)])


def test_nothing_is_started_where_there_is_nothing_to_do(
    executor: RayExecutor, tmp_path: Path
) -> None:
    """Else a finished study needs its cluster to be reported."""
    with executor:
        assert run(executor, []) == []
    assert not (tmp_path / "seen").exists()


def test_without_ray_it_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "find_spec", lambda name: None)
    spec = study_from("quick", executor="ray")
    question = question_about(spec, "cuda", None, deterministic=False)
    with pytest.raises(UsageError, match=r"headtohead\[ray\]"):
        startup.asked_here(spec.execution, question)


def test_this_machine_needs_none_of_the_clusters_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nobody without a GPU can start a study on a cluster that has some."""
    monkeypatch.setattr(startup, "check_ray", lambda: None)
    spec = study_from("quick", executor="ray:head:6379", precision="tf32")
    question = question_about(spec, "cuda", 40, deterministic=False)
    here = startup.asked_here(spec.execution, question)
    assert (here.device, here.precisions, here.workers) == ("cpu", (), None)
    assert startup.asked_here(ExecutionSpec(), question) == question


def test_a_study_says_where_it_runs_and_its_digest_and_file_do_not(tmp_path: Path) -> None:
    """Else a study that was begun on a laptop cannot go on in a cluster."""
    file = tmp_path / "study.yaml"
    file.write_text("execution: {executor: ray, per_run: {gpus: 0.5}, shared: false}\n")
    spec = study_from(file, executor="ray:head:6379", per_run="cores=2,memory=8")
    execution = spec.execution
    assert (execution.on_ray, execution.address, execution.shared) == (True, "head:6379", False)
    assert execution.per_run.model_dump() == {"cores": 2.0, "gpus": 0.5, "memory": 8.0}
    assert spec.digest("x") == StudySpec().digest("x")
    assert spec.where_it_runs_aside().execution == ExecutionSpec()
    assert "execution" not in json.dumps(spec.where_it_runs_aside().model_dump(mode="json"))


def test_parts_of_a_gpu_and_whole_ones_are_taken() -> None:
    for given, gpus in (("gpus=0.4", 0.4), ("gpus=1", 1), ("gpus=2", 2)):
        assert study_from("quick", per_run=given).execution.per_run.gpus == gpus


@pytest.mark.parametrize(
    "options",
    [
        *({"executor": "slurm"}, {"executor": "ray:"}, {"executor": "ray x"}),
        *({"per_run": "cores=0"}, {"per_run": "gpus"}, {"per_run": "disk=1"}, {"per_run": ""}),
        *({"per_run": "gpus=1.5"}, {"per_run": {"gpus": 2.5}}),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="received"):
        study_from("quick", **options)
