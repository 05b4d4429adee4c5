"""What this machine has, as numbers: cores, memory, disks, packages, decoders, PyTorch's devices.

Imports no torch: `torch_of` asks for it in a process of its own.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from headtohead.core.limits import core_limit
from headtohead.core.system import current_folder, usable_cores

TIMEOUT = 120
"""Seconds for loading torch: a cold disk takes some 30."""

TOO_SLOW = f"loading it took more than {TIMEOUT} seconds"
"""The error of a torch that may be whole: a busy machine takes minutes."""

_NOT_FOR_USERS = ("dev", "docs")


@dataclass(frozen=True)
class Disk:
    """A folder that headtohead writes to: free bytes, and why it cannot be written."""

    role: str
    path: str
    free: int | None
    error: str | None


@dataclass(frozen=True)
class Package:
    """An installed version, None where there is none, the lowest that is accepted, its extra."""

    name: str
    version: str | None
    lowest: str
    extra: str | None

    @property
    def is_old(self) -> bool:
        """Whether it is installed and below the lowest version that is accepted."""
        return self.version is not None and _numbers(self.version) < _numbers(self.lowest)


@dataclass(frozen=True)
class Torch:
    """What `headtohead.runtime.torch_check` said; `error` where it could not."""

    version: str | None = None
    cuda: str | None = None
    gpus: tuple[dict[str, Any], ...] = ()
    devices: tuple[str, ...] = ()
    numba_error: str | None = None
    error: str | None = None


def cores() -> dict[str, Any]:
    """Cores that this process may run on, those of the machine, and a container's limit."""
    return {"usable": len(usable_cores()), "present": os.cpu_count(), "limit": core_limit()}


def disk_at(role: str, path: Path) -> Disk:
    """Free bytes at `path`, or where it would be made, and whether a file can be written there."""
    nearest = path.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    free, failure = None, None
    try:
        free = shutil.disk_usage(nearest).free
        with tempfile.TemporaryFile(dir=nearest) as handle:
            handle.write(b"\0")
    except OSError as error:
        failure = error.strerror or str(error)
    return Disk(role, str(path), free, failure)


def packages() -> tuple[Package, ...]:
    """Everything that headtohead requires, or that an extra of it brings, with its version."""
    try:
        required = metadata.requires("headtohead") or []
    except metadata.PackageNotFoundError:  # the source is on the path, and not installed
        return ()
    found = []
    for line in required:
        match = re.fullmatch(r"([\w.-]+)(?:>=([\w.]+))?(?:\s*;\s*extra == ['\"](\w+)['\"])?", line)
        if match is not None and match[3] not in _NOT_FOR_USERS:
            found.append(Package(match[1], _version(match[1]), match[2] or "0", match[3]))
    return tuple(found)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """`2.13.0+cpu` → (2, 13): zeros at the end say nothing."""
    numbers = [int(part) for part in re.findall(r"\d+", version.partition("+")[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def decoders() -> dict[str, str | None]:
    """Versions of what decodes photographs; None where a format cannot be read."""
    from PIL import features

    from headtohead.data.formats import heif_version, reads_avif

    turbo = features.version_feature("libjpeg_turbo")
    return {
        "JPEG": f"libjpeg-turbo {turbo}" if turbo else features.version_codec("jpg"),
        "WebP": features.version_module("webp") if features.check("webp") else None,
        "AVIF": features.version_module("avif") if reads_avif() else None,
        "HEIC": heif_version(),
    }


def drivers_gpus() -> tuple[str, ...]:
    """The GPUs that NVIDIA's driver lists, whatever PyTorch sees of them."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    try:
        listed = subprocess.run(
            [command, "-L"], capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    lines = listed.stdout.splitlines() if listed.returncode == 0 else []
    return tuple(line.partition(" (UUID")[0] for line in lines if line.startswith("GPU "))


def torch_of() -> Torch:
    """What PyTorch says of this machine, asked in a process that finds modules as a worker does."""
    path = os.pathsep.join(entry or str(current_folder()) for entry in sys.path)
    try:
        said = subprocess.run(
            # -P: a torch.py in the user's current folder must not be taken for torch.
            [sys.executable, "-P", "-m", "headtohead.runtime.torch_check"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            env={**os.environ, "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired:
        return Torch(error=TOO_SLOW)
    if said.returncode != 0:
        last = next((line for line in reversed(said.stderr.splitlines()) if line.strip()), "")
        return Torch(error=last.strip() or f"its process ended with exit code {said.returncode}")
    found = json.loads(said.stdout.splitlines()[-1])
    return Torch(**{**found, "gpus": tuple(found["gpus"]), "devices": tuple(found["devices"])})


def versions() -> dict[str, str]:
    """Of Python and the system that this process runs on."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.machine(),
    }
