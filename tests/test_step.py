"""The training step: the same whether it is eager or recorded, in every precision."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from headtohead.config.recipe import AugmentSpec, Precision
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.core.errors import RunError, UsageError
from headtohead.heads.capture import Operations
from headtohead.heads.classifier import Classifier, build_classifier
from headtohead.heads.pooling import GlobalAverage
from headtohead.heads.table import HEADS
from headtohead.training import step
from headtohead.training.acceleration import fastest
from headtohead.training.augment import Augmentation
from headtohead.training.device import check_precision, tf32
from headtohead.training.inputs import Pictures
from headtohead.training.optimizer import KerasAdam
from headtohead.training.step import (
    EagerGradients,
    Gradients,
    RecordedGradients,
    Recorder,
    Replay,
    Step,
    cuda_graph,
    gradients_on_device,
)

SIZE, BATCH, STEPS = 30, 8, 6
CPU = torch.device("cpu")
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def model(head: str = "fc_dropout", device: torch.device = CPU) -> Classifier:
    built = build_classifier(BackboneSpec(), head, HeadSpec(), image_size=SIZE, classes=2, seed=0)
    built.backbone = fastest(built.backbone)
    return built.to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload, no-any-return]


def pictures(device: torch.device = CPU) -> Pictures:
    random = np.random.default_rng(0)
    labels = np.arange(BATCH * STEPS) % 2
    images = random.integers(0, 180, (len(labels), SIZE, SIZE, 3), dtype=np.uint8)
    images[:, 8:20, 8:20] += (70 * labels).astype(np.uint8)[:, None, None, None]
    return Pictures(images, labels, device)


def rerun(body: Callable[[], Sequence[Tensor]]) -> tuple[Sequence[Tensor], Replay]:
    """What a CUDA graph does, on the CPU: every replay writes into the first run's tensors."""
    outputs = body()

    def replay() -> None:
        for output, value in zip(outputs, body(), strict=True):
            output.copy_(value)

    return outputs, replay


def trained(
    device: torch.device,
    choose: Callable[[EagerGradients, Tensor, Tensor], Gradients],
    precision: Precision = "float32",
    steps: int = STEPS,
) -> tuple[list[float], int, dict[str, Tensor]]:
    """Losses of an epoch of steps with dropout and augmentation, number correct, and the state."""
    made, source = model(device=device), pictures(device)
    augment = Augmentation(AugmentSpec(flip=True, crop=0.2, color=0.2), device)
    rows, draws = torch.arange(BATCH * STEPS, device=device), augment.draw(BATCH * STEPS, 0, 1)
    eager = EagerGradients(made, source, augment, precision)
    gradients = choose(eager, rows[:BATCH] * 0, draws[:BATCH] * 0)
    step = Step(gradients, KerasAdam(made.parameters(), 1e-3))
    torch.manual_seed(5)
    losses, correct = torch.empty(steps), torch.zeros((), dtype=torch.int64, device=device)
    for number in range(steps):
        batch = slice(number % STEPS * BATCH, (number % STEPS + 1) * BATCH)
        loss, right = step(rows[batch], draws[batch])
        losses[number] = loss
        correct += right
    state = {name: value.cpu().clone() for name, value in made.state_dict().items()}
    return losses.tolist(), int(correct), state


def recorded_by(record: Recorder) -> Callable[[EagerGradients, Tensor, Tensor], Gradients]:
    return lambda eager, rows, draws: RecordedGradients(eager, rows, draws, record)


def eagerly(eager: EagerGradients, rows: Tensor, draws: Tensor) -> Gradients:
    return eager


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_recorded_step_is_the_eager_one_to_the_bit() -> None:
    """Else a GPU's runs train on stale batches, or start from moved batch-norm averages."""
    mine = trained(CPU, recorded_by(rerun))
    theirs = trained(CPU, eagerly)
    assert mine[:2] == theirs[:2]
    assert_same(mine[2], theirs[2])


def test_recording_moves_nothing() -> None:
    """Else a run that is resumed, and recorded again, is not the run that was killed."""
    made = model()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    eager = EagerGradients(made, pictures(), None, "float32")
    RecordedGradients(eager, torch.arange(BATCH), None, record=rerun)
    assert_same(before, made.state_dict())
    assert all(parameter.grad is None for parameter in made.parameters())


@pytest.mark.parametrize("head", HEADS)
def test_every_shipped_head_can_be_captured(head: str) -> None:
    """Else its first step on a GPU ends the run. (In bf16 the CPU takes the GPU's operations.)"""
    augment = Augmentation(AugmentSpec(flip=True, crop=0.2, color=0.2), CPU)
    draws = augment.draw(2, 0, 1)
    eager = EagerGradients(model(head), pictures(), augment, "bf16")
    with Operations() as operations:
        eager(torch.arange(2), draws)
    assert {"convolution", "convolution_backward", "grid_sampler_2d"} <= operations.seen
    assert operations.waiting() == []


def test_an_operation_that_waits_is_seen() -> None:
    """Else the test above passes whatever a head does."""
    with Operations() as operations:
        bool(torch.ones(2).max() > 0)
    assert operations.waiting()


class OnGpu:
    """Rows as if a GPU had them."""

    device = torch.device("cuda:0")


@pytest.mark.parametrize("part", ["head", "backbone", "pictures", None])
def test_what_cannot_be_captured_takes_its_steps_one_by_one(
    monkeypatch: pytest.MonkeyPatch, part: str | None
) -> None:
    """Else a backbone that reads values back ends every head's runs, and nothing can be done."""
    monkeypatch.setattr(step, "RecordedGradients", lambda *_: "recorded")
    eager = EagerGradients(model(), pictures(), None, "float32")
    parts = {
        "head": eager.model.head,
        "backbone": eager.model.backbone,
        "pictures": eager.pictures,
    }
    if part is not None:
        monkeypatch.setattr(parts[part], "capturable", False)
    taken = gradients_on_device(eager, cast(Tensor, OnGpu()), None)
    assert taken is (eager if part else "recorded")


def test_the_cpu_takes_its_steps_eagerly() -> None:
    eager = EagerGradients(model(), pictures(), None, "float32")
    assert gradients_on_device(eager, torch.arange(BATCH), None) is eager


def test_bf16_learns_and_keeps_float32_where_it_matters() -> None:
    """In bfloat16, weights would lose small updates and statistics small differences."""
    losses, _, state = trained(CPU, eagerly, "bf16", steps=5 * STEPS)
    assert np.mean(losses[-STEPS:]) < 0.5 * np.mean(losses[:STEPS])
    assert {value.dtype for value in state.values()} == {torch.float32}
    exact, _, _ = trained(CPU, eagerly, steps=STEPS)
    assert losses[0] != exact[0]
    assert losses[0] == pytest.approx(exact[0], rel=0.05)


def test_in_bf16_the_head_is_given_float32() -> None:
    """Else a head of the user's own must know of precisions."""
    seen: list[torch.dtype] = []

    class Watched(GlobalAverage):
        def forward(self, features: Tensor) -> Tensor:
            seen.append(features.dtype)
            logits = super().forward(features)
            seen.append(logits.dtype)
            return logits

    made = model("gap")
    made.head = Watched(64, (1, 1), 1)
    loss, _ = EagerGradients(made, pictures(), None, "bf16")(torch.arange(BATCH), None)
    assert {*seen, loss.dtype} == {torch.float32}


def test_tf32_without_a_gpu_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'tf32'.*'cpu'.*float32"):
        check_precision("tf32", CPU)
    check_precision("tf32", torch.device("cuda:0"))
    check_precision("bf16", CPU)


def test_tf32_ends_with_its_step() -> None:
    """Else evaluation after a step in tf32 is in tf32, and so is the next run."""
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [flag.allow_tf32 for flag in flags]
    for allowed in (True, False):
        with tf32(allowed=allowed):
            assert [flag.allow_tf32 for flag in flags] == [allowed, allowed]
        assert [flag.allow_tf32 for flag in flags] == before


class Reads(TorchDispatchMode):
    """The addresses of all memory that operations are given."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = tree_leaves((args, kwargs or {}))
        self.seen |= {address(value) for value in given if isinstance(value, Tensor)}
        return func(*args, **(kwargs or {}))


def address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def test_a_recording_reads_its_own_copies_of_a_batch() -> None:
    """Else a replay reads memory that its caller has given away: indices out of range, or worse."""
    augment = Augmentation(AugmentSpec(flip=True, crop=0.2, color=0.2), CPU)
    eager = EagerGradients(model(), pictures(), augment, "float32")
    rows, draws = torch.arange(BATCH), augment.draw(BATCH, 0, 1)
    recording = RecordedGradients(eager, rows, draws, record=rerun)
    with Reads() as reads:
        recording._replay()
    assert recording._draws is not None
    assert {address(recording._rows), address(recording._draws)} <= reads.seen
    assert {address(rows), address(draws)} & reads.seen == set()


def test_two_recordings_share_no_memory() -> None:
    """Else heads that are timed by turns overwrite each other's batches and gradients."""
    source = pictures()

    def held(head: str) -> tuple[RecordedGradients, set[int]]:
        made = model(head)
        eager = EagerGradients(made, source, None, "float32")
        recording = RecordedGradients(eager, torch.arange(BATCH), None, record=rerun)
        own = [recording._rows, recording._loss, recording._correct, *recording._gradients]
        return recording, {address(tensor) for tensor in [*own, *made.parameters()]}

    (first, mine), (second, theirs) = held("fc"), held("gap")
    assert mine & theirs == set()
    before = [tensor.clone() for tensor in first._gradients]
    second(torch.arange(BATCH, 2 * BATCH), None)
    assert all(map(torch.equal, before, first._gradients))


@on_gpu
def test_many_recordings_keep_to_their_own_memory() -> None:
    """Else heads that are timed by turns, after runs that are over, overwrite each other."""
    device = torch.device("cuda:0")
    source = pictures(device)

    def recording(head: str) -> tuple[Gradients, Gradients]:
        eager = EagerGradients(model(head, device), source, None, "float32")
        return RecordedGradients(eager, rows * 0, None, cuda_graph), eager

    rows = torch.arange(BATCH, device=device)
    for head in ("fc", "gap"):  # runs that are over: their recordings are dropped
        recording(head)[0](rows, None)
    heads = [recording(head) for head in ("fc", "avgpool2x2", "gap_bn", "gap")]
    for _ in range(20):
        torch.randint(1 << 40, (1 << 20,), device=device)  # whoever is given freed memory
        for recorded, eager in heads:
            loss = float(recorded(rows, None)[0])
            assert loss == pytest.approx(float(eager(rows, None)[0]), rel=1e-4)


@on_gpu
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_a_captured_step_is_the_eager_one_on_a_gpu(
    precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout, augmentation and averages must be those that eager steps would have."""
    device = torch.device("cuda:0")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # PyTorch before 2.10 asks for it
    torch.use_deterministic_algorithms(True)
    try:
        mine = trained(device, recorded_by(cuda_graph), precision)
        theirs = trained(device, eagerly, precision)
    finally:
        torch.use_deterministic_algorithms(False)
    assert mine[:2] == theirs[:2]
    assert_same(mine[2], theirs[2])


@on_gpu
@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_every_shipped_head_is_captured_on_a_gpu(
    head: str, deterministic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else some head, or some head where arithmetic is to be repeatable, has no runs on a GPU."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    device = torch.device("cuda:0")
    eager = EagerGradients(model(head, device), pictures(device), None, "float32")
    rows = torch.arange(BATCH, device=device)
    torch.use_deterministic_algorithms(deterministic)
    try:
        loss, _ = gradients_on_device(eager, rows, None)(rows, None)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.isfinite(loss)


@on_gpu
def test_a_head_that_reads_back_says_what_to_do() -> None:
    class Peeking(GlobalAverage):
        def forward(self, features: Tensor) -> Tensor:
            return super().forward(features) * float(features.max() > -1)

    device = torch.device("cuda:0")
    made = model("gap")
    made.head = Peeking(64, (1, 1), 1)
    eager = EagerGradients(made.to(device), pictures(device), None, "float32")
    with pytest.raises(RunError, match="capturable = False"):
        gradients_on_device(eager, torch.arange(BATCH, device=device), None)
    Peeking.capturable = False
    patient = replace(eager)
    assert gradients_on_device(patient, torch.arange(BATCH, device=device), None) is patient
