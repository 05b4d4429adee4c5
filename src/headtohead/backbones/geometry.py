"""Where the cells of a network's feature maps lie on its images, found by running it once.

A convolution or pool of kernel k (dilation d), stride s and padding p centres output i on its input
s · i + (k - 1) · d / 2 - p (Araujo et al. 2019, "Computing receptive fields of convolutional neural
networks", Distill). The layers that change the size of the maps are followed from the image to the
last maps; of parallel ones the largest kernel counts, as a block's main path has it. A step that no
such layer explains (patches merged by reshaping) is taken to merge whole windows; where windows of
one size cannot (images that are resized within), cells are spread evenly over the image. Padding
that depends on the image's size (TensorFlow's "same") is taken as it is at this size; what pads a
layer's input outside the layer is taken for the layer's own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

SLIDING = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


@dataclass(frozen=True)
class Geometry:
    """Maps of square images of one size: (h, w), and cell i centred on pixel first + i · stride."""

    size: tuple[int, int]
    stride: float
    first: float


@dataclass(frozen=True)
class _Layer:
    """A layer that was run: sides of its input and output, and where it centres its output."""

    before: int
    after: int
    stride: int
    kernel: int
    offset: float


@torch.no_grad()
def measure(
    network: nn.Module, maps: Callable[[Tensor], Tensor], image_size: int, channels: int
) -> Geometry:
    """Run `maps`, by which `network` makes (N, `channels`, h, w), on a black image.

    The network's mode and statistics stay. Raises ValueError where what comes are no such maps,
    and whatever the network raises for a size it does not take.
    """
    steps: list[_Layer] = []
    pads = _Pads()
    hooks = [
        part.register_forward_hook(
            lambda layer, inputs, output: _note(steps, pads, layer, inputs, output)
        )
        for part in network.modules()
        if isinstance(part, SLIDING)
    ]
    modes = modes_of(network)
    place = next(network.parameters(), torch.empty(0))
    try:
        network.eval()
        image = torch.zeros(1, 3, image_size, image_size, device=place.device, dtype=place.dtype)
        with pads:
            found = maps(image)
    finally:
        for hook in hooks:
            hook.remove()
        restore_modes(network, modes)
    if found.ndim != 4 or found.shape[1] != channels:
        raise ValueError(f"maps of shape {tuple(found.shape)} are not (N, {channels}, h, w)")
    height, width = found.shape[2:]
    stride, first = _followed(steps, image_size, height)
    return Geometry((height, width), stride, first)


def modes_of(network: nn.Module) -> dict[nn.Module, bool]:
    """Which modules are in training mode, to be put back by `restore_modes`."""
    return {part: part.training for part in network.modules()}


def restore_modes(network: nn.Module, modes: Mapping[nn.Module, bool]) -> None:
    """Put each module back into its mode, and drop what was kept of the weights as they stood.

    In evaluation mode LeViT's attention and its like keep what they make of their weights until
    they are put into training mode: weights that are loaded in between would not be seen.
    """
    network.train()
    for part, training in modes.items():
        part.training = training


class _Pads(TorchFunctionMode):
    """What was padded: rows of what it was before, and rows that were put above."""

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[Tensor, int, int] | None = None

    def of(self, padded: Tensor) -> tuple[int, int]:
        """Rows before, and rows above, of a tensor that was padded last, or was not."""
        if self._last is None or self._last[0] is not padded:
            return padded.shape[-2], 0
        return self._last[1:]

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Do the operation, and note it where it pads height and width."""
        output = func(*args, **(kwargs or {}))
        if func is functional.pad:
            given, pad = args[:2]
            if given.ndim == 4 and len(pad) == 4:
                self._last = output, given.shape[-2], int(pad[2])
        return output


def _note(
    steps: list[_Layer], pads: _Pads, layer: Any, inputs: tuple[Tensor, ...], output: Any
) -> None:
    given = inputs[0]
    if not isinstance(output, Tensor) or output.ndim != 4 or given.ndim != 4:
        return
    kernel, stride = _first_of(layer.kernel_size), _first_of(layer.stride)
    dilation = _first_of(getattr(layer, "dilation", 1))
    reach = (kernel - 1) * dilation
    before, above = pads.of(given)
    after = output.shape[-2]
    padding = layer.padding
    if type(layer).__name__.endswith("Same"):  # timm's layers with TensorFlow's padding
        padding = max((after - 1) * stride + reach + 1 - before, 0) // 2
    elif isinstance(padding, str):
        padding = reach // 2 if padding == "same" else 0
    offset = reach / 2 - _first_of(padding) - above
    steps.append(_Layer(before, after, stride, kernel, offset))


def _first_of(value: Any) -> int:
    return int(value[0] if isinstance(value, tuple | list) else value)


def _followed(steps: list[_Layer], image_size: int, map_size: int) -> tuple[float, float]:
    """Stride and first centre: from the image's size down to the map's, layer by layer."""
    side, stride, first = image_size, 1.0, 0.0
    rest = list(steps)
    while side > map_size:
        index = next((i for i, s in enumerate(rest) if s.before == side and s.after < side), None)
        if index is None or rest[index].after < map_size:
            break
        after = rest[index].after
        parallel = [s for s in rest if (s.before, s.after) == (side, after)]
        step = max(parallel, key=lambda s: s.kernel)
        first += step.offset * stride
        stride *= step.stride
        side, rest = after, rest[index + 1 :]
    factor = max(1, round(side / map_size))
    if not side // factor <= map_size <= -(-side // factor):  # no windows of one size make that
        return image_size / map_size, (image_size / map_size - 1) / 2
    return stride * factor, first + stride * (factor - 1) / 2
