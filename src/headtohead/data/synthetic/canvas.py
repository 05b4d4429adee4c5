"""Parts → pixels: outlines filled at a multiple of the size for smooth edges, with soft shading."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from headtohead.data.synthetic.shapes import Part, Points, bristle

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """Drawn parts, all float32 in 0 to 1 and (height, width), `colour` (height, width, 3)."""

    cover: Pixels
    """How much of each pixel is covered."""
    tone: Pixels
    """Brightness by shading; 0.5 is neutral."""
    accent: Pixels
    """How much of the coat's second colour shows."""
    painted: Pixels
    """How much of the pixel is flat paint."""
    colour: Pixels
    """The paint, multiplied by `painted`."""


def to_image(values: Pixels) -> Image.Image:
    """Float32 values in 0 to 1, (height, width) or with 3 channels, as an 8-bit image."""
    return Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))


def to_pixels(image: Image.Image) -> Pixels:
    """An 8-bit image as float32 in 0 to 1."""
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def coordinates(width: int, height: int) -> tuple[Pixels, Pixels]:
    """The column (1, width) and the row (height, 1) of each pixel."""
    columns, rows = (np.arange(side, dtype=np.float32) for side in (width, height))
    return columns[None, :], rows[:, None]


class _Canvas:
    """Where parts are drawn one over the other, in pixels of the image to be."""

    def __init__(
        self, width: int, height: int, light: tuple[float, float], supersampling: int
    ) -> None:
        size = (width * supersampling, height * supersampling)
        self._supersampling = supersampling
        self._cover, self._accent, self._painted = (Image.new("L", size) for _ in range(3))
        self._tone = Image.new("L", size, 128)
        self._colour = Image.new("RGB", size)
        self._light = light

    def draw(self, parts: list[Part], hair: float, rng: np.random.Generator) -> None:
        """Draw parts given in pixels, the first lowest; `hair` is its length in pixels."""
        for part in parts:
            length = hair * part.fur * self._supersampling
            self._fill(part, bristle(part.outline * self._supersampling, length, rng))

    def _fill(self, part: Part, outline: Points) -> None:
        low = np.maximum(np.floor(outline.min(0)) - 2, 0).astype(int)
        high = np.minimum(np.ceil(outline.max(0)) + 3, self._cover.size).astype(int)
        width, height = (int(n) for n in high - low)
        if width <= 0 or height <= 0:
            return
        mask = Image.new("L", (width, height))
        flat = (outline - low).ravel().tolist()
        ImageDraw.Draw(mask).polygon(flat, fill=255)
        corner = (int(low[0]), int(low[1]))
        region = (*corner, corner[0] + width, corner[1] + height)
        self._cover.paste(255, region, mask)
        self._tone.paste(self._shading(part, mask), region, mask)
        self._painted.paste(0 if part.colour is None else 255, region, mask)
        if part.colour is None:
            self._accent.paste(round(255 * part.accent), region, mask)
            self._colour.paste((0, 0, 0), region, mask)
        else:
            self._colour.paste(part.colour, region, mask)

    def _shading(self, part: Part, mask: Image.Image) -> Image.Image | int:
        """Dark towards the rim and away from the light, as on something round."""
        neutral = 128 * part.gain
        if part.volume <= 0 or min(mask.size) < 6:
            return round(min(255.0, neutral))
        small = np.asarray(mask.reduce(4))
        radius = min(small.shape) * 0.16 + 0.3
        pad = int(radius) + 2
        soft = Image.fromarray(np.pad(small, pad)).filter(ImageFilter.GaussianBlur(radius))
        dark, bright = neutral * (1 - 0.62 * part.volume), neutral * (1 + 0.2 * part.volume)
        tone = dark + (bright - dark) / 255 * np.asarray(soft, dtype=np.float32)
        left, top = (pad - radius * 0.9 * part.volume * side for side in self._light)
        region = (left, top, left + mask.width / 4, top + mask.height / 4)
        shaded = Image.fromarray(np.minimum(tone, 255).astype(np.uint8))
        return shaded.resize(mask.size, Image.Resampling.BILINEAR, region)

    def layer(self) -> Layer:
        """What was drawn, at the image's own size."""
        images = (self._cover, self._tone, self._accent, self._painted, self._colour)
        return Layer(*(to_pixels(image.reduce(self._supersampling)) for image in images))


def draw_layer(
    parts: list[Part],
    size: tuple[int, int],
    light: tuple[float, float],
    hair: float,
    rng: np.random.Generator,
    *,
    supersampling: int = 2,
) -> Layer:
    """Parts given in pixels, the first lowest, on a layer of `size` (width, height).

    `light` is the direction that light comes from, `hair` the length of hair in pixels. Outlines
    are filled at `supersampling` times the size, then averaged.
    """
    canvas = _Canvas(*size, light, supersampling)
    canvas.draw(parts, hair, rng)
    return canvas.layer()
