"""What does a run on a frozen backbone cost, its probes included, after the first of its worker?

    headtohead compare cats.yaml --workers 1 --out OUT
    python benchmarks/frozen_runs.py OUT --cache FOLDER [--rounds N]

In a copy of the study OUT, whose images and features lie in the cache FOLDER, the runs of seed 0
are done again by one process, as a worker does them: first that of the first head, which pays for
what every run is shown, then every head's, in so many rounds. Told is the CPU time of each job:
wall time says nothing on a machine that does other work. Medians with least and greatest, as
Markdown.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import torch

from headtohead.data.prepared import load_prepared
from headtohead.runtime.jobs import Job
from headtohead.runtime.run_job import Workplace, run_job
from headtohead.store.ledger import Ledger
from headtohead.training.acceleration import get_ready
from headtohead.training.device import set_up_worker
from tables import spread, table


def seconds_of(head: str, place: Workplace) -> float:
    """CPU seconds of a run of seed 0 that is done from its beginning."""
    shutil.rmtree(place.out / "runs" / head / "seed-0", ignore_errors=True)
    for probe in (place.out / "evidence").iterdir():
        shutil.rmtree(probe / head, ignore_errors=True)
    began = time.process_time()
    run_job(Job(head, 0), place, lambda event, **details: None)
    return time.process_time() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    ledger, device = Ledger.open(given.out), torch.device("cpu")
    manifests = (given.cache / "prepared").glob("*/manifest.json")
    folders = [path.parent for path in manifests]
    prepared = next(f for f in folders if load_prepared(f).digest == ledger.file.prepared)
    get_ready(ledger.file.study.backbone)
    set_up_worker(None, device, deterministic=False)
    with tempfile.TemporaryDirectory() as made:
        copy = Path(shutil.copytree(given.out, Path(made) / "out"))
        place, heads = Workplace(copy, prepared, device), list(ledger.file.study.heads)
        print(f"the first run of its worker, {heads[0]}: {seconds_of(heads[0], place):.1f} CPU s\n")
        taken = [[seconds_of(head, place) for head in heads] for _ in range(given.rounds)]
    each = zip(heads, zip(*taken, strict=True), strict=True)
    print(table(["head", "CPU s a run"], [[f"`{head}`", spread(times)] for head, times in each]))


if __name__ == "__main__":
    main()
