"""One image at another size, by one of two ways.

Every decoding process imports this module, and numpy takes longer to load than all else that it
needs: only the way that needs numpy loads it.
"""

from typing import TYPE_CHECKING

from PIL import Image

from headtohead.core.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESIZE_METHODS: tuple[str, ...] = ("antialias", "bilinear")
"""The ways to resize; the first is the default."""


def resize(picture: "NDArray[np.uint8]", size: tuple[int, int], method: str) -> "NDArray[np.uint8]":
    """`resize_image` of `picture`, (height, width, 3), as an array."""
    import numpy as np

    return np.asarray(resize_image(Image.fromarray(picture), size, method))


def resize_image(picture: Image.Image, size: tuple[int, int], method: str) -> Image.Image:
    """`picture`, in mode RGB, at `size` = (height, width). The aspect ratio is not kept.

    - "antialias", the default of the project: Pillow's triangle filter, which widens as the
      image shrinks, so that every pixel counts. Without it most of a photograph's pixels are
      skipped at 100 × 100: fine fur turns into noise, and predictions flicker when the image
      moves by a pixel.
    - "bilinear": the article's `tf.image.resize`: half-pixel centres, four neighbours, edges
      clamped, no antialias; float32, rounded half up.

    Raises `UsageError` for another method or a size below one pixel.
    """
    if min(size) < 1:
        raise UsageError(f"an image cannot be resized to {size}: give a height and width ≥ 1.")
    if method == "antialias":
        height, width = size
        return picture.resize((width, height), Image.Resampling.BILINEAR)
    if method == "bilinear":
        from headtohead.data.bilinear import bilinear

        return bilinear(picture, size)
    raise UsageError(
        f"unknown resize method {method!r}: choose one of {', '.join(RESIZE_METHODS)}."
    )
