"""What this machine has, what a study would use of it, and what stands in the way."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from headtohead.core.errors import UsageError
from headtohead.core.files import expanded
from headtohead.core.limits import Memory, memory_of
from headtohead.core.system import CACHE_VARIABLE, cache_folder
from headtohead.runtime import machine
from headtohead.runtime.machine import Disk, Package, Torch

SHOWN = ("torch", "numpy", "pillow", "scipy")
"""Packages whose versions are printed; all of them are in the JSON."""

WORKER_MEMORY, COMMAND_MEMORY = 700 << 20, 300 << 20
"""What a worker and the command take at 100 px: docs/full_scale.md measured 670 and 303 MB."""

LITTLE_DISK = 2 << 30
"""25,000 images at 100 px take 0.75 GB prepared; a study's weights as much again."""


@dataclass(frozen=True)
class Problem:
    """What is wrong, and what to do about it."""

    what: str
    remedy: str


@dataclass(frozen=True)
class Machine:
    """What was found. Sizes in bytes; printing it gives the lines of `headtohead doctor`."""

    versions: dict[str, str]
    cores: dict[str, Any]
    memory: Memory
    disks: tuple[Disk, ...]
    packages: tuple[Package, ...]
    decoders: dict[str, str | None]
    torch: Torch
    drivers_gpus: tuple[str, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def extras(self) -> dict[str, bool]:
        """Whether all packages of an extra are installed."""
        found: dict[str, bool] = {}
        for package in self.packages:
            if package.extra is not None:
                found[package.extra] = found.get(package.extra, True) and bool(package.version)
        return found

    @property
    def use(self) -> dict[str, Any]:
        """What `compare` would use without options: device, worker processes, kernels."""
        devices = self.torch.devices
        fast = self.extras.get("fast", False) and self.torch.numba_error is None
        on_cpu = devices[:1] == ("cpu",)
        return {
            "devices": sorted(set(devices)),
            "workers": len(devices),
            "kernels": "fused" if fast and on_cpu else "plain",
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return {**asdict(self), "extras": self.extras, "use": self.use}

    def __str__(self) -> str:
        return "\n".join(lines_of(self))


def examine(
    *,
    out: str | Path | None,
    cache: str | Path | None,
    offered: tuple[int, int] | None = None,
) -> Machine:
    """What this machine is, with the disk of `out` where that is named.

    `offered` is how many cores and GPUs Ray may use of it, where Ray asks. Starts one process that
    loads torch; writes nothing that stays.
    """
    disks, homeless = [], []
    try:
        disks.append(machine.disk_at("cache", cache_folder(cache)))
    except (UsageError, RuntimeError) as error:  # no home folder is known
        homeless.append(Problem(f"no cache folder: {error}", f"Set {CACHE_VARIABLE} to a folder."))
    if out is not None:
        disks.append(machine.disk_at("results", expanded(out)))
    torch = machine.torch_of()
    if offered is not None and torch.error is None:
        cores, gpus = offered
        devices = [f"cuda:{index}" for index in range(gpus)] or ["cpu"] * cores
        torch = replace(torch, devices=tuple(devices))
    found = Machine(
        machine.versions(),
        machine.cores(),
        memory_of(),
        tuple(disks),
        machine.packages(),
        machine.decoders(),
        torch,
        machine.drivers_gpus(),
    )
    fewer = "Use --workers {}." if offered is None else "Start Ray with --num-cpus={} there."
    return replace(found, problems=(*homeless, *problems(found, fewer)))


def problems(found: Machine, fewer: str = "Use --workers {}.") -> Iterator[Problem]:
    """What stands in the way of a study on this machine, or makes it slow.

    `fewer` says how to have fewer runs at once.
    """
    pip = f"{sys.executable} -m pip install"
    if found.torch.error is not None:
        remedy = f"Install it again: {pip} --force-reinstall torch"
        if found.torch.error == machine.TOO_SLOW:
            remedy = f"Ask again when the machine is less busy. If it stays so: {remedy}"
        yield Problem(f"PyTorch cannot be loaded: {found.torch.error}", remedy)
    for package in found.packages:
        if package.is_old:
            yield Problem(
                f"{package.name} {package.version} is older than {package.lowest}",
                f"{pip} '{package.name}>={package.lowest}'",
            )
        elif package.extra is None and package.version is None:
            yield Problem(f"{package.name} is not installed", f"{pip} {package.name}")
    yield from _speed_problems(found, pip, fewer)
    yield from _room_problems(found, fewer)


def _speed_problems(found: Machine, pip: str, fewer: str) -> Iterator[Problem]:
    if found.torch.numba_error is not None:
        yield Problem(
            f"Numba cannot be loaded: {found.torch.numba_error}",
            f"{pip} --force-reinstall numba, or uninstall it: training is then slower",
        )
    elif found.packages and not found.extras.get("fast", False):
        yield Problem(
            "Numba is not installed: the tutorial's backbone trains slower on the CPU",
            f"{pip} 'headtohead[fast]'",
        )
    if found.drivers_gpus and found.torch.error is None and not found.torch.gpus:
        built = "a build for the CPU" if found.torch.cuda is None else f"CUDA {found.torch.cuda}"
        yield Problem(
            f"the driver lists {found.drivers_gpus[0]}, and PyTorch "
            f"{found.torch.version} ({built}) cannot use it",
            "Install the build of PyTorch for the driver's CUDA version.",
        )
    limit, usable = found.cores["limit"], found.cores["usable"]
    if limit is not None and limit < usable:
        yield Problem(
            f"the container allows the time of {limit:g} of {usable} cores",
            fewer.format(max(int(limit), 1)),
        )


def _room_problems(found: Machine, fewer: str) -> Iterator[Problem]:
    usable, workers = found.memory.usable, len(found.torch.devices)
    needed = COMMAND_MEMORY + workers * WORKER_MEMORY
    if usable is not None and usable < needed:
        fitting = max((usable - COMMAND_MEMORY) // WORKER_MEMORY, 1)
        yield Problem(
            f"{workers} workers take about {_size(needed)} of memory; there are {_size(usable)}",
            fewer.format(fitting),
        )
    for disk in found.disks:
        option = f"{CACHE_VARIABLE} or --cache" if disk.role == "cache" else "--out"
        if disk.error is not None:
            yield Problem(
                f"the {disk.role} {disk.path} cannot be written: {disk.error}",
                f"Choose another folder by {option}.",
            )
        elif disk.free is not None and disk.free < LITTLE_DISK:
            yield Problem(
                f"only {_size(disk.free)} are free at the {disk.role} {disk.path}",
                f"Free some space, or choose another folder by {option}.",
            )


def lines_of(found: Machine) -> Iterator[str]:
    """One line a fact, then the problems."""
    for name, text in _facts(found):
        yield f"{name:<15} {text}"
    yield from problem_lines(found.problems)


def problem_lines(problems: Sequence[Problem]) -> Iterator[str]:
    """Each problem and its remedy."""
    if not problems:
        yield "No problems."
    for problem in problems:
        yield f"Problem: {problem.what}."
        yield f"  {problem.remedy}"


def _facts(found: Machine) -> Iterator[tuple[str, str]]:
    cores, memory, torch = found.cores, found.memory, found.torch
    versions = {package.name: package.version for package in found.packages}
    yield "System", f"{found.versions['system']}, Python {found.versions['python']}"
    yield (
        "Cores",
        f"{cores['usable']} usable of {cores['present']}"
        + (f", limited to the time of {cores['limit']:g}" if cores["limit"] else ""),
    )
    yield (
        "Memory",
        f"{_size(memory.total)}, {_size(memory.available)} available"
        + (f", limited to {_size(memory.limit)}" if memory.limit else ""),
    )
    gpus = [f"{gpu['name']} ({_size(gpu['memory'])})" for gpu in torch.gpus]
    yield "GPUs", ", ".join(gpus) or ("not known" if torch.error else "none that PyTorch can use")
    for disk in found.disks:
        yield disk.role.capitalize(), f"{disk.path}, {_size(disk.free)} free"
    listed = {**versions, "torch": torch.version or versions.get("torch")}
    yield "Versions", ", ".join(f"{name} {listed.get(name) or 'missing'}" for name in SHOWN)
    yield "Decoders", ", ".join(f"{k} {v or 'no'}" for k, v in found.decoders.items())
    extras = [name for name, there in found.extras.items() if there]
    missing = [name for name, there in found.extras.items() if not there]
    others = f"; not installed: {', '.join(missing)}" if missing else ""
    yield "Extras", (", ".join(extras) or "none") + others
    use = found.use
    yield (
        "Would be used",
        f"{', '.join(use['devices']) or 'nothing'}, {use['workers']} "
        f"{'worker' if use['workers'] == 1 else 'workers'}, {use['kernels']} kernels of the "
        "tutorial's backbone",
    )


def _size(count: int | None) -> str:
    """Bytes in the largest unit that gives at least 1."""
    if count is None:
        return "an unknown amount"
    for unit, shift in (("GiB", 30), ("MiB", 20)):
        if count >> shift:
            return f"{count / (1 << shift):.1f} {unit}"
    return f"{count} bytes"
