"""What the numbers hold for: the machine, and the versions of what ran on it."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def machine() -> dict[str, str | int]:
    """Processor, cores that may be used, system."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def versions(python: Path, names: Sequence[str]) -> dict[str, str]:
    """Versions of packages in the environment of `python`; those it does not have are left out."""
    if python == Path(sys.executable):
        return {name: importlib.metadata.version(name) for name in names}
    code = (
        "import importlib.metadata as m, sys\n"
        "have = {d.metadata['Name'].lower() for d in m.distributions()}\n"
        "print(*(f'{n} {m.version(n)}' for n in sys.argv[1:] if n in have), sep='\\n')"
    )
    printed = subprocess.run(
        [str(python), "-c", code, *names], capture_output=True, text=True, check=True
    ).stdout
    return dict(line.split() for line in printed.splitlines())
