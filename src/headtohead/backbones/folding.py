"""Convolutions that apply the batch norm after them, and the activation after that.

In evaluation mode batch norm is one factor and one summand for each channel. Multiplied into the
weights of the convolution before it they cost nothing (Jacob et al. 2018, "Quantization and
Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", section 3.2), and on a
CPU the same kernel applies the activation. The network stays as it is: one pass through it is
followed to find what can be folded, and every later pass is watched: where it takes another way, as
by the size of a batch, it is computed as it is.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

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


class Folding:
    """A network's folded weights, and how it is computed with them.

    For the network that it was made of (`folding_of`), in evaluation mode and without gradients, on
    `device`. `folded` has, by the weight of each convolution that is folded, what stands in for it.
    """

    def __init__(self, device: torch.device, folded: dict[Tensor, _Folded]) -> None:
        self.device = device
        self.folded = folded
        self._norms = {each.running_mean for each in folded.values()}

    def suits(self, images: Tensor) -> bool:
        """Whether its kernels can compute `images` now: they have no gradients, and one type."""
        kind = images.device.type
        return not (
            images.device != self.device
            or torch.is_grad_enabled()
            or torch.is_autocast_enabled(kind)
        )

    def __call__(self, network: Network, images: Tensor) -> Tensor:
        """What `network` makes of `images`, by the folded weights.

        Without them where it takes another way than with the images that it was followed on.
        """
        try:
            with _Pass(self.folded, self._norms) as computed:
                made = network(images)
            if not computed.awaited:
                return made
        except _OtherwiseError:
            pass
        return network(images)


class _OtherwiseError(Exception):
    """A network uses what is folded in another way than it did when it was followed."""


class _Awaited(NamedTuple):
    """What a folded convolution made: first its batch norm has to come, then its activation."""

    maps: Tensor
    folded: _Folded
    normed: bool = False

    def comes(self, func: Function, args: Any, kwargs: Any) -> bool:
        """Whether a call is what has to come."""
        if self.normed:
            activation = self.folded.activation
            known = activation is not None and func is activation.function
            return known and len(args) > 0 and args[0] is self.maps
        if func is not functional.batch_norm:
            return False
        norm = _BatchNorm(*args, **kwargs)
        return norm.input is self.maps and norm.running_mean is self.folded.running_mean


class _Pass(TorchFunctionMode):
    """While it is entered, convolutions take folded weights, and what is folded does nothing."""

    def __init__(self, folded: dict[Tensor, _Folded], norms: set[Tensor]) -> None:
        super().__init__()
        self._folded = folded
        self._norms = norms
        self.awaited: dict[int, _Awaited] = {}

    def __torch_function__(
        self, func: Function, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call `func`, or what stands in for it."""
        kwargs = kwargs or {}
        if self.awaited:
            for tensor in _tensors((*args, *kwargs.values())):
                if id(tensor) in self.awaited:
                    return self._follow(self.awaited[id(tensor)], func, args, kwargs)
        if func is torch.conv2d:
            called = _Convolution(*args, **kwargs)
            if called.weight in self._folded:
                return self._convolve(called, self._folded[called.weight])
        is_norm = func is functional.batch_norm
        if is_norm and _BatchNorm(*args, **kwargs).running_mean in self._norms:
            raise _OtherwiseError
        return func(*args, **kwargs)

    def _convolve(self, called: _Convolution, folded: _Folded) -> Tensor:
        """By the folded weights, the activation included if it is folded, too."""
        called = called._replace(weight=folded.weight, bias=folded.bias)
        if folded.activation is None:
            output = torch.conv2d(*called)
        else:
            images, weight, bias, *sides, groups = called
            stride, padding, dilation = ([s, s] if isinstance(s, int) else list(s) for s in sides)
            output = torch.ops.mkldnn._convolution_pointwise(
                images, weight, bias, padding, stride, dilation, groups, *folded.activation.kernel
            )
        self.awaited[id(output)] = _Awaited(output, folded)
        return output

    def _follow(self, awaited: _Awaited, func: Function, args: Any, kwargs: Any) -> Any:
        """Nothing but what is awaited, where that comes. Raises _OtherwiseError."""
        maps, folded, normed = awaited
        if not awaited.comes(func, args, kwargs):
            output = func(*args, **kwargs)
            if _is_use(output):
                raise _OtherwiseError
            return output
        if normed or folded.activation is None:
            del self.awaited[id(maps)]
        else:
            self.awaited[id(maps)] = awaited._replace(normed=True)
        return maps


def folded(network: Network, images: Tensor) -> Network:
    """`network`, computed with all that can be folded: see `folding_of`."""
    folding = folding_of(network, images)
    return network if folding is None else partial(folding, network)


def folding_of(network: Network, images: Tensor) -> Folding | None:
    """What can be folded of `network`, which is in evaluation mode and keeps its weights.

    `images` (N, ...) are some that it takes, laid out and on the device as those to come: a few
    are enough. None where nothing can be folded, or where what it says of these images with what
    is folded differs from what it says without by more than `TOLERANCE`, or is zero throughout.
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
            difference = (folding(network, images) - expected).abs().max()
        except RuntimeError:  # a kernel that this processor, or this build of PyTorch, has not
            return None
        largest = expected.abs().max()
        return folding if largest > 0 and difference <= TOLERANCE * largest else None


class _Call(NamedTuple):
    """A function of PyTorch that was called, and what it made.

    A tensor that was made on the way is a `_Made`, so that its memory is free as it is without.
    """

    function: Function
    args: list[Any]
    kwargs: dict[str, Any]
    output: Any


class _Made:
    """Stands for a tensor that a call made."""


class _Recorder(TorchFunctionMode):
    """While it is entered, keeps every call that uses tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[_Call] = []
        self._made = WeakTensorKeyDictionary()

    def __torch_function__(
        self, func: Function, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call `func`."""
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if _is_use(output):
            given, named = self._kept(args), self._kept(list(kwargs.values()))
            for tensor in _tensors((output,)):
                if not isinstance(tensor, nn.Parameter):
                    self._made.setdefault(tensor, _Made())
            named = dict(zip(kwargs, named, strict=True))
            self.calls.append(_Call(func, given, named, self._kept(output)))
        return output

    def _kept(self, value: Any) -> Any:
        """`value` with a `_Made` for each tensor that was made on the way."""
        if isinstance(value, Tensor):
            return self._made.get(value, value)
        return [self._kept(v) for v in value] if isinstance(value, list | tuple) else value


def _is_use(output: Any) -> bool:
    """Whether a call that gave this may have read, or changed, the values of a tensor.

    To ask for a shape, a type or a number of axes changes nothing.
    """
    return output is None or (
        isinstance(output, Tensor | list | tuple) and not isinstance(output, torch.Size)
    )


def _folded(calls: Iterable[_Call]) -> Iterator[tuple[Tensor, _Folded]]:
    """The weight of every convolution that can be folded, and what stands in for it.

    What it makes goes to a batch norm in evaluation mode and nowhere else, and neither is called a
    second time. None of their numbers is computed on the way: it might be of the images.
    """
    users: defaultdict[int, list[_Call]] = defaultdict(list)
    for call in calls:
        for tensor in _tensors((*call.args, *call.kwargs.values()), (Tensor, _Made)):
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
        numbers = (*convolution[1:], *norm[1:])
        known = not any(isinstance(number, _Made) for number in numbers)
        if once and known and isinstance(convolution.weight, nn.Parameter) and not norm.training:
            activation = _activation(after[0].output, users[id(after[0].output)])
            yield convolution.weight, _fold(convolution, norm, activation)


def _tensors(values: Iterable[Any], kinds: tuple[type, ...] = (Tensor,)) -> Iterator[Any]:
    """All tensors among values, and in lists and tuples among them; or what else is of `kinds`."""
    for value in values:
        if isinstance(value, kinds):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value, kinds)


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


def _activation(maps: Any, users: list[_Call]) -> _Activation | None:
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
