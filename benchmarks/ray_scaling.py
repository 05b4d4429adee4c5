"""How much longer does a study take on Ray than by worker processes, and what do two cores bring?

    python benchmarks/ray_scaling.py [--images N] [--epochs N] [--seeds N] [--rounds N]
        [--workers N ...]

The same study of drawn images, by one and by two worker processes and by one and two of Ray's on
this machine, by turns. Wall time, from the command's start to its end: on a machine that does
nothing else, since Ray's processes are not waited for and their CPU time cannot be told. Ray's time
has a cluster's start and end in it; the images are prepared beforehand. Medians with least and
greatest, as Markdown; every finished study's test accuracies must be the same, or it fails.
"""

import argparse
import csv
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from measuring import Measurement, Task, interleaved, measure
from tables import case_table

LOCAL, RAY = "worker processes", "Ray"
CASE = "{images} drawn images of 64 pixels, gap and fc, {seeds} seeds, {epochs} epochs"


def study_file(path: Path, options: argparse.Namespace) -> Path:
    """What all sides train."""
    path.write_text(
        f"name: scaling\ndata: synthetic\n"
        f"pictures: {{image_size: 64, limit: {options.images}}}\nheads: [gap, fc]\n"
        f"seeds: {options.seeds}\nrecipe: {{epochs: {options.epochs}, batch_size: 64}}\n",
        encoding="utf-8",
    )
    return path


def command(
    study: Path, cache: Path, workers: int, side: str, scratch: Path, *options: str
) -> list[str]:
    """One way to run the study."""
    words = ["-m", "headtohead", "compare", str(study), "--device", "cpu"]
    words += ["--workers", str(workers), "--out", str(scratch / "out"), *options]
    words += ["--executor", "ray"] if side == RAY else []
    return ["env", f"HEADTOHEAD_CACHE={cache}", sys.executable, *words]


def accuracies(scratch: Path) -> Mapping[str, float]:
    """Of all runs."""
    with (scratch / "out" / "results.csv").open(encoding="utf-8", newline="") as file:
        return {
            f"{row['head']} {row['seed']}": float(row["test_accuracy"])
            for row in csv.DictReader(file)
            if row["seed"]
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 1])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ray-scaling-") as name:
        folder = Path(name)
        study, cache = study_file(folder / "scaling.yaml", options), folder / "cache"
        case = CASE.format(**vars(options))
        tasks = [
            Task(
                "scaling",
                case,
                f"{side}, {workers}",
                partial(command, study, cache, workers, side),
                results=accuracies,
            )
            for workers in options.workers
            for side in (LOCAL, RAY)
        ]
        short = ("--seeds", "1", "--epochs", "1")
        before = partial(command, study, cache, options.workers[0], LOCAL)
        prepares = Task("scaling", case, "prepares", lambda scratch: before(scratch, *short))
        measure(prepares, 0)  # the images, and compiles what is not compiled yet
        outcomes: list[Measurement] = []
        for outcome in interleaved(tasks, options.rounds):
            if not isinstance(outcome, Measurement):
                raise SystemExit(f"{outcome.side}: {outcome.words}")
            if outcomes and outcome.said != outcomes[0].said:
                raise SystemExit(f"{outcome.side}: {outcome.said}, not {outcomes[0].said}")
            outcomes.append(outcome)
    sides = [f"{LOCAL}, {workers}" for workers in options.workers]
    print(case_table([replace(one, said={}) for one in outcomes], sides))


if __name__ == "__main__":
    main()
