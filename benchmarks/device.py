"""What a device gives: training images per second, whole studies, many runs at once, and Keras.

    python benchmarks/device.py --out device.json            # on a GPU: all of it
    python benchmarks/device.py --quick --out device.json    # a CPU: small, to see that it works

It draws its own images, keeps them in --cache, and measures by parts (--parts chooses):

steps   training steps of every head in every precision the device has, eager and, on a GPU,
        captured as a CUDA graph; then the same under --deterministic. Heads and ways take turns.
study   `headtohead compare`: fc, fc_dropout and gap (which the article's text describes, while its
        code averages 2 × 2 windows), 10 epochs of 23,232 images, one seed, one worker, in float32
        and, on a GPU, bf16. Images are prepared before; the page is within.
runs    the same with ten seeds, 30 runs, by 1, 4 and 16 workers on the device, two epochs each.
keras   Keras's `fit` of the same heads on the same images in memory, by the first of its backends
        that is installed and sees the device (see device_keras.py).

Prints tables; writes every measurement with the machine, versions and command as JSON after each
part, so that what is killed has lost the rest alone.
"""

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import torch

from headtohead.config.recipe import Precision
from headtohead.config.study import BackboneSpec, HeadSpec, StudySpec
from headtohead.data.pipeline import prepare_study
from headtohead.data.prepared import load_prepared
from headtohead.data.synthetic import synthetic_source
from headtohead.heads.classifier import build_classifier
from headtohead.training.acceleration import fastest
from headtohead.training.device import choose_device, environment, set_up_worker
from headtohead.training.inputs import Pictures
from headtohead.training.optimizer import KerasAdam
from headtohead.training.step import EagerGradients, Step, gradients_on_device

HERE = Path(__file__).resolve().parent
HEADS = ("fc", "fc_dropout", "gap")
PARTS = ("steps", "study", "runs", "keras")
WARM_UP = 5

Entries: TypeAlias = list[dict[str, Any]]


@dataclass(frozen=True)
class Size:
    """How much is measured. `pictures` are drawn, four fifths of them trained on."""

    pictures: int
    image_size: int
    batch: int
    steps: int
    rounds: int
    epochs: int
    seeds: int
    run_epochs: int
    workers: tuple[int, ...]


FULL = Size(29_040, 100, 64, 200, 3, 10, 10, 2, (1, 4, 16))
QUICK = Size(240, 36, 16, 4, 2, 1, 2, 1, (2,))


def precisions(device: torch.device) -> tuple[Precision, ...]:
    return ("float32", "tf32", "bf16") if device.type == "cuda" else ("float32", "bf16")


def say(message: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {message}", file=sys.stderr, flush=True)


def prepare(options: argparse.Namespace) -> tuple[Path, Path]:
    """The drawn images' folder, and the prepared set's; both are found again in the cache."""
    silent: Callable[[str, int, int], None] = lambda *_: None  # noqa: E731
    say(f"drawing {options.size.pictures:,} pictures, unless they are in {options.cache}")
    source = synthetic_source(cache=options.cache, progress=silent, count=options.size.pictures)
    content = {"data": str(source), "pictures": {"image_size": options.size.image_size}}
    spec = StudySpec.model_validate(content)
    return source, prepare_study(spec, cache=options.cache, progress=silent)[1].folder


# Steps: measured in a process of its own, set up as a worker is.


def measure_steps(options: argparse.Namespace, prepared: Path) -> Entries:
    found: Entries = []
    for deterministic in (False, True) if options.device.type == "cuda" else (True,):
        say(f"steps, deterministic: {deterministic}")
        given = ["--steps-of", str(prepared), *(["--deterministic"] if deterministic else [])]
        found += json.loads(run([*this_command(options), *given]))
    return found


def steps_here(options: argparse.Namespace) -> Entries:
    """One entry per head, precision and way, with the images/s of each round."""
    device, size = options.device, options.size
    set_up_worker(None, device, deterministic=options.deterministic)
    stored = load_prepared(options.steps_of)
    pictures = Pictures(stored.images, stored.labels, device)
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0)).to(device)
    batches = order[: len(order) // size.batch * size.batch].reshape(-1, size.batch)
    entries = []
    for precision in precisions(device):
        runners = {
            (head, way): runner(head, way, precision, pictures, batches[0], size)
            for head in HEADS
            for way in (("eager", "captured") if device.type == "cuda" else ("eager",))
        }
        for step in runners.values():
            timed(step, batches, WARM_UP)
        rates: dict[tuple[str, str], list[float]] = {key: [] for key in runners}
        for _ in range(size.rounds):
            for key, step in runners.items():
                rates[key].append(size.steps * size.batch / timed(step, batches, size.steps))
        entries += [
            {"head": head, "way": way, "precision": precision,
             "deterministic": device.type == "cpu" or options.deterministic,
             "pictures_per_second": values}
            for (head, way), values in rates.items()
        ]  # fmt: skip
    return entries


def runner(
    head: str, way: str, precision: Precision, pictures: Pictures, rows: torch.Tensor, size: Size
) -> Step:
    model = build_classifier(
        BackboneSpec(), head, HeadSpec(), image_size=size.image_size, classes=2, seed=0
    )
    model.backbone = fastest(model.backbone)
    model = model.to(pictures.device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    eager = EagerGradients(model, pictures, None, precision)
    gradients = eager if way == "eager" else gradients_on_device(eager, rows, None)
    return Step(gradients, KerasAdam(model.parameters(), 1e-3))


def timed(step: Step, batches: torch.Tensor, steps: int) -> float:
    """Seconds of so many steps, from an idle device to an idle device."""
    idle: Callable[[], None] = (
        torch.cuda.synchronize if batches.device.type == "cuda" else lambda: None
    )
    idle()
    began = time.perf_counter()
    for number in range(steps):
        step(batches[number % len(batches)], None)
    idle()
    return time.perf_counter() - began


# Studies: the command as a user types it.


def measure_study(options: argparse.Namespace, source: Path) -> Entries:
    names = ("float32", "bf16") if options.device.type == "cuda" else ("float32",)
    epochs = options.size.epochs
    return [compare(options, source, seeds=1, epochs=epochs, workers=1, precision=n) for n in names]


def measure_runs(options: argparse.Namespace, source: Path) -> Entries:
    size = options.size
    return [
        compare(options, source, seeds=size.seeds, epochs=size.run_epochs, workers=workers)
        for workers in size.workers
    ]


def compare(
    options: argparse.Namespace,
    source: Path,
    *,
    seeds: int,
    epochs: int,
    workers: int,
    precision: str = "float32",
) -> dict[str, Any]:
    """Wall seconds of the whole command, of each run in it, and how many images were trained."""
    say(f"compare: {len(HEADS) * seeds} runs, {epochs} epochs, {workers} workers, {precision}")
    size = options.size
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "study"
        command = [
            sys.executable, "-m", "headtohead", "compare", "--data", str(source),
            "--heads", ",".join(HEADS), "--seeds", str(seeds), "--epochs", str(epochs),
            "--batch-size", str(size.batch), "--image-size", str(size.image_size),
            "--precision", precision, "--workers", str(workers), "--device", str(options.device),
            "--cache", str(options.cache), "--out", str(out),
        ]  # fmt: skip
        began = time.perf_counter()
        run(command)
        seconds = time.perf_counter() - began
        records = [json.loads(p.read_text("utf-8")) for p in sorted(out.glob("runs/*/*/run.json"))]
        trained = int(0.8 * size.pictures) // size.batch * size.batch
    assert all(record["status"] == "finished" for record in records)
    return {
        "precision": precision, "workers": workers, "runs": len(records), "epochs": epochs,
        "seconds": seconds, "run_seconds": [record["seconds"] for record in records],
        "pictures": len(records) * epochs * trained,
    }  # fmt: skip


def measure_keras(options: argparse.Namespace, prepared: Path) -> Entries:
    say("Keras")
    size = options.size
    found: Entries = json.loads(
        run([
            str(options.peer_python), str(HERE / "device_keras.py"), "--prepared", str(prepared),
            "--device", options.device.type, "--batch", str(size.batch), "--heads", *HEADS,
            "--pictures", str(int(0.8 * size.pictures)), "--epochs", str(size.rounds + 1),
        ])
    )  # fmt: skip
    return found


def run(command: Sequence[str]) -> str:
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{shlex.join(command)} ended with {result.returncode}")
    return result.stdout


def this_command(options: argparse.Namespace) -> list[str]:
    quick = ["--quick"] if options.quick else []
    return [sys.executable, str(HERE / "device.py"), "--device", str(options.device), *quick]


# Tables.


def median(values: Sequence[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def table(*rows: Sequence[object]) -> str:
    """Markdown; the first row is the heading."""
    heading, *rest = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([heading, "|" + "---|" * len(rows[0]), *rest, ""])


def tables(found: dict[str, Any]) -> str:
    """Medians, with least and greatest, of every part that was measured."""
    steps = [
        (i["head"], i["precision"], i["way"], "yes" if i["deterministic"] else "no",
         median(i["pictures_per_second"]))
        for i in found.get("steps", [])
    ]  # fmt: skip
    studies = [
        (i["runs"], i["epochs"], i["workers"], i["precision"], f"{i['seconds']:.1f}",
         f"{i['pictures'] / i['seconds']:,.0f}")
        for i in found.get("study", []) + found.get("runs", [])
    ]  # fmt: skip
    keras = [
        (i["head"], i["backend"], median(i["pictures_per_second"])) for i in found.get("keras", [])
    ]
    return "\n".join([
        table(("head", "precision", "steps", "deterministic", "training pictures/s"), *steps),
        table(("runs", "epochs", "workers", "precision", "seconds", "pictures/s in all"), *studies),
        table(("head", "Keras on", "training pictures/s"), *keras),
    ])  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--device", type=choose_device, default="auto")
    parser.add_argument("--quick", action="store_true", help="a few small pictures and steps")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "h2h-device")
    parser.add_argument("--peer-python", type=Path, default=Path(sys.executable))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps-of", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--deterministic", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.size = QUICK if options.quick else FULL
    return options


def main() -> None:
    options = arguments()
    if options.steps_of:
        print(json.dumps(steps_here(options)))
        return
    source, prepared = prepare(options)
    parts = {
        "steps": (measure_steps, prepared),
        "study": (measure_study, source),
        "runs": (measure_runs, source),
        "keras": (measure_keras, prepared),
    }
    content: dict[str, Any] = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "benchmarks/device.py", *sys.argv[1:]]),
        "machine": {
            **environment(options.device, "float32"),
            "system": platform.platform(),
            "cores": len(os.sched_getaffinity(0)),
            "load_before": os.getloadavg()[0],
        },
    }
    for part in options.parts:
        measure, pictures = parts[part]
        content[part] = measure(options, pictures)
        if options.out:
            options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(tables(content))


if __name__ == "__main__":
    main()
