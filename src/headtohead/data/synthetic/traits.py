"""What one animal looks like: the shape cues that differ by class, and the coat that does not.

Every shape cue overlaps between the classes, as in life: some dogs have pricked ears and a short
muzzle, a few cats have folded ears. Nothing else may tell them apart: coats, eye and nose colours
come from one distribution for both.
"""

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from headtohead.data.synthetic.shapes import Colour

T = TypeVar("T")
Label = Literal["cat", "dog"]
Ear = Literal["prick", "tipped", "flop"]

COATS: tuple[Colour, ...] = (
    (38, 34, 34),
    (70, 66, 66),
    (118, 116, 120),
    (160, 156, 152),
    (232, 228, 222),
    (226, 202, 164),
    (204, 132, 64),
    (168, 92, 46),
    (116, 78, 52),
    (78, 50, 36),
    (188, 150, 104),
    (214, 176, 116),
)
NOSES: tuple[Colour, ...] = ((34, 28, 30), (58, 40, 40), (176, 112, 110), (108, 70, 60))
IRISES: tuple[Colour, ...] = ((196, 160, 52), (150, 160, 70), (134, 84, 40), (120, 160, 180))


@dataclass(frozen=True)
class Coat:
    """Colours and pattern of the hair."""

    base: Colour
    marking: Colour
    second: Colour
    pattern: Literal["plain", "stripes", "patches", "brindle", "saddle"]
    frequency: float
    contrast: float
    hair: float
    """Length of the hair, as a share of the head's radius."""
    texture: float


@dataclass(frozen=True)
class Traits:
    """The measures of one animal; lengths as shares of the head's radius unless said otherwise."""

    label: Label
    coat: Coat
    nose_colour: Colour
    iris: Colour
    ear: Ear
    ear_length: float
    ear_width: float
    ear_spread: float
    ear_blunt: int
    skull_width: float
    jaw_width: float
    muzzle_length: float
    muzzle_width: float
    nose_size: float
    eye_size: float
    eye_spread: float
    pupil: float
    """Width of the pupil over its height: a slit or a circle."""
    lids: float
    whiskers: float
    tongue: float
    tail_length: float
    """Shares of the trunk's length, like the four below."""
    tail_width: float
    tail_curl: float
    leg_length: float
    leg_width: float
    chest_depth: float
    waist: float
    neck: float
    head_size: float


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number from the uniform distribution."""
    return float(rng.uniform(low, high))


def around(rng: np.random.Generator, mean: float, spread: float) -> float:
    """A number from the normal distribution cut at two standard deviations."""
    return mean + spread * float(np.clip(rng.standard_normal(), -2, 2))


def tinted(rng: np.random.Generator, colour: Colour, amount: int = 14) -> Colour:
    """The colour, a little lighter or darker and a little off."""
    shift = rng.integers(-amount, amount + 1) + rng.integers(-amount // 2, amount // 2 + 1, 3)
    red, green, blue = (int(np.clip(c + s, 8, 247)) for c, s in zip(colour, shift, strict=True))
    return red, green, blue


def choose(rng: np.random.Generator, options: tuple[T, ...]) -> T:
    """One of the options, each equally likely."""
    return options[int(rng.integers(len(options)))]


def draw_coat(rng: np.random.Generator) -> Coat:
    """A coat, from the one distribution that both classes share."""
    base = tinted(rng, choose(rng, COATS))
    dark: Colour = (int(base[0] * 0.5), int(base[1] * 0.46), int(base[2] * 0.44))
    marking = dark if rng.random() < 0.6 else tinted(rng, choose(rng, COATS))
    second = base if rng.random() < 0.35 else tinted(rng, choose(rng, COATS[4:6] + COATS))
    return Coat(
        base=base,
        marking=marking,
        second=second,
        pattern=choose(rng, ("plain", "plain", "stripes", "patches", "brindle", "saddle")),
        frequency=between(rng, 0.7, 1.3),
        contrast=between(rng, 0.35, 0.95),
        hair=between(rng, 0.02, 0.16),
        texture=between(rng, 0.04, 0.14),
    )


def _ears(label: Label, rng: np.random.Generator) -> tuple[Ear, float, float, float, int]:
    """Kind, length, width, spread and bluntness: the loudest cue, and not a certain one."""
    dice = rng.random()
    if label == "cat":
        if dice < 0.05:
            return "tipped", between(rng, 0.55, 0.75), between(rng, 0.5, 0.62), 0.62, 2
        length, width = around(rng, 0.82, 0.1), around(rng, 0.62, 0.06)
        return "prick", length, width, around(rng, 0.6, 0.05), int(rng.integers(0, 3))
    if dice < 0.16:
        length, width = around(rng, 1.0, 0.14), around(rng, 0.52, 0.06)
        return "prick", length, width, around(rng, 0.62, 0.05), int(rng.integers(0, 6))
    if dice < 0.32:
        return "tipped", around(rng, 0.85, 0.1), around(rng, 0.58, 0.06), 0.66, 2
    return "flop", around(rng, 1.25, 0.22), around(rng, 0.46, 0.07), around(rng, 0.84, 0.05), 0


def draw_traits(label: Label, rng: np.random.Generator) -> Traits:
    """The measures of one cat or dog."""
    coat, nose, iris = draw_coat(rng), choose(rng, NOSES), choose(rng, IRISES)
    ear, length, width, spread, blunt = _ears(label, rng)
    tongue = between(rng, 0.4, 1.0) if rng.random() < 0.15 else 0.0

    def cue(cat: tuple[float, float], dog: tuple[float, float]) -> float:
        return around(rng, *(cat if label == "cat" else dog))

    return Traits(
        label=label,
        coat=coat,
        nose_colour=nose,
        iris=tinted(rng, iris),
        ear=ear,
        ear_length=length,
        ear_width=width,
        ear_spread=spread,
        ear_blunt=blunt,
        skull_width=cue((1.06, 0.05), (0.9, 0.07)),
        jaw_width=cue((0.8, 0.06), (0.6, 0.07)),
        muzzle_length=max(0.1, cue((0.2, 0.06), (0.66, 0.17))),
        muzzle_width=cue((0.4, 0.04), (0.46, 0.06)),
        nose_size=cue((0.13, 0.015), (0.22, 0.03)),
        eye_size=cue((0.23, 0.025), (0.16, 0.02)),
        eye_spread=cue((0.46, 0.03), (0.4, 0.04)),
        pupil=min(1.0, cue((0.4, 0.17), (0.95, 0.05))),
        lids=cue((0.8, 0.1), (0.85, 0.1)),
        whiskers=max(0.0, cue((1.1, 0.2), (0.25, 0.2))),
        tongue=tongue,
        tail_length=cue((0.85, 0.1), (0.6, 0.17)),
        tail_width=max(0.025, cue((0.045, 0.01), (0.06, 0.018))),
        tail_curl=cue((0.5, 0.4), (0.6, 0.4)),
        leg_length=cue((0.4, 0.04), (0.5, 0.08)),
        leg_width=cue((0.062, 0.007), (0.068, 0.01)),
        chest_depth=cue((0.19, 0.02), (0.22, 0.025)),
        waist=cue((0.9, 0.08), (0.72, 0.1)),
        neck=cue((0.1, 0.03), (0.2, 0.05)),
        head_size=cue((0.265, 0.02), (0.265, 0.02)),
    )
