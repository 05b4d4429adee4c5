"""The properties that every head must have, shipped or of your own.

For a head of your own, `mine.py` with a class `MyHead(Head)` in it, add to your tests:

    from headtohead.testing import check_head

    def test_my_head():
        check_head("mine:MyHead")

It raises AssertionError with the property that failed, and returns what was checked and what was
not. Numbers are random but the same at each call.
"""

import copy
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.autograd.gradcheck import GradcheckError, gradcheck

from headtohead.backbones.check import check_backbone as check_backbone
from headtohead.core.errors import UsageError
from headtohead.heads.base import ClosedFormHead, Head, PooledHead
from headtohead.heads.capture import Operations
from headtohead.heads.metric import classes_for
from headtohead.heads.table import build_head, build_head_of

Size = tuple[int, int]

SIZES: tuple[Size, ...] = ((1, 1), (3, 5), (7, 7), (14, 14))
"""Of the feature maps: one place, not square, and those of usual backbones."""

OUTPUTS = (1, 3)
BATCH = 5
RELATIVE, ABSOLUTE = 1e-4, 1e-5


@dataclass
class Checked:
    """What `check_head` found: sizes that passed, sizes refused and why, checks left out and why.

    `not_exported`: why the ONNX export was not compared; None where it was, and agreed.
    """

    passed: list[Size] = field(default_factory=list)
    refused: dict[Size, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    not_exported: str | None = None


def check_head(
    head: str | type[Head],
    *,
    channels: int = 32,
    sizes: Iterable[Size] = SIZES,
    outputs: Sequence[int] = OUTPUTS,
    **options: Any,
) -> Checked:
    """Put a head, by name, `module:Class` or class, through every property.

    For feature maps (N, channels, *size) of each size and each number of logits. A size that the
    head refuses by UsageError is noted; where it refuses all, that error is raised. Raises
    AssertionError with the property that failed.
    """
    found = Checked()
    refusal: UsageError | None = None
    for size in sizes:
        try:
            for count in outputs:
                _check_at(_Case(head, channels, size, count, options), found)
        except UsageError as error:
            found.refused[size], refusal = str(error), error
        else:
            found.passed.append(size)
    if not found.passed and refusal is not None:
        raise refusal
    if found.passed:
        # On the smallest maps that have places to tell apart: numerical derivatives are slow.
        size = next((size for size in found.passed if size != (1, 1)), found.passed[0])
        case = _Case(head, channels, size, max(outputs), options)
        _check_derivatives(case)
        found.not_exported = _check_export(case)
    return found


@dataclass(frozen=True)
class _Case:
    """One head at one size."""

    head: str | type[Head]
    channels: int
    size: Size
    outputs: int
    options: dict[str, Any]

    def build(self) -> Head:
        """The head before its first step; a closed-form one is fitted."""
        torch.manual_seed(0)
        given = (self.channels, self.size, self.outputs)
        if isinstance(self.head, str):
            head = build_head(self.head, *given, **self.options)
        else:
            head = build_head_of(self.head, *given, **self.options)
        if isinstance(head, ClosedFormHead):
            head.reset()
            head.fit(self.features(seed=5, count=12), torch.arange(12) % classes_for(self.outputs))
        return head

    def trained(self) -> Head:
        """The head as after some training: no weight and no average is where it began."""
        head = self.build().train()
        with torch.no_grad():
            for _ in range(3):
                head(self.features(seed=6))
            for parameter in head.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return head.eval()

    def features(self, seed: int = 1, count: int = BATCH) -> Tensor:
        """(count, channels, *size), as after a ReLU."""
        return self.signed(seed, count).relu()

    def signed(self, seed: int = 1, count: int = BATCH) -> Tensor:
        """(count, channels, *size), with negative values."""
        random = torch.Generator().manual_seed(seed)
        return torch.randn(count, self.channels, *self.size, generator=random)


def _check_at(case: _Case, found: Checked) -> None:
    head, features = case.build(), case.features()
    _check_logits(head, features, case.outputs)
    _check_gradients(head, features)
    _check_one_image_in_training(head, features)
    _check_capture(head, features)
    head = case.trained()
    for given in (features, case.signed()):
        _check_rows_are_independent(head, given)
        _check_memory_layout(head, given)
        _check_class_maps(head, given, case.outputs)
    _check_extremes(head, features)
    _check_saved_and_loaded(head, case.build(), features)
    if isinstance(head, PooledHead):
        for given in (features, case.signed()):
            _check_pool(head, given)
    for note in _check_invariances(head, case.signed()):
        if note not in found.skipped:
            found.skipped.append(note)
    if isinstance(head, ClosedFormHead):
        _check_fit(head, case)


def _evaluated(head: Head, features: Tensor) -> Tensor:
    head.eval()
    with torch.no_grad():
        logits: Tensor = head(features)
    return logits


def _close(found: Tensor, expected: Tensor, complaint: str) -> None:
    torch.testing.assert_close(found, expected, rtol=RELATIVE, atol=ABSOLUTE, msg=complaint)


def _check_logits(head: Head, features: Tensor, outputs: int) -> None:
    before, state = features.clone(), copy.deepcopy(head.state_dict())
    logits = _evaluated(head, features)
    assert logits.shape == (len(features), outputs), "logits must be (N, outputs)"
    assert logits.dtype == torch.float32, "logits must be float32"
    assert logits.isfinite().all(), "logits must be finite"
    assert torch.equal(logits, _evaluated(head, features)), "evaluation must be deterministic"
    assert torch.equal(features, before), "a head must not change its input"
    for name, value in head.state_dict().items():
        assert torch.equal(value, state[name]), f"evaluation must not change {name}"


def _loss(logits: Tensor) -> Tensor:
    """A number in which no symmetry between logits or images cancels."""
    weights = torch.linspace(-1, 2, logits.numel(), dtype=logits.dtype).reshape(logits.shape)
    return (logits * weights).sum()


def _gradients(head: Head, features: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and the maps' gradient in the head's present mode; parameters keep theirs."""
    head.zero_grad()
    source = features.clone().requires_grad_()
    logits: Tensor = head(source)
    _loss(logits).backward()
    assert source.grad is not None, "no gradient reaches the feature maps"
    return logits.detach(), source.grad


def _check_gradients(head: Head, features: Tensor) -> None:
    _, gradient = _gradients(head.train(), features)
    assert gradient.isfinite().all(), "the maps' gradient must be finite"
    assert gradient.abs().sum() > 0, "no gradient reaches the feature maps"
    for name, parameter in head.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"no gradient reaches {name}"
            assert parameter.grad.isfinite().all(), f"the gradient of {name} must be finite"


def _check_one_image_in_training(head: Head, features: Tensor) -> None:
    """The last batch of an epoch may hold a single image."""
    logits = head.train()(features[:1])
    assert logits.shape[0] == 1, "a batch of one must train"
    assert logits.isfinite().all(), "a batch of one must give finite logits in training"


def _check_rows_are_independent(head: Head, features: Tensor) -> None:
    together = _evaluated(head, features)
    other = features.clone()
    other[1:] = torch.randn_like(other[1:])
    _close(_evaluated(head, other)[:1], together[:1], "an image's logits depend on others")
    alone = torch.cat([_evaluated(head, row[None]) for row in features])
    _close(alone, together, "logits depend on the batch's size")


def _check_pool(head: PooledHead, features: Tensor) -> None:
    """What is pooled once, for all seeds and by other batches, must be what `forward` pools."""
    features = features.contiguous(memory_format=torch.channels_last)
    assert not isinstance(head.pool, nn.Module), "a fixed pool is no module: it has no parameters"
    assert hash(head.pool) == hash(copy.deepcopy(head).pool), "a fixed pool's hash must not change"
    with torch.no_grad():
        pooled = head.pool(features)
        logits = head.classify(pooled)
    assert pooled.dtype == torch.float32, "a fixed pool must give float32"
    assert torch.equal(logits, _evaluated(head, features)), (
        "forward must be classify(pool(features)), to the bit"
    )
    with torch.no_grad():
        for size in (1, 2, len(features)):
            again = torch.cat([head.pool(part) for part in torch.split(features, size)])
            assert torch.equal(again, pooled), (
                "a fixed pool must draw nothing and see each image by itself, to the bit"
            )


def _check_memory_layout(head: Head, features: Tensor) -> None:
    contiguous = _evaluated(head, features.contiguous())
    channels_last = features.contiguous(memory_format=torch.channels_last)
    _close(_evaluated(head, channels_last), contiguous, "logits depend on the memory layout")


def _check_class_maps(head: Head, features: Tensor, outputs: int) -> None:
    """None, or maps whose mean over height and width is the logit."""
    logits = _evaluated(head, features)
    with torch.no_grad():
        maps = head.class_maps(features)
    if maps is None:
        assert not head.fixed_attention, "fixed_attention is said of class maps; there are none"
        return
    assert maps.shape == (len(features), outputs, *features.shape[2:]), "maps: (N, outputs, H, W)"
    scale = max(1.0, float(logits.abs().max()))
    _close(maps.mean(dim=(2, 3)) / scale, logits / scale, "the mean of a class map is the logit")


def _extremes(features: Tensor) -> dict[str, Tensor]:
    return {
        "zeros": torch.zeros_like(features),
        "ones": torch.ones_like(features),
        "a constant a map": features.amax(dim=(2, 3), keepdim=True).expand_as(features),
        "large values": 1e4 * features,
        "large constants": torch.full_like(features, 1e4),
        "negative values": -100 * features - 1,
        "large values of both signs": 1e4 * (features - features.mean()),
    }


def _check_extremes(head: Head, features: Tensor) -> None:
    """Dead maps and exploding ones happen: a head must not turn them into NaN."""
    head = copy.deepcopy(head)
    for training in (True, False):
        for name, given in _extremes(features).items():
            logits, gradient = _gradients(head.train(training), given.contiguous())
            where = f"for {name} in {'training' if training else 'evaluation'}"
            assert logits.isfinite().all(), f"logits must be finite {where}"
            assert gradient.isfinite().all(), f"the maps' gradient must be finite {where}"
            for parameter_name, parameter in head.named_parameters():
                finite = parameter.grad is None or parameter.grad.isfinite().all()
                assert finite, f"the gradient of {parameter_name} must be finite {where}"


def _check_saved_and_loaded(head: Head, fresh: Head, features: Tensor) -> None:
    """Through a safetensors file, which holds tensors alone: no state may live elsewhere."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head.safetensors"
        save_file({name: value.contiguous() for name, value in head.state_dict().items()}, path)
        fresh.load_state_dict(load_file(path))
    assert torch.equal(_evaluated(fresh, features), _evaluated(head, features)), (
        "a head loaded from its weights must be the head that was saved"
    )


def _check_invariances(head: Head, features: Tensor) -> list[str]:
    """Claimed ones hold in float64; those denied are seen to be lacking. What was not checked."""
    height, width = features.shape[2:]
    if height * width == 1:
        return []
    exact, features = copy.deepcopy(head).double(), features.double()
    logits = _evaluated(exact, features)
    orders = [torch.randperm(height * width) for _ in range(3)]
    moved = {
        "permutation": [
            features.flatten(2)[:, :, order].reshape(features.shape) for order in orders
        ],
        "translation": [
            features.roll(shift, dims=(2, 3)) for shift in ((1, 0), (0, 1), (height // 2, 1))
        ],
    }
    skipped = []
    for name, others in moved.items():
        claim: bool | None = getattr(head, f"{name}_invariant")
        same = [
            torch.allclose(_evaluated(exact, other), logits, rtol=1e-7, atol=1e-9)
            for other in others
        ]
        if claim is None:
            skipped.append(f"{name} invariance: the head claims nothing")
        elif claim:
            assert all(same), f"{name} of the places changes the logits, against the head's claim"
        else:
            assert not all(same), (
                f"{name} of the places never changes the logits: say {name}_invariant = True"
            )
    return skipped


def _check_capture(head: Head, features: Tensor) -> None:
    """Seen on the CPU: the operations that a step on a GPU would take."""
    with Operations() as operations:
        _gradients(head.train(), features)
    waiting = ", ".join(operations.waiting())
    assert not (waiting and head.capturable), (
        f"a step cannot be captured as a CUDA graph ({waiting}): say capturable = False"
    )


def _check_derivatives(case: _Case) -> None:
    """Against numerical ones in float64, for the maps and all parameters."""
    head = case.trained().double()
    features = case.signed(count=2).double()
    if head.needs_non_negative:
        features = features.abs() + 0.1  # away from the kink at zero
    features.requires_grad_()
    parameters = [p for p in head.parameters() if p.requires_grad]

    def logits(given: Tensor, *_: Tensor) -> Tensor:
        found: Tensor = head(given)
        return found

    try:
        gradcheck(logits, (features, *parameters), fast_mode=True)
    except GradcheckError as error:
        raise AssertionError(f"gradients differ from numerical ones: {error}") from error


def _check_export(case: _Case) -> str | None:
    """Compare ONNX Runtime's logits with the head's; why not, where it was not done."""
    head, features = case.trained(), case.features()
    if not head.exportable:
        return "the head says that it cannot be exported"
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        return f"{error.name} is not installed"
    expected = _evaluated(head, features)
    program = torch.onnx.export(head, (features,), dynamo=True, verbose=False)
    assert program is not None
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "head.onnx")
        program.save(path)
        runner = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (found,) = runner.run(None, {runner.get_inputs()[0].name: features.numpy()})
    _close(torch.from_numpy(found), expected, "the ONNX export gives other logits")
    return None


def _check_fit(head: ClosedFormHead, case: _Case) -> None:
    """The fit is that of all images, in whatever batches they come."""
    features, count = case.signed(seed=7, count=12), classes_for(case.outputs)
    labels = torch.arange(12) % count
    found = []
    for batches in ([slice(0, 12)], [slice(5, 12), slice(0, 1), slice(1, 5)]):
        head.reset()
        for rows in batches:
            head.fit(features[rows], labels[rows])
        found.append(_evaluated(head, features))
    _close(found[1], found[0], "a closed-form fit depends on the batches")
    assert not any(p.requires_grad for p in head.parameters()), "a closed form has no parameters"
    head.reset()
    assert (_evaluated(head, features) == 0).all(), "logits must be zero after reset"
