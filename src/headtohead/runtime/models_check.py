"""A worker's answer to what it is asked before any work: see `headtohead.runtime.preflight`."""

import bdb
import traceback
from typing import Any

import torch

from headtohead.backbones.base import build_backbone
from headtohead.core.errors import HeadToHeadError, UsageError, brief, one_line
from headtohead.core.source_code import loaded_digest
from headtohead.core.system import usable_cores
from headtohead.heads.classifier import build_classifier
from headtohead.runtime.preflight import Answer, Question
from headtohead.training.device import check_precision, choose_device, spread


def answer(question: Question) -> Answer:
    """Build every model once, so that a name or size that cannot work is told before the work.

    Raises UsageError for what cannot be.
    """
    for name, head in question.models:
        loaded_digest(head.head or name)  # of the code that is about to be imported
        try:
            build_classifier(
                question.backbone, name, head, image_size=question.image_size, classes=2, seed=0
            )
        except HeadToHeadError:
            raise
        except Exception as error:  # a head of the user's own may fail in any way
            traceback.print_exc()
            raise UsageError(
                f"the head {name} cannot be built ({in_words(error)}): repair it, or leave it out."
            ) from error
    setups = worker_setups(question.device, question.workers, deterministic=question.deterministic)
    for precision in question.precisions:
        check_precision(precision, torch.device(setups[0]["device"]))
    backbone = build_backbone(question.backbone.name, question.backbone.options)
    return Answer(setups=tuple(setups), stride=2 ** len(backbone.widths))


def in_words(error: Exception) -> str:
    """What the user's code, or a library, raised: in one short line."""
    if isinstance(error, EOFError | bdb.BdbQuit):
        return (
            "its code asks for input, as input() and breakpoint() do, and a worker has none: "
            "remove that"
        )
    return brief(f"{type(error).__name__}: {one_line(str(error))}", 300)


def worker_setups(
    device: str, workers: int | None, *, deterministic: bool = False
) -> list[dict[str, Any]]:
    """One setup for each worker process: by default one for each core, or one for each GPU."""
    chosen = choose_device(device)
    cores = usable_cores()
    devices = spread(chosen, workers, len(cores), torch.cuda.device_count())
    # Pinned only where the workers fill the machine: two small studies must not share one core.
    pinned = chosen.type == "cpu" and len(devices) == len(cores)
    return [
        {
            "worker": i,
            "device": name,
            "core": cores[i] if pinned else None,
            "deterministic": deterministic,
        }
        for i, name in enumerate(devices)
    ]
