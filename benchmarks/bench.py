"""The whole benchmark: headtohead and its peers by turns, in one run, each a process of its own.

    python benchmarks/bench.py --data FOLDER

FOLDER has one subfolder of photographs per class. Every question (`--only`) is asked of every side
in each repetition, so that what else the machine does hits them alike; medians, ranges and whether
each target holds are printed as Markdown, and every measurement is written as JSON with machine,
versions and commands (and the tables beside it), again after each process. A side that fails is
recorded in words and the others go on; the exit status is 1 then. CPU seconds and memory are those
of the whole process tree. `make bench` installs the peers first.
"""

import argparse
import shlex
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import growth
import measures
import preparing
import startup
import step
import study
from measuring import Task, interleaved
from provenance import machine, versions
from recording import Recording
from same_files import copy_photographs
from setting import Setting

QUESTIONS: dict[str, Callable[[Setting], list[Task]]] = {
    "startup": startup.tasks,
    "preparing": preparing.tasks,
    "step": step.tasks,
    "measures": measures.tasks,
    "growth": growth.tasks,
    "study": study.tasks,
}
SIZES = {"repetitions": 3, "limit": 5000, "epochs": 5}
QUICK = {"repetitions": 1, "limit": 240, "epochs": 1}
NEED_PEERS = ("study", "preparing", "step")
PACKAGES = {
    "headtohead": ("headtohead", "torch", "numpy", "numba", "pillow"),
    "TensorFlow peers": ("tensorflow", "keras"),
    "PyTorch peers": ("torch", "keras", "lightning", "pillow", "simplejpeg"),
}


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="two folders of photographs")
    parser.add_argument("--only", default=",".join(QUESTIONS), help="questions, with commas")
    parser.add_argument("--side", action="append", help="this one alone; may be given again")
    parser.add_argument("--repetitions", type=int, help="default 3")
    parser.add_argument("--limit", type=int, help="photographs in all; default 5000")
    parser.add_argument("--epochs", type=int, help="of each study; default 5")
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
    recording = Recording(options.out, described(options))
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
        tasks = chosen(setting, options.only, options.side)
        for outcome in interleaved(tasks, options.repetitions):
            recording.add(outcome)
    print(recording.tables())
    if recording.failures:
        raise SystemExit(f"{len(recording.failures)} processes failed; see {options.out}")


def chosen(setting: Setting, questions: list[str], sides: list[str] | None) -> list[Task]:
    """The tasks of the questions, or of these sides alone. Raises SystemExit for an unknown one."""
    tasks = [task for question in questions for task in QUESTIONS[question](setting)]
    known = dict.fromkeys(task.side for task in tasks)
    for side in sides or ():
        if side not in known:
            raise SystemExit(
                f"no side {side!r} in {', '.join(questions)}; there are: "
                f"{', '.join(map(repr, known))}."
            )
    return [task for task in tasks if not sides or task.side in sides]


def described(options: argparse.Namespace) -> dict[str, Any]:
    """All that a reader needs to judge the numbers, and to get them again."""
    pythons = {
        "headtohead": Path(sys.executable),
        "TensorFlow peers": options.tensorflow_python,
        "PyTorch peers": options.torch_python,
    }
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "benchmarks/bench.py", *sys.argv[1:]]),
        "machine": machine(),
        "versions": {
            name: versions(python, PACKAGES[name])
            for name, python in pythons.items()
            if python.exists()
        },
    }


if __name__ == "__main__":
    main()
