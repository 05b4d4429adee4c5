"""Kills workers, machines, commands and heads of a Ray cluster while studies run on it.

    python benchmarks/ray_drill.py FOLDER --kills 100 [--minutes 8]

in an environment with headtohead[ray]. FOLDER gets small images, a study done without Ray, and
the same study done on a cluster of one head and three machines of one core each, all on this
machine, again and again, while something is killed every few seconds by SIGKILL. After each loss
of the command or of the head the same command is given again. Every study must end with the bits
of the one without Ray, and with every run recorded once. When the minutes are over it stops, within
a study, too. Prints counts as JSON; the next call with the same FOLDER goes on, and adds to them.
"""

import argparse
import collections
import contextlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

STUDY = """name: drill
data: {images}
pictures: {{image_size: 36}}
heads: [gap, fc, gem]
seeds: 4
recipe: {{epochs: 12, batch_size: 8}}
execution: {{shared: {shared}}}
"""
MACHINES = 3
# Ray lets its tasks give way to all other work (niceness 15): on a busy machine they would starve.
os.environ.update(RAY_worker_niceness="0")
TIMES = {"seconds", "cpu_seconds", "pictures_per_second"}
CHOICES = {"worker": 0.6, "machine": 0.2, "command": 0.12, "head": 0.08}
ANYWHERE = 0.3
"""Share of kills whose time has nothing to do with progress."""

STARTS = 5
ATTEMPTS = 60
"""Times that the same command is given at most."""


def images(folder: Path) -> Path:
    """Noise that two classes can be told apart in: fifty images of each."""
    draws = np.random.default_rng(0)
    for label, base in (("cat", 60), ("dog", 150)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(50):
            pixels = draws.normal(base, 40, (40, 40, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


def content(path: Path) -> Any:
    """What must be the same: everything but times, and the order of a header's entries."""
    if path.suffix == ".safetensors":
        raw = path.read_bytes()
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        return header["__metadata__"]["sha256"]
    if path.name == "history.jsonl":
        lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        return [{k: v for k, v in line.items() if k not in TIMES} for line in lines]
    if path.name == "run.json":
        record = json.loads(path.read_bytes())
        return {k: v for k, v in record.items() if k not in {*TIMES, "files"}}
    return sha256(path.read_bytes()).hexdigest()


def ledger(out: Path) -> dict[str, Any]:
    """Every file of runs and their evidence, by name; not the speed of this machine.

    Nor hidden files: what a killed process had begun to write, which nothing reads.
    """
    found = (path for part in ("runs", "evidence") for path in out.glob(f"{part}/**/*"))
    left_out = (".", "session")
    kept = (path for path in found if path.is_file() and not path.name.startswith(left_out))
    return {str(path.relative_to(out)): content(path) for path in kept}


class Cluster:
    """A head without cores and machines of one core, each with a cache of its own."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster as RayCluster

        self._folder, self._count = folder, 0
        arguments = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 100 << 20}
        self._cluster = RayCluster(initialize_head=True, head_node_args=arguments)
        self.address = self._cluster.address
        self.machines = [self.add() for _ in range(MACHINES)]

    def add(self) -> Any:
        """One more machine; its cache is that of one that died, as after a restart."""
        self._count += 1
        cache = self._folder / f"cache-{self._count % (MACHINES + 1)}"
        arguments = {"num_cpus": 1, "object_store_memory": 100 << 20}
        for _ in range(STARTS):
            with contextlib.suppress(Exception):  # Ray waits 30 seconds, too few on a busy machine
                return self._cluster.add_node(
                    **arguments, env_vars={"HEADTOHEAD_CACHE": str(cache)}
                )
        sys.exit("Ray starts no machine; see /tmp/ray/session_latest/logs")

    def kill_machine(self, which: random.Random) -> None:
        """All processes of one machine at once; another comes."""
        node = self.machines.pop(which.randrange(len(self.machines)))
        os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)
        with contextlib.suppress(AssertionError):
            self._cluster.remove_node(node, allow_graceful=False)
        self.machines.append(self.add())

    def kill_head(self) -> None:
        """The process that every machine needs; then the rest of the cluster."""
        head = self._cluster.head_node.all_processes
        os.kill(head["gcs_server"][0].process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Leave nothing running."""
        with contextlib.suppress(Exception):  # parts of it may be dead
            self._cluster.shutdown()


def epochs(out: Path) -> int:
    """Bytes of history that the command's machine has."""
    return sum(path.stat().st_size for path in out.glob("runs/*/*/history.jsonl"))


def processes(text: str, below: Collection[int]) -> list[int]:
    """Processes whose command line has `text`, among those that these started, directly or not."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                status = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                parents[int(entry.name)] = int(status.rpartition(")")[2].split()[1])
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                commands[int(entry.name)] = line.decode(errors="replace")
    found = [pid for pid, line in commands.items() if text in line]
    return [pid for pid in found if set(_above(pid, parents)) & set(below)]


def _above(pid: int, parents: dict[int, int]) -> Iterator[int]:
    while pid := parents.get(pid, 0):
        yield pid


def start(study: Path, out: Path, cache: Path, *options: str) -> "subprocess.Popen[bytes]":
    """One command."""
    with out.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "headtohead", "compare", study, "--out", out, *options],
            env={**os.environ, "HEADTOHEAD_CACHE": str(cache)},
            stdout=log,
            stderr=log,
        )


class Drill:
    """Studies on a cluster, and what is killed meanwhile."""

    def __init__(self, folder: Path, kills: int, seconds: float) -> None:
        self.folder, self.kills = folder, kills
        self.until = time.monotonic() + seconds
        self.counts_file = folder / "counts.json"
        known = json.loads(self.counts_file.read_text()) if self.counts_file.is_file() else {}
        self.counts: collections.Counter[str] = collections.Counter(known)
        self.random = random.Random(self.counts["studies"] * 1000 + self.counts["commands"])
        self.cluster: Cluster | None = None

    @property
    def killed(self) -> int:
        """So far, of all kinds."""
        return sum(self.counts[f"killed {name}"] for name in CHOICES)

    @property
    def out(self) -> Path:
        """Of the study that is not at its end."""
        return self.folder / f"ray-{self.counts['studies']}"

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self.until

    def study(self, reference: dict[str, Any]) -> None:
        """One study from its beginning to its end."""
        shared = "true" if self.counts["studies"] % 3 == 2 else "false"
        study = self.folder / "ray.yaml"
        study.write_text(STUDY.format(images=self.folder / "images", shared=shared))
        out = self.out
        records: dict[str, bytes] = {}
        self._see(out, records)  # of a call before
        for _ in range(ATTEMPTS):
            if self.cluster is None:
                self.cluster = Cluster(self.folder)
            code = self._command(study, out, records)
            if self.is_over:
                return
            if code == 0:
                break
        found = ledger(out)
        self.counts["studies"] += 1
        self.counts["runs"] += len(records)
        self.counts["files compared"] += len(reference)
        wrong = {k for k in found.keys() | reference.keys() if found.get(k) != reference.get(k)}
        self.counts["files lost or other"] += len(wrong)
        if wrong:
            print(f"{out}: {sorted(wrong)}", file=sys.stderr)

    def _command(self, study: Path, out: Path, records: dict[str, bytes]) -> int:
        """The command once, with kills; its exit code."""
        assert self.cluster is not None
        self.counts["commands"] += 1
        address = f"ray:{self.cluster.address}"
        command = start(study, out, self.folder / "cache", "--executor", address)
        due = self._due(out)
        while command.poll() is None:
            time.sleep(0.2)
            self._see(out, records)
            if self.is_over:
                command.kill()  # counts as none
                break
            if not due() or self.killed >= self.kills:
                continue
            what = self.random.choices(list(CHOICES), list(CHOICES.values()))[0]
            if self._kill(what, command):
                self.counts[f"killed {what}"] += 1
                self._save()
            due = self._due(out)
            if what == "head":
                self.counts[f"exit code {command.wait()} after a head"] += 1
                self.cluster.close()
                self.cluster = None
                return 4
        self._see(out, records)
        return command.wait()

    def _due(self, out: Path) -> Callable[[], bool]:
        """When to kill next: mostly some seconds after an epoch, so that there is progress."""
        before, pause = epochs(out), self.random.uniform(0, 4)
        anywhere = self.random.random() < ANYWHERE
        until = [time.monotonic() + self.random.uniform(2, 30) if anywhere else math.inf]

        def due() -> bool:
            if until[0] == math.inf and epochs(out) != before:
                until[0] = time.monotonic() + pause
            return time.monotonic() >= until[0]

        return due

    def _kill(self, what: str, command: "subprocess.Popen[bytes]") -> bool:
        assert self.cluster is not None
        if what == "machine":
            self.cluster.kill_machine(self.random)
        elif what == "head":
            self.cluster.kill_head()
        elif what == "command":
            command.kill()
        else:
            names = ("headtohead.runtime.worker", "ray::work")
            workers = [pid for name in names for pid in processes(name, [os.getpid()])]
            mine = sorted(set(workers) - set(processes("", [command.pid])))
            if not mine:
                return False
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.random.choice(mine), signal.SIGKILL)
        return True

    def _see(self, out: Path, records: dict[str, bytes]) -> None:
        """A record that was there once must stay as it is: it has the seconds that its run took."""
        for path in out.glob("runs/*/*/run.json"):
            now = path.read_bytes()
            if records.setdefault(str(path), now) != now:
                self.counts["finished runs done again"] += 1
                records[str(path)] = now

    def _save(self) -> None:
        self.counts_file.write_text(json.dumps(self.counts, indent=1, sort_keys=True))

    def go(self) -> None:
        """Until there were enough kills, or the time is over."""
        images(self.folder / "images")
        plain = self.folder / "plain.yaml"
        plain.write_text(STUDY.format(images=self.folder / "images", shared="true"))
        if (code := start(plain, self.folder / "plain", self.folder / "cache").wait()) != 0:
            sys.exit(f"the study without Ray ended with exit code {code}")
        reference = ledger(self.folder / "plain")
        try:
            while not self.is_over and (self.killed < self.kills or self.out.exists()):
                self.study(reference)
                self._save()
        finally:
            if self.cluster is not None:
                self.cluster.close()
        print(json.dumps(self.counts, indent=1, sort_keys=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=8)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    Drill(options.folder.resolve(), options.kills, options.minutes * 60).go()
