"""Preparing, splitting and training on sets of growing size: CPU seconds by stage, memory.

    python benchmarks/large_images.py --out IMAGES --sizes 10000 50000 200000
    python benchmarks/large_data.py --images IMAGES --sizes 10000 50000 200000 --work FOLDER

Each size is prepared (stage by stage, in one process with its decoders), split, and trained on by
`headtohead compare`: one head, one seed, one epoch of `--steps` steps of 64, validation and test
whole, probes and report. Memory is RssAnon, what no file backs, summed over the command's processes
and sampled ten times a second; no process may take more than `--data-limit` MiB (RLIMIT_DATA counts
every page that it could write to). Pages of the prepared set are the file's: the system drops them
when it needs the memory. FOLDER holds caches and results, and large_data.json. Linux only.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headtohead.core.files import write_atomic
from headtohead.data.prepare import prepare
from headtohead.data.prepared import MANIFEST, load_prepared
from headtohead.data.sources import open_source
from headtohead.data.split import leaks, split
from memory import anonymous_kb
from processes import Sampler, tree

MIB = 2**20
SIDE, SHARES = 100, (0.8, 0.1, 0.1)


class Anonymous(Sampler):
    """The peak of RssAnon in bytes, summed over the tree."""

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.peak = max(self.peak, 1024 * sum(map(anonymous_kb, tree(self.pid))))


def measured(command: Sequence[str], log: Path, limit: int) -> dict[str, float]:
    """Run `command`, at most `limit` bytes of data in each process; CPU seconds and MiB."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
        )
        with Anonymous(process.pid) as sampler:
            _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: see {log}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "mib": sampler.peak / MIB}


def processor() -> float:
    """CPU seconds of this process and of its children that are over."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def prepare_and_split(data: Path, cache: Path) -> dict[str, Any]:
    """CPU seconds of each stage, in this process."""
    began: dict[str, float] = {}

    def progress(stage: str, _: int, __: int) -> None:
        began.setdefault(stage, processor())

    source = open_source(data, cache=cache, progress=progress)
    prepared = prepare(
        source,
        image_size=SIDE,
        resize="bilinear",
        limit=None,
        max_unreadable=0.05,
        cache=cache,
        workers=len(os.sched_getaffinity(0)),
        progress=progress,
    )
    began["end"] = processor()
    stages = dict(zip(began, np.diff(list(began.values())).tolist(), strict=False))
    loading = seconds(lambda: load_prepared(prepared.folder))
    splitting = seconds(lambda: leaks(prepared, split(prepared, fractions=SHARES, seed=0)))
    return {
        **stages,
        "opening the prepared set": loading,
        "splitting": splitting,
        "found": copies_found(data, prepared.names, prepared.groups.tolist()),
        "array_bytes": prepared.images.nbytes,
        "manifest_bytes": (prepared.folder / MANIFEST).stat().st_size,
    }


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    before = time.process_time()
    work()
    return time.process_time() - before


def copies_found(data: Path, names: Sequence[str], groups: Sequence[int]) -> list[int]:
    """How many of the known copies are grouped with their original, of how many; and all groups."""
    group = dict(zip(names, groups, strict=True))
    with (data.parent / f"copies-{data.name}.csv").open() as file:
        known = [(group[one], group[other]) for one, other in csv.reader(file)]
    return [sum(one == other for one, other in known), len(known), len(set(groups))]


def one_size(data: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All stages of one size, each command under the limit."""
    work = options.work / data.name
    work.mkdir(parents=True, exist_ok=True)
    cache, stages, limit = work / "cache", work / "stages.json", options.data_limit * MIB
    if not stages.exists():
        itself = [sys.executable, __file__, "--prepare", str(data), "--work", str(work)]
        whole = measured(itself, work / "prepare.log", limit)
        found = json.loads((work / "prepare.json").read_text())
        write_atomic(stages, json.dumps({**found, "preparing": whole}).encode())
    study = work / "study.yaml"
    study.write_text(
        f"data: {data.resolve()}\nheads: {{gap: }}\nseeds: 1\n"
        f"recipe: {{epochs: 1, batch_size: 64, steps_per_epoch: {options.steps}}}\n"
    )
    command = [sys.executable, "-m", "headtohead", "compare", str(study), "--cache", str(cache)]
    command += ["--workers", "1", "--out", str(work / "out")]
    training = measured(command, work / "compare.log", limit)
    report = [sys.executable, "-m", "headtohead", "report", str(work / "out")]
    reporting = measured(report, work / "report.log", limit)
    record = json.loads((work / "out/runs/gap/seed-0/run.json").read_text())
    return {
        **json.loads(stages.read_text()),
        "compare": {**training, "epoch_cpu": record["cpu_seconds"], "steps": options.steps},
        "report": reporting,
    }


def main() -> None:
    """Measure every size; what was measured before is kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 50_000, 200_000])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--data-limit", type=int, default=2048, help="MiB for each process")
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare:
        found = prepare_and_split(options.prepare, options.work / "cache")
        (options.work / "prepare.json").write_text(json.dumps(found))
        return
    result = options.work / "large_data.json"
    results = json.loads(result.read_text()) if result.exists() else {}
    for size in options.sizes:
        if str(size) not in results:
            results[str(size)] = one_size(options.images / str(size), options)
            write_atomic(result, json.dumps(results, indent=1).encode())
        print(size, json.dumps(results[str(size)], indent=1), flush=True)


if __name__ == "__main__":
    main()
