"""The main path, in real processes: it resumes, extends, survives kills and tells failures."""

import csv
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from headtohead.cli import main
from headtohead.compare import compare
from headtohead.core.files import sha256_of
from headtohead.probes.base import read_run
from headtohead.probes.class_maps import CLASS_MAPS
from headtohead.store.changes import LateChange, read_changes
from headtohead.store.ledger import Ledger
from headtohead.store.records import read_history
from ledgers import add_run
from photographs import write_pictures
from stated import stated

TIMING = {"seconds", "cpu_seconds", "pictures_per_second"}
PATIENCE = 300.0  # seconds, on a machine that does other work
SMALL = """
heads: {fc_dropout: {recipe: {epochs: 8}}, gap: }
seeds: 2
pictures: {image_size: 36}
recipe: {epochs: 3, batch_size: 16, shuffle_buffer: 50}
"""

Command = Callable[..., list[str]]
pytestmark = pytest.mark.usefixtures("quick_workers")  # of commands in this process: see `finish`


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("source"), {"cat": 60, "dog": 60})


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def command(source: Path, cache: Path) -> Command:
    """The words after `headtohead` of a study with one worker."""

    def build(out: Path, *extra: str, study: str = SMALL) -> list[str]:
        file = source.with_name(f"{out.name}.yaml")
        file.write_text(study)
        return [
            *("compare", str(file), "--data", str(source), "--cache", str(cache)),
            *("--out", str(out), "--workers", "1", *extra),
        ]

    return build


def finish(words: list[str], code: int = 0) -> Result:
    """The command in this process; its workers are processes of their own, forked."""
    done = CliRunner().invoke(main, words)
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.stderr
    return done


def alone(command: list[str], folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def curves(out: Path) -> dict[str, Any]:
    return {
        str(path.parent.relative_to(out)): [
            record.model_dump(exclude=TIMING) for record in read_history(path.parent)
        ]
        for path in sorted(out.glob("runs/*/*/history.jsonl"))
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, command: Command) -> Path:
    out = tmp_path_factory.mktemp("studies") / "undisturbed"
    finish(command(out))
    return out


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def epochs_on_disk(out: Path) -> int:
    return sum(len(read_history(path.parent)) for path in out.glob("runs/*/*/history.jsonl"))


def start_until_epochs(words: list[str], out: Path, epochs: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "headtohead", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: epochs_on_disk(out) >= epochs)
    return process


WITHOUT_TORCH = """
import sys
from headtohead.cli import main
from headtohead.compare import compare
try:
    main()
finally:
    assert "torch" not in sys.modules
"""


def test_results_are_on_disk_and_the_same_command_again_trains_nothing(
    undisturbed: Path, command: Command
) -> None:
    """Nor does it import torch: else every command waits for it before it does anything."""
    with (undisturbed / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["head"], row["seed"]) for row in rows[:-1]} == {
        (head, str(seed)) for head in ("fc_dropout", "gap") for seed in (0, 1)
    }
    assert rows[-1]["head"] == "largest class"
    assert list((undisturbed / "figures").glob("*.png"))
    assert list((undisturbed / "figures").glob("*.svg"))
    assert list((undisturbed / "tensorboard").rglob("events.*"))
    before = {p: p.stat().st_mtime_ns for p in undisturbed.glob("runs/*/*/*")}
    again = alone([sys.executable, "-c", WITHOUT_TORCH, *command(undisturbed, "--json")])
    assert {p: p.stat().st_mtime_ns for p in undisturbed.glob("runs/*/*/*")} == before
    assert again.stdout == (undisturbed / "summary.json").read_text()
    assert json.loads(again.stdout)["format"] == 1


@pytest.mark.usefixtures("no_report")
def test_heads_and_seeds_grow_without_training_anything_twice(
    tmp_path: Path, undisturbed: Path, command: Command
) -> None:
    out = tmp_path / "grown"
    finish(command(out, "--heads", "gap", "--seeds", "1"))
    before = (out / "runs/gap/seed-0/run.json").read_bytes()
    told = finish(command(out)).stderr.splitlines()
    (few,) = (line for line in told if "for any verdict" in line)
    assert few.startswith("Note: 1 comparison at level 0.05 takes at least 6 seeds")  # as in `plan`
    assert (out / "runs/gap/seed-0/run.json").read_bytes() == before
    assert curves(out) == curves(undisturbed)
    fewer = finish(command(out, "--heads", "gap"))
    assert "also has fc_dropout" in fewer.stderr  # else a head left out goes on costing hours
    assert Ledger.open(out).file.functions == {"gap": "one linear layer on the means"}


def test_what_is_changed_late_is_kept_with_the_ledger(
    tmp_path: Path, source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else only whoever saw the terminal knows that seeds came after a look."""
    module = sys.modules["headtohead.compare"]
    # Runs are written down below: here it counts what the command does before them.
    monkeypatch.setattr(module, "_run_and_report", lambda ledger, *others: ledger)

    def asked(seeds: int) -> Any:
        return compare(
            data=str(source),
            cache=cache,
            out=tmp_path / "late",
            workers=1,
            heads="gap,gmp",
            seeds=seeds,
            image_size=36,
            epochs=1,
        )

    ledger = asked(6)
    for head in ("gap", "gmp"):
        for seed in range(6):
            add_run(ledger, head, seed)
    asked(6)
    assert read_changes(tmp_path / "late") == ()
    asked(7)
    assert read_changes(tmp_path / "late") == (LateChange(seeds=(6, 7)),)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.usefixtures("no_report")
def test_a_study_survives_every_kind_of_death_to_the_bit(
    tmp_path: Path, undisturbed: Path, command: Command
) -> None:
    """Parent killed, worker killed, Ctrl-C: no orphan, and curves as if nothing had happened."""
    out = tmp_path / "killed"
    words = command(out, "--heads", "fc_dropout", "--workers", "2")

    parent = start_until_epochs([*words, "--workers", "1"], out, 1)
    parent.send_signal(signal.SIGINT)
    _, told = parent.communicate(timeout=PATIENCE)
    assert parent.returncode == 130, told
    assert "same command" in told
    assert "Traceback" not in told
    reached = epochs_on_disk(out)

    parent = start_until_epochs(words, out, reached + 1)
    workers = children(parent.pid)
    assert len(workers) == min(2, len(os.sched_getaffinity(0)))
    parent.kill()
    parent.communicate()
    wait_for(lambda: not any(map(is_running, workers)))
    reached = epochs_on_disk(out)

    parent = start_until_epochs(words, out, reached + 1)
    os.kill(children(parent.pid)[0], signal.SIGKILL)
    _, told = parent.communicate(timeout=300)
    assert parent.returncode == 4, told
    assert "SIGKILL" in told
    assert len(Ledger.open(out).runs()) == 1

    finish(words)
    whole = curves(undisturbed)
    assert curves(out) == {name: whole[name] for name in whole if "fc_dropout" in name}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.usefixtures("no_report")
def test_a_shared_backbone_goes_from_head_to_head_also_over_a_kill(
    tmp_path: Path, undisturbed: Path, command: Command
) -> None:
    """Else the second head starts anew, or from a backbone that nobody trained, unnoticed."""
    study = SMALL.replace("gap: }", "gap: {after: fc_dropout, recipe: {epochs: 6}}}")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    words = command(killed, "--seeds", "1", study=study)
    finish(command(whole, "--seeds", "1", study=study))
    parent = start_until_epochs(words, killed, 8 + 2)
    parent.kill()
    parent.communicate()
    finish(words)
    assert curves(killed) == curves(whole)
    first, later = "runs/fc_dropout/seed-0", "runs/gap/seed-0"
    separate = curves(undisturbed)
    assert curves(whole)[first] == separate[first]
    assert curves(whole)[later][0] != separate[later][0]


@pytest.mark.usefixtures("no_drawing")
def test_a_run_that_diverges_is_told_and_the_others_go_on(tmp_path: Path, command: Command) -> None:
    wild = "wild: {head: fc, recipe: {learning_rate: 1.0e+38}}"
    study, out = SMALL.replace("fc_dropout: {recipe: {epochs: 8}}", wild), tmp_path / "out"
    told = finish(command(out, "--seeds", "1", "--epochs", "2", study=study), code=4)
    assert "wild seed 0" in told.stderr
    assert "not finite" in told.stderr
    runs = {run.record.head: run.record for run in Ledger.open(out).runs()}
    assert runs["gap"].status == "finished"
    assert runs["wild"].failure is not None


@pytest.mark.usefixtures("no_drawing")
def test_a_study_without_weights_still_reports_and_draws_the_same_figures(
    tmp_path: Path, command: Command, undisturbed: Path
) -> None:
    """Else a report made anew shows other figures than the study that it is of, or none."""
    out = tmp_path / "light"
    shutil.copytree(undisturbed, out)
    for weights in out.rglob("*.safetensors"):
        weights.unlink()
    summary = (out / "summary.json").read_bytes()
    by_workers = {path.name: path.read_bytes() for path in (out / "figures").iterdir()}
    finish(["report", str(out), "--figures"])
    assert (out / "summary.json").read_bytes() == summary
    assert {name: (out / "figures" / name).read_bytes() for name in by_workers} == by_workers
    assert {"all_heads_accuracy.png", "all_heads_loss.svg"} <= by_workers.keys()
    finish(command(out))


OWN_HEAD = """\
from headtohead import Head
from headtohead.backbones.layers import dense
class Largest(Head):
    "Largest value of each map."
    def __init__(self, channels, size, outputs):
        super().__init__(channels, size, outputs)
        self.linear = dense(channels, outputs)
    def forward(self, features):
        print("a word of its own")
        return self.linear(features.amax((2, 3)))
    def class_maps(self, features):
        return None
"""
OWN_BACKBONE = """\
from torch import nn
class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.channels = width
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 7, stride=4, padding=3), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
        )
    def forward(self, images):
        return self.layers(images)
"""


def test_a_head_and_a_backbone_of_the_users_own_are_found_in_the_current_folder(
    tmp_path: Path, source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else "any backbone, any head" are headtohead's alone: every probe and report must take it."""
    (tmp_path / "mine.py").write_text(OWN_HEAD)
    (tmp_path / "own.py").write_text(OWN_BACKBONE)
    monkeypatch.syspath_prepend(tmp_path)
    weights = importlib.import_module("own").Net(6).state_dict()
    torch.save({"state_dict": {f"module.{n}": v for n, v in weights.items()}}, tmp_path / "w.pth")
    (tmp_path / "study.yaml").write_text(
        "backbone: {name: 'own:Net', options: {width: 6}, weights: w.pth, train: all}\n"
        "heads: [gap, 'mine:Largest']\nrecipe: {epochs: 1}\nseeds: 1\n"
        "pictures: {image_size: 36}\n"
    )
    program = Path(sys.executable).with_name("headtohead")
    command = [
        *(str(program), "compare", "study.yaml", "--data", str(source)),
        *("--cache", str(cache), "--workers", "1"),
    ]
    done = alone(command, tmp_path)
    (out,) = (tmp_path / "runs").iterdir()
    assert "a word of its own" not in done.stdout + done.stderr
    assert "a word of its own" in "".join(path.read_text() for path in (out / "logs").iterdir())
    ledger = Ledger.open(out)
    assert ledger.file.study.backbone.weights_sha256 == sha256_of(tmp_path / "w.pth")
    assert {run.record.head for run in ledger.runs()} == {"gap", "mine.Largest"}
    for run in ledger.runs():
        assert run.record.feature_maps == (6, 5, 5)
        assert run.record.environment["kernels"] == "plain"
    maps = read_run(ledger, CLASS_MAPS, "gap", 0)
    assert maps is not None
    assert (maps.first, maps.stride) == (0, 8)


@pytest.mark.usefixtures("no_drawing")
def test_seeds_are_added_up_to_the_declared_looks(tmp_path: Path, command: Command) -> None:
    """One seed is asked for and a look at two pairs declared: the second seed is trained."""
    study = SMALL.replace("{recipe: {epochs: 8}}", "")
    study += "verdict: {reference: gap, looks: [2]}\n"
    study += "tuning: {trials: 2, recipe: {learning_rate: [0.001, 0.01]}}\n"
    out = tmp_path / "looked"
    options = ("--until-decided", "fc_dropout", "--seeds", "1", "--epochs", "1")
    told = finish(command(out, *options, study=study))
    assert "headtohead tune" in told.stderr  # else untuned heads pass for tuned ones
    (look,) = (line for line in told.stderr.splitlines() if "not decided" in line)
    assert stated(look, "pairs", "not decided")[:3] == ["2", "pairs", "not decided"]
    assert re.search("look 1 .* 1 .* 2 pairs", " ".join(told.stdout.split()))
    assert len(Ledger.open(out).runs()) == 4
    with (out / "pictures.csv").open() as file:
        pictures = list(csv.DictReader(file))
    assert len(pictures) == 120
    assert {row["split"] for row in pictures} == {"train", "validation", "test"}
