"""Training pictures per second: headtohead against the article's script, side by side.

    python benchmarks/throughput.py --data FOLDER --out throughput.json

runs both on the same photographs by turns, several times, in processes of their own, each free to
use all cores; which goes first alternates. headtohead trains as it does by default on a CPU, one
worker per core, here one seed of one head in each. Both are measured from an epoch's start to its
last training step, and from the process's start to its end; the article's script is credited with
its faster epochs (all but the first, which compiles and fills the shuffle window). CPU seconds are
those of the whole process tree. A third side is the article's script with its pictures decoded
once and kept in memory, which shows how much of the difference is decoding. Prints a table; writes
every measurement, with the machine, versions and commands, as JSON.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
CLAIM = 3.0
BATCH = 64
OURS = "headtohead"
PEERS = {"article's script": "nothing", "article's script, decoded once": "memory"}


@dataclass(frozen=True)
class Measurement:
    """One run of one side. `pictures` were trained on; `*_all` count the whole process tree."""

    side: str
    repetition: int
    pictures: int
    pictures_per_second: float
    seconds_all: float
    cpu_seconds_all: float
    load_before: float

    @property
    def pictures_per_second_all(self) -> float:
        """Over the process's whole life: start, decoding, training, evaluation, results."""
        return self.pictures / self.seconds_all

    @property
    def cpu_ms_per_picture(self) -> float:
        return 1000 * self.cpu_seconds_all / self.pictures


@dataclass(frozen=True)
class Finished:
    """A process that ended well: what it printed, and its tree's wall and CPU seconds."""

    stdout: str
    seconds: float
    cpu_seconds: float


def run(command: list[str], environment: dict[str, str]) -> Finished:
    """Run to the end. CPU seconds include children that were waited for, as both sides' are."""
    before, began = os.times(), time.perf_counter()
    result = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    after = os.times()
    if result.returncode:
        raise SystemExit(f"{shlex.join(command)} ended with {result.returncode}:\n{result.stderr}")
    cpu = (
        after.children_user + after.children_system - before.children_user - before.children_system
    )
    return Finished(result.stdout, time.perf_counter() - began, cpu)


def our_command(options: argparse.Namespace, out: Path) -> list[str]:
    return [
        sys.executable, "-m", "headtohead", "compare", "--data", str(options.data),
        "--heads", options.head, "--seeds", str(options.workers),
        "--workers", str(options.workers), "--epochs", str(options.epochs),
        "--limit", str(options.limit), "--device", "cpu", "--out", str(out),
    ]  # fmt: skip


def peer_command(options: argparse.Namespace, keep: str, out: Path) -> list[str]:
    # As many epochs as headtohead's workers train together: the same number of pictures.
    return [
        str(options.peer_python), str(HERE.parent / "examples/keras_article.py"),
        "--data", str(options.data), "--heads", options.head,
        "--limit", str(options.limit), "--epochs", str(options.epochs * options.workers),
        "--keep", keep, "--out", str(out),
    ]  # fmt: skip


def steps_of(options: argparse.Namespace) -> int:
    return max(1, int(0.8 * options.limit) // BATCH)


def measure_ours(options: argparse.Namespace, repetition: int) -> Measurement:
    """From a cold start, decoding included. Workers train side by side: their rates add up."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "study"
        cache = {"HEADTOHEAD_CACHE": str(Path(folder) / "cache")}
        finished = run(our_command(options, out), cache)
        study = yaml.safe_load((out / "study.yaml").read_text("utf-8"))
        rates = [
            [
                json.loads(line)["pictures_per_second"]
                for line in path.read_text("utf-8").splitlines()
            ]
            for path in sorted(out.glob("runs/*/*/history.jsonl"))
        ]
    steps = sum(study["counts"]["train"].values()) // BATCH
    return Measurement(
        side=OURS,
        repetition=repetition,
        pictures=sum(map(len, rates)) * steps * BATCH,
        pictures_per_second=sum(min(epochs) for epochs in rates),
        seconds_all=finished.seconds,
        cpu_seconds_all=finished.cpu_seconds,
        load_before=load,
    )


def measure_peer(options: argparse.Namespace, repetition: int, side: str) -> Measurement:
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        finished = run(peer_command(options, PEERS[side], out), {"CUDA_VISIBLE_DEVICES": ""})
        text = (out / options.head / "seed-0" / "history.jsonl").read_text("utf-8")
    rates = [json.loads(line)["pictures_per_second"] for line in text.splitlines()]
    return Measurement(
        side=side,
        repetition=repetition,
        pictures=len(rates) * steps_of(options) * BATCH,
        pictures_per_second=max(rates[1:] or rates),
        seconds_all=finished.seconds,
        cpu_seconds_all=finished.cpu_seconds,
        load_before=load,
    )


def measure_all(options: argparse.Namespace) -> list[Measurement]:
    """Every side once a repetition; each repetition starts with another side."""
    sides = [OURS, *PEERS]
    measurements = []
    for repetition in range(options.repetitions):
        turn = repetition % len(sides)
        for side in sides[turn:] + sides[:turn]:
            print(f"repetition {repetition + 1} of {options.repetitions}: {side}", file=sys.stderr)
            measurements.append(
                measure_ours(options, repetition)
                if side == OURS
                else measure_peer(options, repetition, side)
            )
    return measurements


def summary_of(measurements: list[Measurement], field: str) -> dict[str, dict[str, float]]:
    """Median, least and greatest of a field, by side."""
    values: dict[str, list[float]] = {}
    for measurement in measurements:
        values.setdefault(measurement.side, []).append(getattr(measurement, field))
    return {
        side: {"median": statistics.median(v), "min": min(v), "max": max(v)}
        for side, v in values.items()
    }


def ratios(measurements: list[Measurement], peer: str) -> list[float]:
    """headtohead's training rate over the peer's, within each repetition."""
    rate = {(m.side, m.repetition): m.pictures_per_second for m in measurements}
    repetitions = sorted({m.repetition for m in measurements})
    return [rate[OURS, r] / rate[peer, r] for r in repetitions]


def machine() -> dict[str, str | int | None]:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
    }


def versions(options: argparse.Namespace) -> dict[str, str]:
    names = ("headtohead", "torch", "numpy")
    ours = {name: importlib.metadata.version(name) for name in names}
    code = (
        "import importlib.metadata as m; "
        "print(*(f'{n} {m.version(n)}' for n in ('tensorflow', 'keras')), sep='\\n')"
    )
    printed = run([str(options.peer_python), "-c", code], {}).stdout
    theirs = dict(line.split() for line in printed.splitlines())
    return {"python": platform.python_version(), **ours, **theirs}


TABLE = (
    ("pictures_per_second", "training pictures/s", 0),
    ("pictures_per_second_all", "pictures/s, start to end", 0),
    ("cpu_ms_per_picture", "CPU ms/picture, start to end", 1),
)


def table(measurements: list[Measurement]) -> str:
    """Markdown: median (least to greatest) of each side, then the ratios."""
    rows = ["| | " + " | ".join(title for _, title, _ in TABLE) + " |", "|---|---|---|---|"]
    columns = [(summary_of(measurements, field), digits) for field, _, digits in TABLE]
    for side in (OURS, *PEERS):
        cells = [
            f"{c[side]['median']:.{d}f} ({c[side]['min']:.{d}f} to {c[side]['max']:.{d}f})"
            for c, d in columns
        ]
        rows.append(f"| {side} | " + " | ".join(cells) + " |")
    for peer in PEERS:
        times = ratios(measurements, peer)
        rows.append(
            f"\nheadtohead trains {statistics.median(times):.1f} times as fast as the {peer} "
            f"({min(times):.1f} to {max(times):.1f} within a repetition)."
        )
    return "\n".join(rows)


def verdict(measurements: list[Measurement]) -> str:
    least = min(ratios(measurements, next(iter(PEERS))))
    return f"at least {CLAIM:g} times in every repetition: {'yes' if least >= CLAIM else 'NO'}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="two folders of photographs")
    parser.add_argument("--head", default="gap")
    parser.add_argument("--limit", type=int, default=4000, help="photographs in all")
    parser.add_argument("--epochs", type=int, default=1, help="of each of headtohead's workers")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--peer-python", type=Path, default=Path(".venv-peers/bin/python"))
    parser.add_argument("--out", type=Path, default=Path("throughput.json"))
    options = parser.parse_args()
    options.data = options.data.resolve()
    if not options.peer_python.exists():
        parser.error(f"no {options.peer_python}: see benchmarks/README.md on how to install it.")
    if options.epochs * options.workers < 2:
        parser.error("the article's script needs two epochs: its first one compiles.")
    return options


def main() -> None:
    options = arguments()
    measurements = measure_all(options)
    content = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "benchmarks/throughput.py", *sys.argv[1:]]),
        "machine": machine(),
        "versions": versions(options),
        "options": {name: str(value) for name, value in vars(options).items()},
        "measurements": [
            {
                **asdict(m),
                "pictures_per_second_all": m.pictures_per_second_all,
                "cpu_ms_per_picture": m.cpu_ms_per_picture,
            }
            for m in measurements
        ],
        "medians": {field: summary_of(measurements, field) for field, _, _ in TABLE},
        "ratios": {peer: ratios(measurements, peer) for peer in PEERS},
    }
    options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(table(measurements))
    print(f"\n{verdict(measurements)}")
    print(f"\n{content['machine']}\n{content['versions']}\n{content['command']}")


if __name__ == "__main__":
    main()
