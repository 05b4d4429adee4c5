"""The CPU's compiled kernels, loaded before there is anything to train."""

import contextlib
from collections.abc import Iterator

import torch
from filelock import FileLock, Timeout

from headtohead.backbones.base import build_backbone
from headtohead.config.study import BackboneSpec
from headtohead.core.errors import UsageError
from headtohead.core.system import cache_folder

PATIENCE = 60
"""Seconds that a process waits for another one's compiling, before it does it, too."""


def warm_up(backbone: BackboneSpec) -> None:
    """Load every kernel that training and evaluating the backbone takes.

    Where there are none on disk yet, as on a machine that never trained, they are compiled: by
    one process, while others that are started with it wait for them.
    """
    trunk = build_backbone(backbone.name, backbone.options)
    side = trunk.smallest_image()
    pictures = torch.zeros(1, 3, side, side)
    with _turn():
        trunk.train()(pictures).sum().backward()
        with torch.no_grad():
            trunk.eval()(pictures)


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    """One process after the other, as far as the machine lets them know of each other."""
    with contextlib.ExitStack() as turn:
        with contextlib.suppress(OSError, Timeout, UsageError):  # then each compiles for itself
            cache_folder().mkdir(parents=True, exist_ok=True)
            turn.enter_context(FileLock(cache_folder() / "kernels.lock", timeout=PATIENCE))
        yield
