"""Backbones: pictures → feature maps."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from headtohead.accel.blocks import ConvolutionBlock
from headtohead.backbones.layers import are_widths
from headtohead.core.errors import UsageError


class ConvolutionBackbone(nn.Module):
    """Blocks of convolution 3 × 3, batch norm, ReLU and max-pool 2 × 2: the article's trunk.

    (N, 3, H, W) pictures in [0, 1] → (N, widths[-1], h, w) feature maps.
    """

    def __init__(self, widths: tuple[int, ...] = (32, 32, 64)) -> None:
        super().__init__()
        if not are_widths(widths) or not widths:
            raise UsageError(
                f"widths takes one block's width or more, whole numbers of at least 1; "
                f"received {widths!r}."
            )
        inputs = (3, *widths[:-1])
        self.blocks = nn.Sequential(*map(ConvolutionBlock, inputs, widths))
        self.widths = tuple(widths)

    @property
    def channels(self) -> int:
        """Number of feature maps."""
        return self.widths[-1]

    def map_size(self, image_size: int) -> tuple[int, int]:
        """Height and width of the feature maps for square pictures of `image_size` pixels.

        Raises UsageError where the picture is too small to leave a map of one pixel.
        """
        side = image_size
        for _ in self.widths:
            side = (side - 2) // 2
        if side < 1:
            raise UsageError(
                f"image size {image_size} is too small for the backbone's {len(self.widths)} "
                f"blocks: received {image_size}, needs at least {self.smallest_image()}."
            )
        return side, side

    def smallest_image(self) -> int:
        """The smallest side in pixels that leaves a feature map of 1 × 1."""
        side = 1
        for _ in self.widths:
            side = 2 * side + 2
        return side

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) → (N, channels, h, w)."""
        features: Tensor = self.blocks(pictures)
        return features


BACKBONES: dict[str, type[ConvolutionBackbone]] = {"article": ConvolutionBackbone}


def build_backbone(name: str, options: Mapping[str, Any] | None = None) -> ConvolutionBackbone:
    """A backbone by name. Raises UsageError for an unknown name or option."""
    if name not in BACKBONES:
        raise UsageError(f"no backbone {name!r}; there are {', '.join(BACKBONES)}.")
    try:
        return BACKBONES[name](**(options or {}))
    except TypeError as error:
        raise UsageError(f"backbone {name} cannot take {dict(options or {})!r}: {error}.") from None
