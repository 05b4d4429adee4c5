"""Studies on a Ray cluster of four machines: the same bits as on one, whatever is killed."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

ray = pytest.importorskip("ray")

import headtohead  # noqa: E402
from headtohead.backbones.tutorial_cnn import TutorialCNN  # noqa: E402
from headtohead.console import INTERRUPTED  # noqa: E402
from headtohead.core.errors import RunError, StorageError  # noqa: E402
from headtohead.core.files import sha256_of  # noqa: E402
from headtohead.core.system import usable_cores  # noqa: E402
from headtohead.runtime.cluster import file_sets  # noqa: E402
from headtohead.runtime.doctor import Machines  # noqa: E402
from headtohead.store.ledger import Ledger  # noqa: E402

sys.path += [str(Path(__file__).parents[2]), str(Path(__file__).parents[3] / "benchmarks")]
from photographs import write_pictures  # noqa: E402
from ray_drill import ledger, processes  # noqa: E402

thorough = pytest.mark.skipif(
    "HEADTOHEAD_THOROUGH" not in os.environ, reason="takes minutes: HEADTOHEAD_THOROUGH=1 runs it"
)
STUDY = """name: small
data: {source}
pictures: {{image_size: 36}}
heads: [gap, fc]
seeds: 2
recipe: {{epochs: {epochs}, batch_size: 16}}
{more}
"""
UNTIL_DECIDED = "verdict: {reference: gap, until_decided: fc, looks: [7, 8]}"
TUNING = """tuning:
  trials: 3
  epochs: 1
  recipe: {learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}}
  options: {fc: {hidden: [[100, 100], [20, 20]]}}
"""


STARTS = 5
"""Times that a cluster is started at most: on a busy machine Ray may give up after 30 seconds."""


class Site:
    """A folder with images, and a cluster whose machines have caches of their own."""

    def __init__(self, folder: Path, caches: list[Path]) -> None:
        self.folder = folder
        variables = json.dumps([{"HEADTOHEAD_CACHE": str(cache)} for cache in caches])
        for _ in range(STARTS):
            self._process = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("nodes.py"), variables],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert self._process.stdout is not None
            if found := self._process.stdout.readline():
                break
        self.found: dict[str, Any] = json.loads(found)

    def close(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.communicate(timeout=60)
        self._process.kill()

    def study(self, name: str, more: str = "", epochs: int = 20) -> Path:
        path = self.folder / f"{name}.yaml"
        source = self.folder / "source"
        path.write_text(STUDY.format(source=source, more=more, epochs=epochs))
        return path

    @property
    def executor(self) -> str:
        return f"ray:{self.found['address']}"

    def compare(self, study: Path, out: str, **options: Any) -> Path:
        """By default on the cluster."""
        given = {"executor": self.executor, "cache": self.folder / "cache", **options}
        headtohead.compare(study, out=self.folder / out, **given)
        return self.folder / out

    def command(self, study: Path, out: str) -> "subprocess.Popen[str]":
        """The same in a process that can be killed."""
        path = self.folder / out
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "headtohead", "compare", study, "--out", path),
                *("--executor", self.executor, "--cache", self.folder / "cache"),
            ],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Four machines; where the last one keeps its cache, there is a file."""
    folder = tmp_path_factory.mktemp("site")
    write_pictures(folder / "source", {"cat": 40, "dog": 40})
    (folder / "cache-3").write_text("a file")
    made = Site(folder, [folder / f"cache-{number}" for number in range(4)])
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain(site: Site) -> dict[str, Any]:
    """What the study leaves where there is no cluster."""
    return ledger(site.compare(site.study("plain"), "plain", executor="local", workers=1))


def prepared_files(cache: Path) -> dict[str, str]:
    """SHA-256 of every file of the prepared sets that are complete in that cache."""
    found = complete(cache, "prepared/*/*")
    return {f"{path.parent.name}/{path.name}": sha256_of(path) for path in found}


def complete(folder: Path, pattern: str) -> list[Path]:
    """Files of a cache, but for what a machine still fetched when a study was over."""
    return [path for path in folder.glob(pattern) if path.parent.suffix != ".fetched"]


def wait_for(what: Callable[[], Any], seconds: float = 240) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.1)
    raise TimeoutError


def test_machines_that_share_nothing_leave_the_same_bits(
    site: Site, plain: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    """And the machine that cannot write to its disk is told once and left out."""
    study = site.study("sent", "execution: {shared: false}")
    mine = prepared_files(site.folder / "cache")
    there = [site.folder / f"cache-{number}" for number in range(3)]
    for attempt in range(10):  # so short a study may end before a slow machine has the images
        out = site.compare(study, f"sent-{attempt}")
        assert ledger(out) == plain
        fetched = [files for cache in there if (files := prepared_files(cache))]
        assert fetched
        assert all(files == mine for files in fetched)
        said = capfd.readouterr().err
        assert said.count("is left out") == int("cache-3" in said)
        if len(fetched) == len(there) and "cache-3" in said:
            break
    else:
        pytest.fail(f"{len(fetched)} of {len(there)} machines ever had the images: {said}")
    assert (out / "evidence" / "speed" / "session.npz").is_file()
    assert not list(out.glob("runs/*/*/resume.safetensors"))
    assert not [path for path in out.rglob(".*") if path.name != ".lock"]


def test_the_doctor_examines_every_machine(site: Site, tmp_path: Path) -> None:
    """Else what stands in the way on one of many machines is found when it is left out."""
    found = headtohead.doctor(executor=site.executor, out=tmp_path / "runs")
    assert isinstance(found, Machines)
    assert len({node.name for node in found.nodes}) == 4
    assert found.problems == ()
    caches = set()
    for node in found.nodes:
        assert node.machine is not None
        assert node.offered["CPU"] == node.machine.use["workers"] == 1
        assert node.machine.cores["usable"] == len(usable_cores())
        cache, results = node.machine.disks
        assert results.path == str(tmp_path / "runs")
        caches.add(Path(cache.path).name)
        assert (cache.error is not None) == (cache.path.endswith("cache-3"))
        assert any("cache-3" in problem.what for problem in node.machine.problems) == (
            cache.path.endswith("cache-3")
        )
    assert caches == {f"cache-{number}" for number in range(4)}
    assert all(node.name in str(found) for node in found.nodes)


def test_after_ctrl_c_nothing_runs_and_the_same_command_resumes(
    site: Site, plain: dict[str, Any]
) -> None:
    """Else machines that others wait for go on with what nobody wants."""
    study, out = (
        site.study("interrupted", "execution: {shared: false}"),
        site.folder / "interrupted",
    )
    command = site.command(study, "interrupted")
    workers = partial(processes, "headtohead.runtime.worker", site.found["raylets"])
    (held, *_) = wait_for(workers)
    os.kill(held, signal.SIGSTOP)  # or the study might be over before it is interrupted
    wait_for(lambda: list(out.glob("runs/*/*/run.json")))
    command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=240)
    with contextlib.suppress(ProcessLookupError):
        os.kill(held, signal.SIGCONT)
    assert command.returncode == INTERRUPTED
    assert "Run the same command to resume" in said
    wait_for(lambda: not workers())
    finished = {path: path.read_bytes() for path in out.glob("runs/*/*/run.json")}
    assert len(finished) < 4
    site.compare(study, "interrupted")
    assert ledger(out) == plain
    assert all(path.read_bytes() == content for path, content in finished.items())


@thorough
def test_looks_are_taken_as_on_one_machine(site: Site) -> None:
    """Each look waits for its pairs, wherever they are trained."""
    study = site.study("looks", UNTIL_DECIDED, epochs=1)
    here = site.compare(study, "looks-here", executor="local", workers=1)
    there = site.compare(study, "looks-there")
    assert ledger(there) == ledger(here)
    assert (there / "looks.json").read_bytes() == (here / "looks.json").read_bytes()


@thorough
def test_trials_are_those_of_one_machine(site: Site) -> None:
    """What is proposed next follows from all trials before, wherever they were trained."""
    study, cache = site.study("tuned", TUNING), site.folder / "cache"
    here, there = site.folder / "tuned-here", site.folder / "tuned-there"
    headtohead.tune(study, out=here, workers=1, cache=cache)
    headtohead.tune(study, out=there, executor=site.executor, cache=cache)
    assert len(list(here.glob("trials/runs/*/*/run.json"))) == 6
    assert ledger(there / "trials") == ledger(here / "trials")
    assert (there / "tuned.yaml").read_bytes() == (here / "tuned.yaml").read_bytes()


@thorough
def test_a_machine_that_does_not_answer_is_left_out(
    site: Site,
    plain: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Else one that hangs keeps a study waiting for ever."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr("headtohead.runtime.ray.DRIVER", "impatient")
    with ThreadPoolExecutor(1) as waiting:
        done = waiting.submit(site.compare, site.study("silent"), "silent")
        (victim, *_) = wait_for(partial(processes, "ray::work", site.found["raylets"]))
        os.kill(victim, signal.SIGSTOP)
        out = done.result()
    assert ledger(out) == plain
    assert capfd.readouterr().err.count("is left out: it does not answer") == 1


def test_killed_workers_machines_and_commands_cost_no_finished_run(
    site: Site, plain: dict[str, Any]
) -> None:
    study = site.study("killed")
    out = site.folder / "killed"
    command = site.command(study, "killed")
    wait_for(lambda: list(out.glob("runs/*/*/history.jsonl")))
    for line in ("ray::work", "headtohead.runtime.worker"):
        (victim, *_) = wait_for(partial(processes, line, site.found["raylets"]))
        os.kill(victim, signal.SIGKILL)
    os.kill(site.found["raylets"][1], signal.SIGKILL)
    first = wait_for(lambda: list(out.glob("runs/*/*/run.json")))[0]
    command.kill()
    command.communicate()
    before = first.read_bytes()
    site.compare(study, "killed")
    assert ledger(out) == plain
    assert first.read_bytes() == before


@thorough
def test_weights_in_a_file_are_fetched(site: Site) -> None:
    """Else only machines that have the same file at the same path can train on them."""
    torch.manual_seed(7)
    weights = site.folder / "begin.safetensors"
    save_file(TutorialCNN().state_dict(), weights)
    more = f"backbone: {{weights: {weights}, train: all}}"
    here = site.compare(site.study("weighted", more), "weighted", executor="local", workers=1)
    sent = site.study("weighted-sent", f"{more}\nexecution: {{shared: false}}")
    assert ledger(site.compare(sent, "weighted-sent")) == ledger(here)
    kept = complete(site.folder, "cache-*/weights/*/*/begin.safetensors")
    assert kept
    assert {sha256_of(path) for path in kept} == {sha256_of(weights)}


@thorough
def test_features_are_computed_once_and_fetched(site: Site) -> None:
    """Else each machine computes them, perhaps by another layout of memory: other bits."""
    more = "backbone: {train: none}"
    here = site.compare(site.study("frozen-here", more), "here", executor="local", workers=1)
    shutil.rmtree(site.folder / "cache" / "features")
    there = site.compare(site.study("frozen", f"{more}\nexecution: {{shared: false}}"), "there")
    assert ledger(there).keys() == ledger(here).keys()
    prepared = Ledger.open(there).file.prepared
    by_name: dict[str, set[str]] = {}
    for path in complete(site.folder, "cache-*/features/*/features.npy"):
        if json.loads(path.with_name("manifest.json").read_bytes())["key"]["prepared"] == prepared:
            by_name.setdefault(path.parent.name, set()).add(sha256_of(path))
    assert len(by_name) == 2  # random weights: each seed has its own
    assert all(len(digests) == 1 for digests in by_name.values())


def test_a_disk_without_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_sets, "ROOM", 1 << 62)
    wanted = file_sets.FileSet("prepared/x", (("pictures.npy", 10, "0" * 64),))
    with pytest.raises(StorageError, match="not enough space"):
        list(file_sets.fetch(wanted, str(tmp_path), []))


@thorough
def test_a_lost_head_is_told_and_the_study_resumes(site: Site, plain: dict[str, Any]) -> None:
    """The last test: it ends the cluster."""
    study = site.study("headless")
    command = site.command(study, "headless")
    wait_for(lambda: list((site.folder / "headless").glob("runs/*/*/history.jsonl")))
    os.kill(site.found["head"], signal.SIGKILL)
    _, said = command.communicate(timeout=300)
    assert command.returncode == RunError.exit_code
    assert "same command again" in said
    site.compare(study, "headless", executor="local", workers=1)
    assert ledger(site.folder / "headless") == plain
