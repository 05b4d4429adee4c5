"""The tutorial's convolutional network, in plain PyTorch."""

from torch import Tensor, nn
from torch.nn import functional

from headtohead.backbones.base import Backbone, Normalization
from headtohead.backbones.layers import MOST_WIDE, BatchNorm, are_widths, convolution
from headtohead.core.errors import UsageError, brief


class ConvolutionBlock(nn.Module):
    """Convolution 3 × 3, batch norm, ReLU, max-pool 2 × 2: (N, C, H, W) → (N, C', h, w).

    h = (H - 2) // 2. The pool stands before the ReLU: both are monotonic, so they commute
    exactly, and the ReLU runs on a quarter of the values.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = convolution(inputs, outputs, kernel=3)
        self.norm = BatchNorm(outputs)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', (H - 2) // 2, (W - 2) // 2)."""
        return functional.relu(functional.max_pool2d(self.norm(self.convolution(images)), 2))


class TutorialCNN(Backbone):
    """Blocks of convolution 3 × 3, batch norm, ReLU and max-pool 2 × 2: the tutorial's trunk.

    (N, 3, H, W) images in [0, 1] → (N, widths[-1], h, w) feature maps. Raises UsageError for
    widths that are none.
    """

    def __init__(self, widths: tuple[int, ...] = (32, 32, 64)) -> None:
        super().__init__()
        if not are_widths(widths) or not widths:
            raise UsageError(
                f"widths takes one block's width or more, whole numbers from 1 to {MOST_WIDE:,}; "
                f"received {brief(repr(widths))}."
            )
        inputs = (3, *widths[:-1])
        self.blocks = nn.Sequential(*map(ConvolutionBlock, inputs, widths))
        self.channels = widths[-1]
        self.normalization = Normalization()
        self.identity = f"tutorial_cnn(widths={list(widths)})"
        self.first, self.stride = _cell_centres(len(widths))

    def map_size(self, image_size: int) -> tuple[int, int]:
        """Height and width of the feature maps for square images of `image_size` pixels.

        Raises UsageError where the image is too small to leave a map of one pixel.
        """
        side = image_size
        for _ in self.blocks:
            side = (side - 2) // 2
        if side < 1:
            raise UsageError(
                f"image size {image_size} is too small for the backbone's {len(self.blocks)} "
                f"blocks: received {image_size}, needs at least {self.smallest_image()}."
            )
        return side, side

    def smallest_image(self) -> int:
        """The smallest side in pixels that leaves a feature map of 1 × 1."""
        side = 1
        for _ in self.blocks:
            side = 2 * side + 2
        return side

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) → (N, channels, h, w)."""
        features: Tensor = self.blocks(images)
        return features


def _cell_centres(blocks: int) -> tuple[float, float]:
    """The pixel on which a map's first cell is centred, and the pixels between two.

    A block's 3 × 3 convolution without padding and 2 × 2 pool centre output i on input 2i + 1.5.
    """
    first, stride = 0.0, 1.0
    for _ in range(blocks):
        first, stride = first + 1.5 * stride, 2 * stride
    return first, stride
