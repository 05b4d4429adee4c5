"""What share of a run's CPU time its book-keeping takes.

    python benchmarks/bookkeeping.py --data FOLDER

trains one head in a worker, as `headtohead compare` does, with the progress display of a terminal.
The parent does nothing but listen, show progress and write TensorBoard events: its CPU seconds over
the run's are the first share. Then the same run is trained in this process under cProfile, whose
clock is the process's CPU time: what history, checkpoints and the record take of it is the second.
Prints one JSON object.

The shares are those of the epochs that the folder's photographs make: with few of them they are
larger than any study's. Not counted are waiting for the disk, a worker's messages to its parent,
and what comes once a study, before and after its runs: plan, ledger's first files, probes, tables
and page, all of which are in the time of whole studies.
"""

import argparse
import cProfile
import json
import os
import pstats
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from headtohead.config.from_options import study_from
from headtohead.config.study import StudySpec
from headtohead.data.pipeline import prepare_study, split_study
from headtohead.data.prepared import PreparedSet
from headtohead.runtime.jobs import Job
from headtohead.runtime.local import local_executor
from headtohead.runtime.preflight import answer_of, first_worker, question_about
from headtohead.runtime.progress import Display
from headtohead.runtime.runner import StudyRunner
from headtohead.store.ledger import Ledger
from headtohead.store.new_study import study_file
from headtohead.store.records import EpochRecord
from headtohead.training.device import set_up_worker
from headtohead.training.inputs import Pictures
from headtohead.training.plans import RunPlan
from headtohead.training.run import train

HEAD = "fc"  # the one with the largest checkpoints
WRITING = (("engine.py", "save"), ("engine.py", "_finish"), ("files.py", "append_line"))


@dataclass(frozen=True)
class Silent:
    """A watcher that only counts, so that nothing but the engine is profiled."""

    def start(self, epochs: int) -> None: ...
    def step(self, epoch: int, done: int, pictures: int) -> None: ...
    def epoch(self, record: EpochRecord) -> None: ...
    def note(self, message: str) -> None: ...


def in_parent(ledger: Ledger, prepared: PreparedSet) -> float:
    """Parent's CPU seconds over those of the run's epochs."""
    question = question_about(ledger.file.study, "cpu", 1, deterministic=False)
    with (
        first_worker(question) as standby,
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        Display(Console(file=nowhere, force_terminal=True)) as display,
        local_executor(standby, answer_of(standby).setups, ledger.out, prepared) as executor,
    ):
        before = _own_seconds()
        failures = StudyRunner(executor, display).train(ledger, [Job(HEAD, 0)])
        spent = _own_seconds() - before
    if failures:
        raise SystemExit("; ".join(failures))
    run = ledger.run(HEAD, 0)
    if run is None:
        raise SystemExit(f"the run of {HEAD} left no record in {ledger.out}")
    return spent / run.record.cpu_seconds


def in_worker(spec: StudySpec, ledger: Ledger, prepared: PreparedSet, folder: Path) -> float:
    """CPU seconds in writing over all CPU seconds of `train`, by cProfile."""
    cpu = torch.device("cpu")
    set_up_worker(None, cpu, deterministic=False)
    plan = RunPlan(
        key=ledger.run_key(HEAD, 0),
        head=HEAD,
        seed=0,
        head_spec=spec.heads[HEAD],
        backbone=spec.backbone,
        recipe=spec.recipe_for(HEAD),
        image_size=spec.pictures.image_size,
        classes=len(prepared.classes),
    )
    pictures = Pictures(prepared.images, prepared.labels, cpu)
    profile = cProfile.Profile(time.process_time)
    profile.runcall(train, plan, pictures, split_study(spec, prepared, 0), folder, Silent())
    return written(pstats.Stats(profile))


def written(stats: pstats.Stats) -> float:
    """Share of a profile that the functions in `WRITING` took, what they call included."""
    found = {
        (Path(file).name, name): times[3]
        for (file, _, name), times in stats.stats.items()  # type: ignore[attr-defined]
        if (Path(file).name, name) in WRITING
    }
    if len(found) != len(WRITING):
        raise SystemExit(f"{set(WRITING) - set(found)} never ran: name what replaced them")
    return float(sum(found.values()) / stats.total_tt)  # type: ignore[attr-defined]


def _own_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    spec = study_from(None, data=options.data, heads=HEAD, seeds=1, epochs=options.epochs)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _, prepared = prepare_study(spec, cache=root / "cache", progress=lambda *_: None)
        ledger = Ledger.create(root / "out", study_file(spec, prepared))
        parent = in_parent(ledger, prepared)
        worker = in_worker(spec, ledger, prepared, root / "run")
    shares = {
        "percent_for_progress_and_TensorBoard": 100 * parent,
        "percent_for_history_and_checkpoints": 100 * worker,
        "percent_in_all": 100 * (parent + worker),
    }
    print(json.dumps(shares))


if __name__ == "__main__":
    main()
