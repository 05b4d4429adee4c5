"""The contract of a backbone: images → feature maps. Heads, probes and training know no more."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from headtohead.core.errors import UsageError


@dataclass(frozen=True)
class Normalization:
    """Inputs in [0, 1] become (input - mean) / std, channel by channel; the default leaves them."""

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    @classmethod
    def of(cls, mean: Sequence[float], std: Sequence[float]) -> "Normalization":
        """From any sequences of numbers, such as those of a library's configuration."""
        return cls(tuple(map(float, mean)), tuple(map(float, std)))

    @property
    def is_identity(self) -> bool:
        """Whether inputs stay as they are."""
        return self == Normalization()


class Backbone(nn.Module, ABC):
    """Images (N, 3, H, W) in [0, 1] → feature maps (N, channels, h, w).

    `channels` is the number of maps. A map's cell (i, j) is centred on the pixel
    (first + i · stride, first + j · stride), pixels counted from 0: class maps are laid over images
    by it. `normalization` is applied by `forward`, so that callers never do. `identity` names all
    that makes it this backbone: architecture, options and the SHA-256 of weights that were loaded.
    """

    channels: int
    stride: float
    first: float
    normalization: Normalization
    identity: str
    capturable: bool = True
    """A training step through it can be captured as a CUDA graph: see `headtohead.heads.Head`."""
    architecture_sha256: str | None = None
    """Of the file that the architecture is read from, or of the source of a user's own."""
    normalization_unknown: str | None = None
    """Where nothing says what trained weights ask of their images: what to do about it."""

    @abstractmethod
    def map_size(self, image_size: int) -> tuple[int, int]:
        """Height and width of the maps of square images of `image_size` pixels.

        Raises UsageError where the backbone does not take images of that size.
        """

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] → (N, channels, h, w)."""

    def load_pretrained(self) -> list[str]:
        """Load the weights that the backbone's library has for it; what to tell a user.

        Raises UsageError where there are none, or they cannot be downloaded.
        """
        raise UsageError(
            f"backbone {self.identity} has no pretrained weights of its own: name a file, "
            f"--weights FILE, or take random ones."
        )

    def join_class_token(self) -> None:
        """Give each cell of the maps the class token beside its own features, from now on.

        Raises UsageError where there is none.
        """
        raise UsageError(f"backbone {self.identity} has no class token: leave class_token out.")

    def preprocessing(self) -> dict[str, str]:
        """How its inputs are made, in words by topic: at least `mean` and `std`."""
        told = self.normalization
        return {
            name: ", ".join(f"{value:g}" for value in values)
            for name, values in (("mean", told.mean), ("std", told.std))
        }

    def smallest_image(self) -> int:
        """The smallest side in pixels that leaves a map of one cell."""
        return math.ceil(self.stride)


class Normalize(nn.Module):
    """Applies a `Normalization` to images (N, C, H, W).

    Its constants follow the model from device to device, and are no part of its state.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, normalization: Normalization) -> None:
        super().__init__()
        self._identity = normalization.is_identity
        for name, values in (("mean", normalization.mean), ("std", normalization.std)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """The same shape; the same tensor where there is nothing to change."""
        return images if self._identity else (images - self.mean) / self.std
