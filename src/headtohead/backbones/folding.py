"""Convolutions that apply the batch norm after them, and the activation after that.

In evaluation mode batch norm is one factor and one summand for each channel. Multiplied into the
weights of the convolution before it they cost nothing (Jacob et al. 2018, "Quantization and
Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", section 3.2), and on a
CPU the same kernel applies the activation. The network stays as it is: one pass through it is
followed to find what can be folded, and that stands in only while a `Folding` is entered.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

TOLERANCE = 1e-4
"""Of the largest value: rounding moves feature maps by some 1e-6 of it, a mistake by far more."""

EXAMPLES = 2
"""Images that are enough to see what can be folded."""

Function: TypeAlias = Callable[..., Any]
Network: TypeAlias = Callable[[Tensor], Tensor]
Sides: TypeAlias = int | tuple[int, ...] | list[int]
Kernel: TypeAlias = tuple[str, list[float], str]
"""The name of an activation, its numbers, and which way to compute it."""


class _Convolution(NamedTuple):
    """The arguments of `torch.conv2d`."""

    input: Tensor
    weight: Tensor
    bias: Tensor | None = None
    stride: Sides = 1
    padding: Any = 0  # as the others, or a string
    dilation: Sides = 1
    groups: int = 1


class _BatchNorm(NamedTuple):
    """The arguments of `torch.nn.functional.batch_norm`, which has statistics in evaluation."""

    input: Tensor
    running_mean: Tensor
    running_var: Tensor
    weight: Tensor | None = None
    bias: Tensor | None = None
    training: bool = False
    momentum: float = 0.1
    eps: float = 1e-5


class _Activation(NamedTuple):
    """A function of one tensor, and how oneDNN's convolution is told to apply it."""

    function: Function
    kernel: Kernel


class _Folded(NamedTuple):
    """What stands in for a convolution's weight and bias, a batch norm and an activation."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    """By which the batch norm is known."""
    activation: _Activation | None


class Folding(TorchFunctionMode):
    """While it is entered, convolutions take folded weights, and what is folded does nothing.

    For the network that it was made of (`folding_of`), in evaluation mode and without gradients, on
    `device`. Not for two threads at once. `folded` has, by the weight of each convolution that is
    folded, what stands in for it.
    """

    def __init__(self, device: torch.device, folded: dict[Tensor, _Folded]) -> None:
        super().__init__()
        self.device = device
        self.folded = folded
        self._norms = {each.running_mean for each in folded.values()}
        self._activated: tuple[Tensor | None, Function | None] = None, None

    def __torch_function__(
        self, func: Function, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call `func`, or what stands in for it."""
        kwargs = kwargs or {}
        if func is torch.conv2d:
            called = _Convolution(*args, **kwargs)
            if called.weight in self.folded:
                return self._convolve(called, self.folded[called.weight])
        elif func is functional.batch_norm:
            norm = _BatchNorm(*args, **kwargs)
            if norm.running_mean in self._norms:
                return norm.input
        elif args and func is self._activated[1] and args[0] is self._activated[0]:
            self._activated = None, None
            return args[0]
        return func(*args, **kwargs)

    def _convolve(self, called: _Convolution, folded: _Folded) -> Tensor:
        """By the folded weights, the activation included if it is folded, too."""
        called = called._replace(weight=folded.weight, bias=folded.bias)
        if folded.activation is None:
            return torch.conv2d(*called)
        function, kernel = folded.activation
        images, weight, bias, *sides, groups = called
        stride, padding, dilation = ([s, s] if isinstance(s, int) else list(s) for s in sides)
        output: Tensor = torch.ops.mkldnn._convolution_pointwise(
            images, weight, bias, padding, stride, dilation, groups, *kernel
        )
        self._activated = output, function
        return output


def folded(network: Network, images: Tensor) -> AbstractContextManager[object]:
    """While it is entered, `network` computes with all that can be folded: see `folding_of`."""
    return folding_of(network, images) or nullcontext()


def folding_of(network: Network, images: Tensor) -> Folding | None:
    """What can be folded of `network`, which is in evaluation mode and keeps its weights.

    `images` (N, ...) are some that it takes, laid out and on the device as those to come: a few
    are enough. None where nothing can be folded, or where what it says of these images with what
    is folded differs from what it says without by more than `TOLERANCE`.
    """
    if not len(images):
        return None
    images = images[:EXAMPLES]
    with torch.no_grad():
        with _Recorder() as recorder:
            expected = network(images)
        folded = dict(_folded(recorder.calls))
        if not folded:
            return None
        folding = Folding(images.device, folded)
        try:
            with folding:
                difference = (network(images) - expected).abs().max()
        except RuntimeError:  # a kernel that this processor, or this build of PyTorch, has not
            return None
        return folding if difference <= TOLERANCE * expected.abs().max() else None


class _Call(NamedTuple):
    """A function of PyTorch that was called, and what it made."""

    function: Function
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any


class _Recorder(TorchFunctionMode):
    """While it is entered, keeps every call that made a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[_Call] = []

    def __torch_function__(
        self, func: Function, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call `func`."""
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if isinstance(output, Tensor | list | tuple):  # a shape is a tuple, too, and does no harm
            self.calls.append(_Call(func, args, kwargs, output))
        return output


def _folded(calls: Iterable[_Call]) -> Iterator[tuple[Tensor, _Folded]]:
    """The weight of every convolution that can be folded, and what stands in for it.

    What it makes goes to a batch norm in evaluation mode and nowhere else, and neither is called a
    second time. A weight that is computed is another tensor at every call.
    """
    users: defaultdict[int, list[_Call]] = defaultdict(list)
    for call in calls:
        for tensor in _tensors((*call.args, *call.kwargs.values())):
            users[id(tensor)].append(call)
    for call in calls:
        after = users[id(call.output)]
        if call.function is not torch.conv2d or len(after) != 1:
            continue
        convolution = _Convolution(*call.args, **call.kwargs)
        if after[0].function is not functional.batch_norm:
            continue
        norm = _BatchNorm(*after[0].args, **after[0].kwargs)
        once = all(len(users[id(of)]) == 1 for of in (convolution.weight, norm.running_mean))
        if once and isinstance(convolution.weight, nn.Parameter) and not norm.training:
            activation = _activation(after[0].output, users[id(after[0].output)])
            yield convolution.weight, _fold(convolution, norm, activation)


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """All tensors among values, and in lists and tuples among them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _fold(convolution: _Convolution, norm: _BatchNorm, activation: _Activation | None) -> _Folded:
    """Convolution and batch norm as one convolution, in float64 before it is rounded."""
    weight, mean = convolution.weight, norm.running_mean
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    bias = -mean.double() if convolution.bias is None else convolution.bias.double() - mean.double()
    bias = bias * scale
    if norm.bias is not None:
        bias = bias + norm.bias.double()
    scaled = weight.detach().double() * scale[:, None, None, None]
    if not _has_kernel(weight) or isinstance(convolution.padding, str):
        activation = None
    return _Folded(scaled.to(weight.dtype), bias.to(weight.dtype), mean, activation)


def _has_kernel(weight: Tensor) -> bool:
    """Whether PyTorch has a convolution of such weights that applies activations."""
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    )


def _activation(maps: Tensor, users: list[_Call]) -> _Activation | None:
    """The function that `maps` go to, and the calls that use them, if a kernel applies it."""
    if not users or users[0].function not in _KERNELS:
        return None
    function, args, kwargs, output = users[0]
    if not args or (len(users) > 1 and output is not maps):  # in place, others use its result
        return None
    return _Activation(function, _KERNELS[function](*args, **kwargs))


_KERNELS: dict[Function, Callable[..., Kernel]] = {
    torch.relu: lambda _: ("relu", [], ""),
    torch.relu_: lambda _: ("relu", [], ""),
    functional.relu: lambda _, inplace=False: ("relu", [], ""),
    functional.relu6: lambda _, inplace=False: ("hardtanh", [0.0, 6.0], ""),
    functional.hardtanh: lambda _, min_val=-1.0, max_val=1.0, inplace=False: (
        "hardtanh", [float(min_val), float(max_val)], "",
    ),
    functional.silu: lambda _, inplace=False: ("swish", [], ""),
    functional.hardswish: lambda _, inplace=False: ("hardswish", [], ""),
    functional.gelu: lambda _, approximate="none": ("gelu", [], approximate),
}  # fmt: skip
"""How oneDNN's convolution is told to apply functions, by their arguments: see `_Activation`."""
