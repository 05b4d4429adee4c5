"""Networks that were not written for headtohead, as backbones: of libraries, and of the user's."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from headtohead.backbones.base import Backbone, Normalization, Normalize
from headtohead.backbones.geometry import Geometry, measure
from headtohead.core.errors import UsageError, reason_of

MOST_PREFIXES = 8
"""Tokens before the grid that are believed where the network does not tell their number."""


class _OfAllCopies(dict[int, Geometry]):
    """By image size. A copy of a network is of the same layers, and has its maps measured."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


def called(name: str, options: Mapping[str, Any]) -> str:
    """`timm:resnet18(output_stride=8)`: a network with its options, `name` alone without any."""
    told = ", ".join(f"{key}={value!r}" for key, value in sorted(options.items()))
    return f"{name}({told})" if told else name


class LibraryBackbone(Backbone):
    """A `network` that gives maps, or tokens that lie on a grid.

    `first` and `stride` are those of the image size whose `map_size` was asked for last, the
    network's own size (`image_size`) before that: see `headtohead.backbones.geometry`.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        channels: int,
        image_size: int,
        normalization: Normalization,
    ) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.image_size = image_size
        self.normalization = normalization
        self.identity = name
        self.name = name
        self._joins_class_token = False
        self._normalize = Normalize(normalization)
        self._known = _OfAllCopies()
        self._last = image_size

    @abstractmethod
    def output(self, images: Tensor) -> Tensor:
        """What the network says of normalised images: (N, C, h, w), (N, h, w, C) or (N, T, C)."""

    def prefix_tokens(self) -> int | None:
        """Tokens before those of the grid, such as the class token; None where not known."""
        return None

    def has_class_token(self) -> bool:
        """Whether the first of the prefix tokens is a class token."""
        return bool(self.prefix_tokens())

    def patch(self) -> float | None:
        """A token's side in pixels, for networks of tokens; None where not known."""
        return None

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] → (N, channels, h, w)."""
        maps, token = self.with_class_token(images)
        if not self._joins_class_token:
            return maps
        if token is None:
            raise ValueError("it gives no class token")
        return torch.cat([maps, token[:, :, None, None].expand_as(maps)], dim=1)

    def join_class_token(self) -> None:
        """Maps of (N, 2 · C, h, w): a cell's own features, then the class token's."""
        if not self.has_class_token():
            super().join_class_token()
        self._joins_class_token, self.channels = True, 2 * self.channels
        self.identity += " class_token"
        self._known.clear()

    @property
    def _width(self) -> int:
        """Channels of the network's own maps and tokens."""
        return self.channels // 2 if self._joins_class_token else self.channels

    def with_class_token(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The network's maps, and the class token (N, C) where the network has one."""
        found = self.output(self._normalize(images))
        if found.ndim == 4:
            return (found if found.shape[1] == self._width else found.permute(0, 3, 1, 2)), None
        if found.ndim != 3 or found.shape[2] != self._width:
            raise ValueError(f"its output of shape {tuple(found.shape)} is neither maps nor tokens")
        height, width = images.shape[2:]
        h, w = self._grid(found.shape[1], height, width)
        prefix = found.shape[1] - h * w
        maps = found[:, prefix:].transpose(1, 2).reshape(-1, self._width, h, w)
        return maps, found[:, 0] if prefix and self.has_class_token() else None

    def _grid(self, tokens: int, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the grid that the last of so many tokens lie on."""
        known, side = self.prefix_tokens(), self.patch()
        if side:
            down, up = int(height // side), -int(-height // side)
            across, over = int(width // side), -int(-width // side)
            grids = [(down, across), (up, over)]
        else:
            grid = tokens - (known or 0)
            grids = [(round((grid * height / width) ** 0.5), round((grid * width / height) ** 0.5))]
        for h, w in sorted(grids, key=lambda grid: -grid[0] * grid[1]):  # the fewest prefix tokens
            prefix = tokens - h * w
            if h * w > 0 and (prefix == known or (known is None and 0 <= prefix <= MOST_PREFIXES)):
                return h, w
        raise ValueError(f"its {tokens} tokens lie on no grid of {height} × {width} images")

    def geometry(self, image_size: int) -> Geometry:
        """Of square images of `image_size` pixels. Raises UsageError for one it does not take."""
        if image_size not in self._known:
            try:
                found = measure(self, self.forward, image_size, self.channels)
            except Exception as error:  # a library's assertions, shapes that do not fit, and such
                own = f"--image-size {self.image_size}, its own, or "
                raise UsageError(
                    f"backbone {self.name} makes no feature maps of images of {image_size} pixels "
                    f"({reason_of(error, 200)}): use {own if image_size != self.image_size else ''}"
                    f"another backbone."
                ) from None
            self._known[image_size] = found
        return self._known[image_size]

    def map_size(self, image_size: int) -> tuple[int, int]:
        """Height and width of the maps. Raises UsageError for a size that it does not take."""
        found = self.geometry(image_size)
        self._last = image_size
        return found.size

    @property
    def stride(self) -> float:  # type: ignore[override]
        """Pixels between two cells."""
        return self.geometry(self._last).stride

    @property
    def first(self) -> float:  # type: ignore[override]
        """The pixel that the first cell is centred on."""
        return self.geometry(self._last).first
