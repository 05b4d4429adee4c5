"""One image from its number: scene, animal, light, lens, sensor and file format."""

from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from headtohead.core.streams import stream
from headtohead.data.synthetic.canvas import (
    Layer,
    Pixels,
    coordinates,
    draw_layer,
    to_image,
    to_pixels,
)
from headtohead.data.synthetic.poses import Animal, draw_animal
from headtohead.data.synthetic.scene import (
    draw_background,
    draw_clutter,
    draw_occluders,
    noise,
    soften,
)
from headtohead.data.synthetic.shapes import Part, Placement, Points, place
from headtohead.data.synthetic.traits import (
    Coat,
    Label,
    Traits,
    around,
    between,
    choose,
    draw_traits,
)

LABELS: tuple[Label, Label] = ("cat", "dog")
SIDES = (120, 420)
ANIMAL, BACKGROUND = 1, 2


@dataclass(frozen=True)
class Photograph:
    """A drawn image as files: `picture` in `suffix`'s format, `mask` a PNG of the same size.

    The mask is 1 where the animal is seen and 2 elsewhere, as in the trimaps of Oxford-IIIT Pet
    (Parkhi et al. 2012), without their third value for the border: a drawing knows its edge.
    """

    label: Label
    stem: str
    suffix: Literal[".jpg", ".png"]
    picture: bytes
    mask: bytes


def photograph(seed: int, index: int) -> Photograph:
    """Image number `index`: even numbers are cats, odd ones dogs."""
    rng = stream(seed, "synthetic", index)
    label, stem, suffix = named(index)
    width, height = _size(rng)
    pixels, mask = _expose(label, width, height, rng)
    picture = _encode(pixels, suffix, int(rng.integers(60, 97)))
    return Photograph(label, stem, suffix, picture, _encode_mask(mask))


def named(index: int) -> tuple[Label, str, Literal[".jpg", ".png"]]:
    """Label, stem and suffix of image number `index`, which are known before it is drawn."""
    label = LABELS[index % 2]
    # By number and not by chance, so that both classes have exactly as many PNGs.
    return label, f"{label}-{index // 2:04d}", ".png" if index // 2 % 10 == 3 else ".jpg"


def _size(rng: np.random.Generator) -> tuple[int, int]:
    """Width and height: landscape, portrait or nearly square."""
    long = round(150 + (SIDES[1] - 150) * rng.random() ** 2)
    short = max(SIDES[0], round(long * between(rng, 0.62, 1.0)))
    return (long, short) if rng.random() < 0.6 else (short, long)


def _expose(
    label: Label, width: int, height: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Pixels (height, width, 3) and where the animal is seen (height, width)."""
    traits = draw_traits(label, rng)
    animal = draw_animal(traits, rng)
    placement = _placement(animal, width, height, rng)
    angle = between(rng, 0, 2 * np.pi)
    light = (float(np.cos(angle)), float(-abs(np.sin(angle))))
    scene = _behind(width, height, light, rng)
    placed = place(animal.parts, placement)
    hair = traits.coat.hair * traits.head_size * placement.scale
    layer = draw_layer(placed, (width, height), light, hair, rng)
    scene = _with_shadow(scene, layer.cover, light, rng)
    scene = _over(scene, _coated(layer, traits.coat, placement, traits, rng), layer.cover)
    seen = layer.cover
    occluders = draw_occluders(rng, *_corners(placed))
    if occluders:
        front = draw_layer(occluders, (width, height), light, 0.0, rng)
        scene = _over(scene, front.colour * (2 * front.tone[:, :, None]), front.cover)
        seen = seen * (1 - front.cover)
    return _develop(scene, light, rng), seen >= 0.5


def _placement(drawing: Animal, width: int, height: int, rng: np.random.Generator) -> Placement:
    """Size, position and turn: the animal's share of the image does not depend on its class."""
    outline = np.concatenate([part.outline for part in drawing.parts])
    if drawing.bottom is not None:
        outline = outline[outline[:, 1] < drawing.bottom]
    picture = np.array([width, height])
    scale = float(np.sqrt(between(rng, 0.18, 0.5) * width * height / _area(drawing.parts, outline)))
    extent = np.ptp(outline, axis=0)
    scale = min(scale, *(1.12 * picture / extent))
    angle, mirror = around(rng, 0.0, 0.1), choose(rng, (-1, 1))
    turned = Placement(0, 0, scale, angle, mirror).apply(outline)
    low, high = turned.min(0), turned.max(0)
    slack = np.maximum(np.abs(picture - (high - low)) / 2, 0.06 * picture)
    x, y = picture / 2 + slack * rng.uniform(-1, 1, 2) - (low + high) / 2
    if drawing.bottom is not None:
        y = height - drawing.bottom * scale
    return Placement(float(x), float(y), scale, angle, mirror)


def _area(parts: list[Part], visible: Points) -> float:
    """Area that the parts cover within the bounds of the visible outline."""
    low, high = visible.min(0), visible.max(0)
    zoom = 64 / float((high - low).max())
    width, height = (max(1, round(side)) for side in (high - low) * zoom)
    sketch = Image.new("L", (width, height))
    draw = ImageDraw.Draw(sketch)
    for part in parts:
        draw.polygon(((part.outline - low) * zoom).ravel().tolist(), fill=1)
    return float(np.asarray(sketch).sum()) / zoom**2


def _behind(
    width: int, height: int, light: tuple[float, float], rng: np.random.Generator
) -> Pixels:
    """Backdrop and clutter, somewhat out of focus."""
    scene = draw_background(rng, width, height)
    clutter = draw_clutter(rng, width, height)
    if clutter:
        layer = draw_layer(clutter, (width, height), light, 0.0, rng, supersampling=1)
        scene = _over(scene, layer.colour * (2 * layer.tone[:, :, None]), layer.cover)
    return soften(scene, between(rng, 0.002, 0.012) * max(width, height))


def _corners(placed: list[Part]) -> tuple[tuple[float, float], tuple[float, float]]:
    outline = np.concatenate([part.outline for part in placed])
    (left, top), (right, bottom) = outline.min(0), outline.max(0)
    return (float(left), float(top)), (float(right), float(bottom))


def _over(scene: Pixels, colour: Pixels, cover: Pixels) -> Pixels:
    """`colour` laid over the scene where `cover` says."""
    alpha = cover[:, :, None]
    return scene + alpha * (colour - scene)


def _with_shadow(
    scene: Pixels, cover: Pixels, light: tuple[float, float], rng: np.random.Generator
) -> Pixels:
    """The animal's soft shadow, away from the light."""
    height, width = cover.shape
    small = to_image(cover).reduce(4)
    soft = small.filter(ImageFilter.GaussianBlur(between(rng, 1.0, 4.0)))
    reach = between(rng, 0.0, 0.05) * width / 4
    moved = Image.new("L", soft.size)
    moved.paste(soft, (round(-light[0] * reach), round(reach)))
    shadow = to_pixels(moved.resize((width, height), Image.Resampling.BILINEAR))
    return scene * (1 - np.float32(between(rng, 0.2, 0.65)) * shadow)[:, :, None]


def _marks(
    coat: Coat, u: NDArray[np.float64], v: NDArray[np.float64], rng: np.random.Generator
) -> Pixels:
    """How much of the marking colour shows, (height, width); u, v are in head radii."""
    height, width = u.shape
    cell = max(width, height)
    if coat.pattern == "plain":
        return np.zeros((height, width), np.float32)
    warp = noise(rng, width, height, cell / 7)
    if coat.pattern == "saddle":
        field = 0.5 - v * 0.7 * coat.frequency + 0.8 * (warp - 0.5)
    elif coat.pattern == "patches":
        field = 0.5 + 6 * (noise(rng, width, height, cell / 4) - 0.5)
    else:
        pitch = 9.0 if coat.pattern == "stripes" else 16.0
        breaks = noise(rng, width, height, cell / 14)
        waves = np.sin(pitch * coat.frequency * u + 6 * warp + 1.5 * v)
        field = 1.4 * waves + 1.6 * (breaks - 0.6)
    return np.clip(field, 0, 1).astype(np.float32) * np.float32(coat.contrast)


def _coated(
    layer: Layer, coat: Coat, placement: Placement, traits: Traits, rng: np.random.Generator
) -> Pixels:
    """The animal's colours (height, width, 3): coat where nothing is painted, then shading."""
    height, width = layer.cover.shape
    u, v = placement.invert(*coordinates(width, height))
    marks = _marks(coat, u / traits.head_size, v / traits.head_size, rng)[:, :, None]
    base, marking, second = np.array([coat.base, coat.marking, coat.second], np.float32) / 255
    hair = base + marks * (marking - base)
    hair += layer.accent[:, :, None] * (second - hair)
    strands = noise(rng, width, height, 1.4, 2.2) + noise(rng, width, height, 3.5) - 1
    shading = 2 * layer.tone
    bare = shading * (1 - layer.painted) * (1 + np.float32(1.6 * coat.texture) * strands)
    return np.asarray(hair * bare[:, :, None] + layer.colour * shading[:, :, None])


def _develop(
    scene: Pixels, light: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Light across the image, its warmth, exposure, lens blur and sensor noise."""
    height, width = scene.shape[:2]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    fall = 1 + between(rng, 0.0, 0.35) * (light[0] * x + light[1] * y) * np.float32(0.7)
    warmth, exposure = around(rng, 0.0, 0.07), float(np.exp(around(rng, 0.0, 0.18)))
    gains = np.array([1 + warmth, 1.0, 1 - warmth], np.float32) * np.float32(exposure)
    lit = soften(scene * (fall[:, :, None].astype(np.float32) * gains), between(rng, 0.0, 1.3))
    grain = rng.standard_normal((height, width), dtype=np.float32) * np.float32(between(rng, 0, 5))
    haze = between(rng, 0.0, 0.1)
    final = lit * np.float32(255 * (1 - haze)) + (grain + np.float32(153 * haze + 0.5))[:, :, None]
    return np.clip(final, 0, 255).astype(np.uint8)


def _encode(pixels: NDArray[np.uint8], suffix: str, quality: int) -> bytes:
    """The image as a file; the quality is a JPEG's."""
    file = BytesIO()
    if suffix == ".png":
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    else:
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue()


def _encode_mask(seen: NDArray[np.bool_]) -> bytes:
    file = BytesIO()
    Image.fromarray(np.where(seen, ANIMAL, BACKGROUND).astype(np.uint8)).save(
        file, "PNG", compress_level=1
    )
    return file.getvalue()
