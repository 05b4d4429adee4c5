"""A worker's answer to what it is asked before any work: see `headtohead.runtime.preflight`."""

import bdb
import traceback
from typing import Any

import torch

from headtohead.backbones.base import Backbone
from headtohead.backbones.describe import facts
from headtohead.backbones.frozen import with_last_stages
from headtohead.backbones.stages import used_parameters
from headtohead.backbones.table import resolve
from headtohead.core.errors import HeadToHeadError, UsageError, brief, one_line
from headtohead.core.source_code import loaded_digest
from headtohead.core.system import usable_cores
from headtohead.heads.classifier import outputs_for
from headtohead.heads.table import build_head
from headtohead.probes.translation import whole_stride
from headtohead.runtime.heads_check import available_memory, guidance, sizes_of
from headtohead.runtime.preflight import PreflightAnswer, PreflightQuestion, refuse_too_large
from headtohead.training.device import check_precision, choose_device, worker_devices


def answer_or_refusal(question: PreflightQuestion) -> PreflightAnswer:
    """The answer, or why there is none, in a sentence."""
    try:
        return answer(question)
    except HeadToHeadError as error:
        return PreflightAnswer(refusal=str(error))
    except Exception as error:  # a head of the user's own may fail in any way
        traceback.print_exc()
        return PreflightAnswer(
            refusal=f"the study's models cannot be built ({in_words(error)}): fix or remove the "
            f"part that says so."
        )


def answer(question: PreflightQuestion) -> PreflightAnswer:
    """Build every model once, so that a name or size that cannot work is told before the work.

    Weights are loaded, once, so that wrong ones are told, too. Raises UsageError for what cannot
    be.
    """
    resolved, backbone, notes = resolve(question.backbone)
    image_size, models = question.image_size, question.models
    size = backbone.map_size(image_size)
    if resolved.stages:
        with_last_stages(backbone, resolved.stages, image_size)  # as many as there are
    elif not resolved.frozen:
        _check_trained(backbone, image_size)
    setups = worker_setups(question.device, question.workers, deterministic=question.deterministic)
    device = torch.device(setups[0]["device"])
    sizes = sizes_of(models, backbone.channels, size, question.optimizers)
    memory = 0
    if not question.answered:
        memory = available_memory(device)
        refuse_too_large(sizes, memory, classes=2)  # before they are built
    _build_heads(question, backbone.channels, size)
    for precision in question.precisions:
        check_precision(precision, device)
    functions, sentences = guidance(models, backbone, image_size, normed=resolved.norm)
    return PreflightAnswer(
        setups=tuple(setups),
        stride=whole_stride(backbone),
        backbone=resolved,
        about=facts(resolved, backbone),
        notes=tuple(notes),
        sizes=sizes,
        memory=memory,
        guidance=tuple(sentences),
        functions=functions,
    )


def _check_trained(backbone: Backbone, image_size: int) -> None:
    """Raises UsageError where training would leave all of the backbone's parameters as they are."""
    count = sum(p.numel() for p in backbone.parameters())
    if count and not used_parameters(backbone, image_size):
        raise UsageError(
            f"the maps of the backbone {backbone.identity.partition(' ')[0]} depend on none of its "
            f"{count:,} parameters, so only the head would be trained: its forward pass computes "
            f"without gradients (torch.no_grad, detach). Remove that, or use --train-backbone none."
        )


def _build_heads(question: PreflightQuestion, channels: int, size: tuple[int, int]) -> None:
    """Each head once. Raises UsageError for one that cannot be built."""
    for name, head in question.models:
        loaded_digest(head.head or name)  # of the code that is about to be imported
        try:
            build_head(head.head or name, channels, size, outputs_for(2), **head.options)
        except HeadToHeadError:
            raise
        except Exception as error:  # a head of the user's own may fail in any way
            traceback.print_exc()
            raise UsageError(
                f"the head {name} cannot be built ({in_words(error)}): fix or remove this head."
            ) from error


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
    devices = worker_devices(chosen, workers, len(cores), torch.cuda.device_count())
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
