"""Anonymous memory of preparing and training processes, and how it grows with images.

    python benchmarks/memory.py --data FOLDER --sizes 6000 24000 --out memory.json

runs `headtohead compare` (one head, one seed, one epoch, one worker) from a cold cache at two sizes
and samples RssAnon of each of its processes. Mapped pages of the prepared set do not count: the
system drops them when it needs the memory. Linux only. The claim: below 2 kB per image.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLAIM = 2.0  # kB per image
INTERVAL = 0.05  # seconds


def anonymous_kb(pid: int) -> int:
    """RssAnon in kB, 0 where the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def role(pid: int) -> str | None:
    """What a child process of headtohead does, by its command line."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return None
    modules = {
        "headtohead.runtime.worker": "training worker",
        "headtohead.data.decode_worker": "decoder",
    }
    return next((modules[word] for word in words if word in modules), None)


def peaks(data: Path, limit: int) -> dict[str, int]:
    """Greatest RssAnon in kB of each role while comparing on `limit` images."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "headtohead", "compare", "--data", str(data),
            "--limit", str(limit), "--heads", "gap", "--seeds", "1", "--epochs", "1",
            "--workers", "1", "--cache", f"{folder}/cache", "--out", f"{folder}/out",
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        most: dict[str, int] = {}
        while process.poll() is None:
            listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            pids = [(process.pid, "parent")]
            if listed.exists():
                children = (int(pid) for pid in listed.read_text().split())
                pids += [(pid, name) for pid in children if (name := role(pid))]
            for pid, name in pids:
                most[name] = max(most.get(name, 0), anonymous_kb(pid))
            time.sleep(INTERVAL)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs=2, default=[6000, 24000])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    small, large = (peaks(options.data, size) for size in options.sizes)
    growth = {
        name: (large[name] - small[name]) / (options.sizes[1] - options.sizes[0]) for name in small
    }
    print(f"{'process':<16}{'MB at ' + str(options.sizes[0]):>14}"
          f"{'MB at ' + str(options.sizes[1]):>14}{'kB per picture':>16}")  # fmt: skip
    for name, value in growth.items():
        print(f"{name:<16}{small[name] / 1e3:>14.1f}{large[name] / 1e3:>14.1f}{value:>16.2f}")
    verdict = "holds" if max(growth.values()) < CLAIM else "does not hold"
    print(f"Below {CLAIM:g} kB per picture: {verdict}.")
    if options.out:
        result = {
            "command": " ".join(sys.argv),
            "machine": {"system": platform.platform(), "cores": len(os.sched_getaffinity(0))},
            "sizes": options.sizes,
            "peak_kb": [small, large],
            "growth_kb_per_picture": growth,
        }
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
