"""Where a run computes, and how its process is set up."""

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

import numpy as np
import torch
from torch import nn

import headtohead
from headtohead.config.recipe import Precision
from headtohead.core.errors import UsageError
from headtohead.core.system import cpu_name

# glibc's <malloc.h>
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8
_KEEP = 1 << 30

PACKAGES = ("scipy", "pillow")
"""Whose versions a run records, beside Python, PyTorch and NumPy: what headtohead itself needs."""


def choose_device(name: str) -> torch.device:
    """`auto` is a GPU when there is one; otherwise a device as PyTorch names it.

    Raises UsageError for a device that PyTorch does not know or this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"no device {name!r}: use auto, cpu, cuda or cuda:N.") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device {name!r} is not supported: use auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device {name!r} is not there: PyTorch {torch.__version__} sees "
            f"{torch.cuda.device_count()} CUDA devices. Use --device cpu."
        )
    return device


def worker_devices(device: torch.device, workers: int | None, cores: int, gpus: int) -> list[str]:
    """The device of each worker process: `workers` of them, by default one per core or GPU.

    `cuda` without a number is all `gpus`, taken in turn; cuda:N is that one alone.
    """
    if device.type == "cpu":
        return [str(device)] * (workers or cores)
    chosen = [str(device)] if device.index is not None else [f"cuda:{i}" for i in range(gpus)]
    return [chosen[i % len(chosen)] for i in range(workers or len(chosen))]


def check_precision(precision: Precision, device: torch.device) -> None:
    """Raises UsageError where `device` does not have the precision."""
    if precision == "tf32" and device.type != "cuda":
        raise UsageError(
            f"precision 'tf32' needs an NVIDIA GPU; received {str(device)!r} as the "
            f"device. Use --precision float32, or bf16."
        )


def set_up_worker(core: int | None, device: torch.device, *, deterministic: bool) -> None:
    """Make this process a worker on `device`: one thread, freed memory kept.

    To be called before the first tensor that stays. `core` pins the process to that core. On the
    CPU arithmetic is always repeatable to the bit; on a GPU where `deterministic` asks for it.
    glibc returns freed blocks of tens of megabytes to the system and each training step would pay
    for fresh zeroed pages again; keeping them doubled the throughput on the CPU. One arena, because
    those of helping threads (`headtohead.accel.shards`) would return theirs all the same.
    """
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEEP)
        libc.mallopt(_M_TOP_PAD, 64 << 20)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    # float32 means float32; a recipe's precision is that of its training steps alone.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
    if device.type == "cpu" or deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # As `use_deterministic_algorithms(True)`, which imports a second's worth of compiler.
        torch.set_deterministic_debug_mode("error")
    # No operation here reads memory that it did not write; filling it first cost a sixth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def lay_out(module: nn.Module, form: torch.memory_format) -> None:
    """Put every tensor of four axes of `module` into a memory format.

    `module.to(memory_format=...)` does so with five axes, too, and fails on them.
    """
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.to(memory_format=form)


def free_cached_memory(device: torch.device) -> None:
    """Give back what PyTorch holds of a GPU's memory and does not use: others may need it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def tf32(*, allowed: bool) -> Iterator[None]:
    """Whether CUDA may round the factors of float32 products to TF32, for as long as this lasts.

    PyTorch lets convolutions, unless it is told otherwise.
    """
    matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, convolution.allow_tf32
    matmul.allow_tf32 = convolution.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, convolution.allow_tf32 = before


def environment(
    device: torch.device, precision: Precision, kernels: str = "plain"
) -> dict[str, str]:
    """What a run's numbers may depend on, for its record.

    `headtohead.store.records.NUMERIC_ENVIRONMENT` names the entries that must be alike in a pair.
    """
    processor = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()
    return {
        "headtohead": headtohead.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        **{name: metadata.version(name) for name in PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "release": platform.platform(),
        "device": device.type,
        "processor": processor,
        "cores": str(os.cpu_count() or 1),
        "threads": str(torch.get_num_threads()),
        "precision": precision,
        "kernels": kernels,
        "deterministic": "yes" if torch.are_deterministic_algorithms_enabled() else "no",
    }
