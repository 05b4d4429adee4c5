"""What surrounds the animal: a room, a garden, a cloth or a blur, things in it, things in front.

Nothing here knows the animal's class.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from headtohead.data.synthetic.canvas import Pixels, coordinates, to_image, to_pixels
from headtohead.data.synthetic.shapes import (
    Colour,
    Part,
    Placement,
    blob,
    box,
    closed,
    limb,
    paint,
    peak,
    place,
)
from headtohead.data.synthetic.traits import COATS, between, choose, tinted

Thing = Callable[[np.random.Generator], list[Part]]

WALLS: tuple[Colour, ...] = (
    (206, 198, 184),
    (170, 180, 186),
    (150, 140, 128),
    (186, 166, 140),
    (128, 142, 132),
    (92, 96, 108),
    (214, 208, 204),
    (160, 118, 100),
)
FLOORS: tuple[Colour, ...] = (
    (150, 112, 76),
    (112, 82, 58),
    (178, 162, 140),
    (120, 118, 116),
    (88, 76, 70),
)
GREENS: tuple[Colour, ...] = (
    (86, 116, 54),
    (110, 132, 66),
    (66, 92, 52),
    (136, 140, 80),
    (96, 110, 84),
)
SKIES: tuple[Colour, ...] = ((176, 200, 222), (204, 210, 214), (150, 180, 210), (222, 208, 190))
PAINTS: tuple[Colour, ...] = (
    (170, 52, 46),
    (48, 92, 150),
    (206, 170, 62),
    (70, 128, 92),
    (120, 70, 120),
    (216, 212, 204),
    (54, 52, 56),
    (196, 120, 66),
)


def noise(
    rng: np.random.Generator, width: int, height: int, cell: float, stretch: float = 1.0
) -> Pixels:
    """Smooth random field (height, width) in 0 to 1 with features of `cell` pixels."""
    columns = max(2, round(width / (cell * stretch)))
    rows = max(2, round(height / cell))
    coarse = rng.integers(0, 256, (rows, columns), dtype=np.uint8)
    size = (width, height)
    return to_pixels(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def _any_colour(rng: np.random.Generator) -> Colour:
    return tinted(rng, choose(rng, WALLS + FLOORS + GREENS + PAINTS + COATS), 20)


def _shade(colour: Colour, field: Pixels) -> Pixels:
    """The colour times a field of brightness: (height, width, 3)."""
    return field[:, :, None] * (np.array(colour, dtype=np.float32) / np.float32(255))


def _room(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """A wall, papered or plain, above a floor of boards or tiles."""
    horizon = int(height * between(rng, 0.35, 0.85))
    wall = 0.9 + 0.2 * noise(rng, width, height, max(width, height) / 3)
    x, y = coordinates(width, height)
    if rng.random() < 0.4:
        wall = wall * (1 + between(rng, 0.03, 0.12) * np.sign(np.sin(x * between(rng, 0.08, 0.5))))
    picture = _shade(tinted(rng, choose(rng, WALLS)), wall.astype(np.float32))
    depth = (y - horizon + 8) / height
    vanish, boards = width * between(rng, 0, 1), between(rng, 6, 16)
    lines = np.abs(((x - vanish) / (width * depth + 1e-3) * boards / 4) % 1 - 0.5) < 0.46
    grain = 0.75 + 0.3 * noise(rng, width, height, 3, between(rng, 1, 12))
    floor = _shade(
        tinted(rng, choose(rng, FLOORS)), (grain * (0.8 + 0.2 * lines)).astype(np.float32)
    )
    picture[horizon:] = floor[horizon:]
    skirting = max(1, height // 40)
    picture[max(0, horizon - skirting) : horizon] *= np.float32(between(rng, 0.6, 1.4))
    return picture


def _garden(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """Sky or hedge above grass."""
    horizon = int(height * between(rng, 0.1, 0.6))
    sky = choose(rng, SKIES + GREENS)
    far = 0.75 + 0.5 * noise(rng, width, height, between(rng, 8, 60), 2)
    picture = _shade(tinted(rng, sky), far)
    blades = noise(rng, width, height, between(rng, 3, 7), 0.4)
    clumps = noise(rng, width, height, between(rng, 15, 50))
    grass = _shade(tinted(rng, choose(rng, GREENS + FLOORS)), 0.5 + 0.45 * blades + 0.4 * clumps)
    picture[horizon:] = grass[horizon:]
    return picture


def _cloth(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """A blanket with stripes, checks or a weave, in folds."""
    angle, period = between(rng, 0, np.pi), between(rng, 8, 50)
    x, y = coordinates(width, height)
    warp = noise(rng, width, height, max(width, height) / 3) * period * 1.5
    along = (np.cos(angle) * x + np.sin(angle) * y + warp) * (2 * np.pi / period)
    across = (np.cos(angle) * y - np.sin(angle) * x + warp) * (2 * np.pi / period)
    bands = (np.sin(along) > between(rng, -0.6, 0.6)).astype(np.float32)
    if rng.random() < 0.5:
        bands = 0.5 * bands + 0.5 * (np.sin(across) > 0)
    strength = between(rng, 0.1, 1.0)
    folds = 0.6 + 0.5 * noise(rng, width, height, between(rng, 25, 80), 0.7)
    folds = folds + 0.2 * noise(rng, width, height, 2.5)
    ground, stripe = _any_colour(rng), _any_colour(rng)
    mix = (strength * bands)[:, :, None]
    colours = np.array([ground, stripe], dtype=np.float32) / np.float32(255)
    return np.asarray(
        ((1 - mix) * colours[0] + mix * colours[1]) * folds[:, :, None], dtype=np.float32
    )


def _blur(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """Colours out of focus."""
    cells = rng.integers(2, 7, 2)
    palette = np.array([_any_colour(rng) for _ in range(4)], dtype=np.uint8)
    coarse = palette[rng.integers(0, 4, (int(cells[0]), int(cells[1])))]
    size = (width, height)
    return to_pixels(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


BACKGROUNDS = (_room, _room, _garden, _garden, _cloth, _blur)


def _ball(rng: np.random.Generator) -> list[Part]:
    first, second = choose(rng, PAINTS), choose(rng, PAINTS)
    tilt = between(rng, 0, np.pi)
    ball = paint(blob(0, 0, 0.5, 0.5), tinted(rng, first), volume=0.9)
    band = paint(blob(0, 0, 0.48, 0.14, tilt), tinted(rng, second), volume=0.5)
    return [ball, band] if rng.random() < 0.6 else [ball]


def _plant(rng: np.random.Generator) -> list[Part]:
    """A pot with leaves, pointed or round."""
    pot = closed([(-0.3, 0.2), (0.3, 0.2), (0.22, 0.6), (-0.22, 0.6)], 3)
    leaf, parts = choose(rng, GREENS), []
    pointed = rng.random() < 0.6
    for angle in rng.uniform(-1.3, 1.3, int(rng.integers(4, 9))):
        length, half = between(rng, 0.5, 1.1), between(rng, 0.07, 0.16)
        if pointed:
            outline = peak((-half, 0.0), (0.0, -length), (half, 0.0), 0.14)
        else:
            outline = blob(0, -0.6 * length, 1.4 * half, 0.42 * length)
        leaves = [paint(outline, tinted(rng, leaf, 24), volume=0.4)]
        parts += place(leaves, Placement(0.0, 0.22, 1.0, float(angle)))
    return [*parts, paint(pot, _any_colour(rng), volume=0.7)]


def _cushion(rng: np.random.Generator) -> list[Part]:
    a, b = between(rng, 0.4, 0.7), between(rng, 0.3, 0.5)
    outline = closed(
        [
            (-a, -b),
            (0, -0.88 * b),
            (a, -b),
            (0.92 * a, 0),
            (a, b),
            (0, 0.9 * b),
            (-a, b),
            (-0.92 * a, 0),
        ]
    )
    return [paint(outline, _any_colour(rng), volume=0.8)]


def _crate(rng: np.random.Generator) -> list[Part]:
    """A box, a cupboard or a pile of books."""
    w, h = between(rng, 0.3, 0.8), between(rng, 0.2, 0.8)
    parts = [paint(box(-w, -h, w, h), _any_colour(rng), volume=0.2)]
    for row in range(int(rng.integers(0, 4))):
        top = -h + 2 * h * (row + 0.1) / 4
        inner = box(-0.9 * w, top, 0.9 * w, top + 0.38 * h)
        parts.append(paint(inner, _any_colour(rng), volume=0.2))
    return parts


def _frame(rng: np.random.Generator) -> list[Part]:
    """A picture on the wall or a window."""
    w, h = between(rng, 0.25, 0.6), between(rng, 0.25, 0.6)
    inner = box(-0.82 * w, -0.82 * h, 0.82 * w, 0.82 * h)
    glass = paint(inner, choose(rng, SKIES + PAINTS))
    roof = peak((-0.6 * w, 0.6 * h), (0, -0.5 * h), (0.6 * w, 0.6 * h), 0.02)
    return [paint(box(-w, -h, w, h), _any_colour(rng)), glass, paint(roof, _any_colour(rng))]


def _shrub(rng: np.random.Generator) -> list[Part]:
    """A bush or a stone: a lump with a lumpy rim."""
    radius = rng.uniform(0.35, 0.6, 9)
    turn = np.linspace(0, 2 * np.pi, 9, endpoint=False)
    rim = [(r * np.cos(a), 0.8 * r * np.sin(a)) for r, a in zip(radius, turn, strict=True)]
    return [paint(closed(rim, 5), _any_colour(rng), volume=0.9)]


def _bars(rng: np.random.Generator) -> list[Part]:
    """Stalks, rods or fence posts, side by side."""
    colour, width = choose(rng, GREENS + FLOORS + PAINTS), between(rng, 0.015, 0.05)
    parts = []
    for number in range(int(rng.integers(2, 6))):
        x, bend = number * between(rng, 0.2, 0.3) - 0.5, between(rng, -0.12, 0.12)
        stalk = limb([(x, 0.9), (x + bend, 0.0), (x + 3 * bend, -0.9)], [width, width * 0.6], 5)
        parts.append(paint(stalk, tinted(rng, colour), volume=0.5))
    return parts


THINGS: tuple[Thing, ...] = (_ball, _plant, _cushion, _crate, _frame, _shrub, _bars)
IN_FRONT: tuple[Thing, ...] = (_ball, _plant, _plant, _cushion, _shrub, _bars, _bars)


def draw_background(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """A backdrop (height, width, 3), float32 in 0 to 1."""
    return choose(rng, BACKGROUNDS)(rng, width, height)


def draw_clutter(rng: np.random.Generator, width: int, height: int) -> list[Part]:
    """Up to five things behind the animal, in pixels."""
    parts: list[Part] = []
    for _ in range(int(rng.integers(0, 5))):
        size = between(rng, 0.12, 0.45) * min(width, height)
        thing = choose(rng, THINGS)
        hangs = thing is _frame
        x, y = (
            between(rng, 0, width),
            height * between(rng, 0.0, 0.6) + (0 if hangs else 0.4 * height),
        )
        turn = 0.0 if hangs else between(rng, -0.3, 0.3)
        parts += place(thing(rng), Placement(x, y, size, turn))
    return parts


def draw_occluders(
    rng: np.random.Generator, low: tuple[float, float], high: tuple[float, float]
) -> list[Part]:
    """Nothing, or one or two things in front of the animal, whose corners are given, in pixels."""
    parts: list[Part] = []
    for _ in range(choose(rng, (0, 0, 0, 1, 1))):
        size = between(rng, 0.2, 0.42) * min(high[0] - low[0], high[1] - low[1])
        x, y = between(rng, low[0], high[0]), between(rng, low[1], high[1])
        parts += place(choose(rng, IN_FRONT)(rng), Placement(x, y, size, between(rng, -0.4, 0.4)))
    return parts


def soften(picture: Pixels, radius: float) -> Pixels:
    """The image (height, width, 3) out of focus by `radius` pixels."""
    if radius < 0.3:
        return picture
    return to_pixels(to_image(picture).filter(ImageFilter.GaussianBlur(radius)))
