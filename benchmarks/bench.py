"""The whole benchmark: headtohead and its peers by turns, in one run, each a process of its own.

    python benchmarks/bench.py --data FOLDER

FOLDER has one subfolder of photographs per class. Every question (`--only`) is asked of every side
in each repetition, so that what else the machine does hits them alike; medians and ranges are
printed as Markdown, and every measurement is written as JSON with machine, versions and commands.
CPU seconds are those of the whole process tree. `make bench` installs the peers first.
"""

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import growth
import preparing
import startup
import study
from measuring import OURS, Measurement, Task, interleaved, machine, versions
from photographs import copy_photographs
from setting import HERE, Setting
from tables import report


def step_tasks(setting: Setting) -> list[Task]:
    """The step against its convolutions."""
    timings = ["--repetitions", "1" if setting.quick else "3"]
    command = [sys.executable, str(HERE / "step.py"), *timings]
    return [Task("step", "CPU ms per picture, one core", OURS, lambda scratch: command)]


QUESTIONS: dict[str, Callable[[Setting], list[Task]]] = {
    "study": study.tasks,
    "preparing": preparing.tasks,
    "startup": startup.tasks,
    "growth": growth.tasks,
    "step": step_tasks,
}
SIZES = {"repetitions": 3, "limit": 1000, "epochs": 3}
QUICK = {"repetitions": 1, "limit": 240, "epochs": 1}
NEED_PEERS = ("study", "preparing")
PACKAGES = {
    "headtohead": ("headtohead", "torch", "numpy", "pillow"),
    "TensorFlow peers": ("tensorflow", "keras"),
    "PyTorch peers": ("torch", "keras", "lightning", "pillow", "simplejpeg"),
}


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="two folders of photographs")
    parser.add_argument("--only", default=",".join(QUESTIONS), help="questions, with commas")
    parser.add_argument("--repetitions", type=int)
    parser.add_argument("--limit", type=int, help="photographs in all")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--quick", action="store_true", help="small: does it all work?")
    parser.add_argument("--tensorflow-python", type=Path, default=Path(".venv-peers/bin/python"))
    parser.add_argument("--torch-python", type=Path, default=Path(".venv-torch-peers/bin/python"))
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    options = parser.parse_args(words)
    options.only = options.only.split(",")
    unknown = set(options.only) - set(QUESTIONS)
    if unknown:
        parser.error(f"no question {', '.join(sorted(unknown))}; there are {', '.join(QUESTIONS)}.")
    for name, value in (QUICK if options.quick else SIZES).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    for python in (options.tensorflow_python, options.torch_python):
        if set(options.only) & set(NEED_PEERS) and not python.exists():
            parser.error(f"no {python}: run `make bench`, or `make peers`, which installs it.")
    return options


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        work = Path(folder)
        counts = copy_photographs(options.data, work / "photographs", options.limit)
        setting = Setting(
            data=options.data.resolve(),
            photographs=work / "photographs",
            counts=counts,
            limit=options.limit,
            epochs=options.epochs,
            work=work,
            quick=options.quick,
            # Absolute, and not resolved: what a link leads to is not the environment.
            tensorflow_python=options.tensorflow_python.absolute(),
            torch_python=options.torch_python.absolute(),
        )
        tasks = [task for question in options.only for task in QUESTIONS[question](setting)]
        measurements = interleaved(tasks, options.repetitions)
    content = described(options, measurements)
    options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(report(measurements, OURS))
    print(f"\n{content['machine']}\n{content['versions']}\n{content['command']}")


def described(options: argparse.Namespace, measurements: list[Measurement]) -> dict[str, object]:
    """All that a reader needs to judge the numbers, and to get them again."""
    pythons = {
        "headtohead": Path(sys.executable),
        "TensorFlow peers": options.tensorflow_python,
        "PyTorch peers": options.torch_python,
    }
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "benchmarks/bench.py", *sys.argv[1:]]),
        "machine": machine(),
        "versions": {
            name: versions(python, PACKAGES[name])
            for name, python in pythons.items()
            if python.exists()
        },
        "measurements": [asdict(measurement) for measurement in measurements],
    }


if __name__ == "__main__":
    main()
