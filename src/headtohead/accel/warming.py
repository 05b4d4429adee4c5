"""The CPU's compiled kernels, loaded before there is anything to train."""

import contextlib
from collections.abc import Iterator

import torch
from filelock import FileLock, Timeout

from headtohead.accel import accelerate, is_accelerated
from headtohead.backbones.base import Backbone
from headtohead.core.errors import UsageError
from headtohead.core.system import cache_folder

PATIENCE = 60
"""Seconds that a process waits for another one's compiling, before it does it, too."""


def warm_up(backbone: Backbone) -> None:
    """Load every kernel that training and evaluating `backbone` takes, and accelerate it.

    Where there are none on disk yet, as on a machine that never trained, they are compiled: by
    one process, while others that are started with it wait for them.
    """
    trunk = accelerate(backbone)
    if not is_accelerated(trunk):
        return
    side = trunk.smallest_image()
    images = torch.zeros(1, 3, side, side)
    with _turn():
        trunk.train()(images).sum().backward()
        with torch.no_grad():
            trunk.eval()(images)


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    """One process after the other, as far as the machine lets them know of each other."""
    with contextlib.ExitStack() as turn:
        with contextlib.suppress(OSError, Timeout, UsageError):  # then each compiles for itself
            cache_folder().mkdir(parents=True, exist_ok=True)
            turn.enter_context(FileLock(cache_folder() / "kernels.lock", timeout=PATIENCE))
        yield
