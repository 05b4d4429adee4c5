"""The training step: one update by one batch, taken eagerly or replayed from a CUDA graph.

On the CPU a step is a few large operations, and PyTorch's own dispatch costs nothing beside them.
On a GPU the same step is some sixty small kernels, and launching them one by one from Python can
take longer than they do. There they are recorded once as a CUDA graph and launched together.

The precision is that of the steps alone. `tf32`: convolutions and matrix products of float32
numbers round their factors to TF32's 10 bits of mantissa. `bf16`: the backbone computes in bfloat16
(PyTorch's autocast); weights, batch-norm statistics, the head and the loss are float32, so that a
head of the user's own needs to know nothing of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from headtohead.config.recipe import Precision
from headtohead.core.errors import RunError
from headtohead.heads.classifier import Classifier
from headtohead.training.augment import Augmentation
from headtohead.training.class_weights import training_loss
from headtohead.training.device import tf32
from headtohead.training.inference import predicted
from headtohead.training.inputs import Inputs
from headtohead.training.optimizer import Optimizer

WARM_UP = 3
"""Passes before a capture: libraries choose their kernels and take their memory in the first."""


class Gradients(Protocol):
    """What a step computes before its update, on the device and without waiting for it."""

    def __call__(self, rows: Tensor, draws: Tensor | None) -> tuple[Tensor, Tensor]:
        """The batch's mean loss and number correct, both scalars; leaves the gradients behind.

        `rows` (n,) are the batch's rows of the images, `draws` (n, 7) its augmentation's.
        """


@dataclass(frozen=True)
class EagerGradients:
    """Computed operation by operation; `weights` (K,) on the device are the classes', if any."""

    model: Classifier
    pictures: Inputs
    augment: Augmentation | None
    precision: Precision
    weights: Tensor | None = None

    def __call__(self, rows: Tensor, draws: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `Gradients` says."""
        if self.augment is None or draws is None:
            inputs, labels = self.pictures.batch(rows)
        else:
            inputs, labels = self.pictures.augmented(rows, draws, self.augment)
        with tf32(allowed=self.precision == "tf32"):
            logits = self._logits(inputs)
            loss = training_loss(logits, labels, self.weights)
            loss.backward()
        return loss.detach(), (predicted(logits.detach()) == labels).sum()

    def _logits(self, inputs: Tensor) -> Tensor:
        # Every weight is used once: a cache of converted ones would only outlive a graph's memory.
        autocast = torch.autocast(
            inputs.device.type,
            torch.bfloat16,
            enabled=self.precision == "bf16",
            cache_enabled=False,
        )
        with autocast:
            features = self.pictures.maps(self.model.backbone, inputs)
        return self.pictures.classify(self.model.head, features.float())


Replay: TypeAlias = Callable[[], None]
Recorder: TypeAlias = Callable[[Callable[[], Sequence[Tensor]]], tuple[Sequence[Tensor], Replay]]
"""Runs a function that reads and writes tensors where they are; returns what it returned and what
makes it run again, into the same tensors."""


class CaptureError(RunError):
    """A step cannot be captured. The process should end: PyTorch may believe that one goes on."""


class RecordedGradients:
    """Recorded once, then replayed: batches are copied to where the recording reads them.

    The optimiser stays outside. Its update is a single fused kernel, and Keras's epsilon makes
    one of its numbers change with every step, which a recording cannot. Recording moves no
    weight and no batch-norm average; random numbers are drawn, and it is for the caller to seed.
    """

    def __init__(
        self, gradients: EagerGradients, rows: Tensor, draws: Tensor | None, record: Recorder
    ) -> None:
        """Record by any batch of the size that is to come. Raises what `record` raises."""
        model = gradients.model.train()
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._rows = rows.clone()
        self._draws = None if draws is None else draws.clone()

        def body() -> Sequence[Tensor]:
            for parameter in self._parameters:
                parameter.grad = None
            loss, correct = gradients(self._rows, self._draws)
            return loss, correct, *(p.grad for p in self._parameters if p.grad is not None)

        averages = [(buffer, buffer.clone()) for buffer in model.buffers()]
        outputs, self._replay = record(body)
        for buffer, value in averages:
            buffer.copy_(value)
        self._loss, self._correct, *self._gradients = outputs
        self._moved = [p for p in self._parameters if p.grad is not None]
        for parameter in self._parameters:
            parameter.grad = None

    def __call__(self, rows: Tensor, draws: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `Gradients` says; the two scalars are overwritten by the next call."""
        self._rows.copy_(rows)
        if self._draws is not None and draws is not None:
            self._draws.copy_(draws)
        self._replay()
        for parameter, gradient in zip(self._moved, self._gradients, strict=True):
            parameter.grad = gradient  # the optimiser let go of it after the last step
        return self._loss, self._correct


def cuda_graph(body: Callable[[], Sequence[Tensor]]) -> tuple[Sequence[Tensor], Replay]:
    """Record `body` as a CUDA graph on the current device; CaptureError where it cannot be.

    Nothing that one recording writes to may be handed to another. cuBLAS keeps a workspace for each
    stream and writes to its address at every replay; captured on the stream that all captures
    share, two recordings get one workspace, which is dropped with the first of them while the
    second still writes to it (pytorch#193402): whatever is given that memory next is overwritten.
    So each recording has a stream of its own and, because PyTorch hands out the same few streams
    again and again, a workspace of its own too, from the recording's private memory.

    PyTorch registers the device's generator with the graph: each replay draws on from the seed and
    the position that it has then, as an eager step would.
    """
    own = torch.cuda.Stream()
    own.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(own):
        for _ in range(WARM_UP):
            body()
    before = torch.cuda.current_stream()
    before.wait_stream(own)
    graph = torch.cuda.CUDAGraph()
    try:
        _forget_workspaces()
        with torch.cuda.graph(graph, stream=own):
            outputs = body()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        torch.cuda.set_stream(before)  # a capture that fails may leave its own
        raise CaptureError(
            f"this head's training step cannot be captured as a CUDA graph ({error}). A forward "
            f"pass that reads values back, as .item() and boolean indexing do, cannot; say "
            f"`capturable = False` in the class of the head, or of the backbone where that does, "
            f"to have its steps taken one by one."
        ) from error
    finally:
        _forget_workspaces()
    return outputs, _Replay(graph, own)


@dataclass(frozen=True)
class _Replay:
    """A recorded graph, and the stream that it was recorded on: both live as long as it does."""

    graph: torch.cuda.CUDAGraph
    stream: torch.cuda.Stream

    def __call__(self) -> None:
        self.graph.replay()


def _forget_workspaces() -> None:
    """The next call of cuBLAS on any stream takes new memory: in a capture, the recording's."""
    torch._C._cuda_clearCublasWorkspaces()


def gradients_on_device(gradients: EagerGradients, rows: Tensor, draws: Tensor | None) -> Gradients:
    """The way that suits device, head and inputs: captured on a GPU, eager elsewhere.

    `rows` and `draws` are a batch as those to come. Draws random numbers.
    """
    parts = (gradients.model.head, gradients.model.backbone, gradients.pictures)
    if rows.device.type == "cuda" and all(part.capturable for part in parts):
        return RecordedGradients(gradients, rows, draws, cuda_graph)
    return gradients


@dataclass(frozen=True)
class Step:
    """One update by one batch."""

    gradients: Gradients
    optimizer: Optimizer

    def __call__(self, rows: Tensor, draws: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean loss and number correct, from before the update; to be read before the next step."""
        loss, correct = self.gradients(rows, draws)
        self.optimizer.step()
        return loss, correct
