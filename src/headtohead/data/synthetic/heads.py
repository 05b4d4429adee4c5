"""Heads of cats and dogs, from the front and from the side, in units of the head's radius."""

import numpy as np

from headtohead.data.synthetic.shapes import (
    Colour,
    Part,
    Points,
    blob,
    closed,
    limb,
    paint,
    peak,
    symmetric,
)
from headtohead.data.synthetic.traits import Traits

DARK: Colour = (30, 24, 24)
TONGUE: Colour = (208, 104, 112)


def _skin(traits: Traits) -> Colour:
    """Inside of the ear: between the coat and pink."""
    red, green, blue = (
        int(0.5 * c + 0.5 * p) for c, p in zip(traits.coat.base, (196, 138, 130), strict=True)
    )
    return red, green, blue


def _mirrored(outline: Points, side: int, shift: float = 0.0) -> Points:
    return np.asarray(outline * (side, 1) + (shift, 0.0), dtype=np.float64)


def _standing_ear(traits: Traits, side: int, yaw: float) -> list[Part]:
    """A pricked ear; a tipped one has its upper part folded over."""
    spread, width, length = traits.ear_spread, traits.ear_width, traits.ear_length
    near = 1 - 0.25 * yaw * side
    left, right = (spread - width * 0.62 * near, -0.62), (spread + width * 0.5 * near, -0.3)
    tip = (spread + 0.12 * length, -0.62 - length)
    outer = peak(left, tip, right, 0.07, traits.ear_blunt)
    centre = np.array([spread, -0.55])
    inner = centre + (outer - centre) * (0.6, 0.72)
    shift = yaw * 0.08
    parts = [
        Part(_mirrored(outer, side, shift), accent=0.1, gain=0.92, volume=0.5),
        paint(_mirrored(inner, side, shift), _skin(traits), gain=0.85, volume=0.5),
    ]
    if traits.ear == "tipped":
        fold = closed(
            [
                (left[0] + 0.2 * width, left[1] - 0.42 * length),
                (tip[0] - 0.05, tip[1] + 0.42 * length),
                (right[0] + 0.02, right[1] - 0.45 * length),
                (spread + 0.3 * width, -0.55 + 0.02 * length),
            ]
        )
        cut = outer.copy()
        cut[:, 1] = np.maximum(cut[:, 1], tip[1] + 0.5 * length)
        stump = Part(_mirrored(cut, side, shift), gain=0.85, volume=0.5)
        parts = [stump, Part(_mirrored(fold, side, shift), accent=0.1, volume=0.8)]
    return parts


def _hanging_ear(traits: Traits, side: int, yaw: float) -> Part:
    spread, width, length = traits.ear_spread, traits.ear_width, traits.ear_length
    near = 1 - 0.3 * yaw * side
    outline = closed(
        [
            (spread - 0.3, -0.72),
            (spread + 0.1 * near, -0.66),
            (spread + width * near, -0.62 + 0.45 * length),
            (spread + 0.75 * width * near, -0.62 + length),
            (spread + 0.2 * width * near, -0.62 + 0.95 * length),
            (spread - 0.05, -0.25),
        ]
    )
    return Part(_mirrored(outline, side, yaw * 0.08), accent=0.0, gain=0.86, volume=0.9)


def _eye(traits: Traits, x: float, y: float, near: float, tilt: float) -> list[Part]:
    size, lids = traits.eye_size, traits.lids
    width = size * near
    parts = [
        paint(blob(x, y, width * 1.12, size * lids * 1.12, tilt), DARK),
        paint(blob(x, y, width * 0.95, size * lids * 0.95, tilt), traits.iris, volume=0.3),
        paint(blob(x, y, width * 0.72 * traits.pupil, size * lids * 0.78), (14, 12, 12)),
    ]
    glint = blob(x - 0.3 * width, y - 0.35 * size * lids, 0.2 * size, 0.2 * size, steps=10)
    return [*parts, paint(glint, (244, 244, 240))]


def _mouth(traits: Traits, x: float, y: float) -> list[Part]:
    """Line from the nose and the two curves below it; the tongue, when out, hangs from it."""
    width, drop = 0.52 * traits.muzzle_width, 0.1 + 0.1 * traits.muzzle_length
    parts = []
    if traits.tongue > 0:
        reach = traits.tongue * (0.16 + 0.35 * traits.muzzle_length)
        tongue = limb([(x, y + drop), (x, y + drop + reach)], [0.1, 0.12])
        parts.append(paint(tongue, TONGUE, volume=0.4))
    lines = [[(x, y), (x, y + drop)]]
    for side in (-1, 1):
        corner = (x + side * width, y + drop * 0.95)
        lines.append([(x, y + drop), (x + side * width * 0.5, y + drop * 1.35), corner])
    return parts + [paint(limb(line, [0.024, 0.024], 4), DARK) for line in lines]


def _whiskers(traits: Traits, x: float, y: float, sides: tuple[int, ...]) -> list[Part]:
    if traits.whiskers < 0.45:
        return []
    light = sum(traits.coat.second) < 600
    colour = (238, 236, 230) if light else (96, 92, 90)
    parts = []
    for side in sides:
        for slope in (-0.22, 0.02, 0.26):
            start = (x + side * 0.55 * traits.muzzle_width, y + 0.3 * slope)
            end = (start[0] + side * traits.whiskers * 0.85, y + slope * traits.whiskers)
            middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 - 0.06)
            parts.append(paint(limb([start, middle, end], [0.02, 0.012], 4), colour))
    return parts


def _nose(traits: Traits, x: float, y: float) -> Part:
    n = traits.nose_size
    half = [
        (0.0, -0.62 * n),
        (0.8 * n, -0.55 * n),
        (n, -0.1 * n),
        (0.3 * n, 0.7 * n),
        (0.0, 0.75 * n),
    ]
    return paint(symmetric(half) + np.array([x, y]), traits.nose_colour, volume=0.5)


def front_head(traits: Traits, yaw: float) -> list[Part]:
    """The head seen from the front, turned by `yaw`, -1 (its right) to 1 (its left)."""
    t, length = traits, traits.muzzle_length
    w, jaw, chin = t.skull_width, t.jaw_width, 0.84 + 0.2 * length
    half = [
        (0.0, -0.86),
        (0.5, -0.8),
        (0.93 * w, -0.38),
        (w, 0.1),
        (jaw, 0.58),
        (0.4 * jaw, chin),
        (0.0, chin + 0.03),
    ]
    parts: list[Part] = []
    if t.ear != "flop":
        parts += [p for side in (-1, 1) for p in _standing_ear(t, side, yaw)]
    parts.append(Part(symmetric(half)))
    if t.ear == "flop":
        parts += [_hanging_ear(t, side, yaw) for side in (-1, 1)]
    x, y = yaw * (0.2 + 0.42 * length), 0.42 + 0.2 * length
    bridge = limb([(yaw * 0.15, -0.3), (x * 0.8, y - 0.15)], [0.16, 0.2 + 0.12 * length])
    parts.append(Part(bridge, accent=0.55, volume=0.35, gain=1.05, fur=0.2))
    if length < 0.35:
        pads = [
            blob(x + s * 0.45 * t.muzzle_width, y + 0.08, 0.6 * t.muzzle_width, 0.24)
            for s in (-1, 1)
        ]
        parts.append(Part(blob(x, y + 0.28, 0.5 * t.muzzle_width, 0.18), accent=0.9, fur=0.5))
        parts += [Part(pad, accent=1.0, volume=0.6, gain=1.05, fur=0.5) for pad in pads]
    else:
        snout = blob(x, y, t.muzzle_width, 0.26 + 0.36 * length)
        parts.append(Part(snout, accent=1.0, gain=1.08, fur=0.5))
    nose_y = y - 0.1 + 0.08 * length
    parts += _mouth(t, x, nose_y + 0.6 * t.nose_size)
    parts.append(_nose(t, x, nose_y))
    for side in (-1, 1):
        near = 1 - 0.22 * yaw * side
        parts += _eye(t, yaw * 0.2 + side * t.eye_spread, -0.08, near, 0.25 * side * (1 - t.pupil))
    return parts + _whiskers(t, x, y + 0.08, (-1, 1))


def _side_ears(traits: Traits) -> list[Part]:
    t = traits
    if t.ear == "flop":
        drop = closed(
            [
                (-0.42, -0.62),
                (-0.05, -0.6),
                (0.02, -0.6 + 0.5 * t.ear_length),
                (-0.2, -0.55 + t.ear_length),
                (-0.5, -0.62 + 0.8 * t.ear_length),
            ]
        )
        return [Part(drop, gain=0.84, volume=0.9)]
    tip = (-0.35, -0.6 - t.ear_length)
    far = peak((-0.3, -0.6), (tip[0] + 0.35, tip[1] + 0.06), (0.22, -0.6), 0.06, t.ear_blunt)
    near = peak((-0.68, -0.4), tip, (-0.05, -0.6), 0.06, t.ear_blunt)
    inner = near.mean(0) + (near - near.mean(0)) * 0.55
    if t.ear == "tipped":
        fold = closed(
            [(-0.5, -0.62 - 0.5 * t.ear_length), (-0.1, -0.75), (0.12, -0.4), (-0.35, -0.6)]
        )
        near = np.maximum(near, (-9.0, -0.65 - 0.5 * t.ear_length))
        return [Part(near, gain=0.85, volume=0.5), Part(fold, accent=0.1)]
    ear = Part(near, accent=0.1, gain=0.95, volume=0.5)
    return [Part(far, gain=0.75, volume=0.3), ear, paint(inner, _skin(t), gain=0.85)]


def _profile(traits: Traits, tip: float) -> Points:
    """The outline from the back of the skull over the forehead to the snout's `tip` and back."""
    length, w = traits.muzzle_length, 0.06 * (traits.muzzle_width - 0.4)
    return closed(
        [
            (-0.88, 0.0),
            (-0.62, -0.58),
            (-0.1, -0.84),
            (0.34, -0.66),
            (0.6, -0.3),
            (0.62 + 0.3 * length, -0.1 + 0.08 * length),
            (tip - 0.08, 0.02 + 0.06 * length),
            (tip, 0.22),
            (tip - 0.08, 0.46 + w),
            (tip - 0.3, 0.62 + w),
            (0.45, 0.72),
            (0.0, 0.82),
            (-0.6, 0.6),
        ]
    )


def side_head(traits: Traits) -> list[Part]:
    """The head in profile, looking to the right."""
    t, length = traits, traits.muzzle_length
    tip = 0.78 + 0.85 * length
    muzzle = closed(
        [
            (0.5, 0.1),
            (tip - 0.12, 0.12),
            (tip - 0.02, 0.25),
            (tip - 0.3, 0.58),
            (0.4, 0.62),
            (0.3, 0.4),
        ]
    )
    ears, skull = _side_ears(t), Part(_profile(t, tip))
    parts = [*ears, skull] if t.ear != "flop" else [skull]
    parts.append(Part(muzzle, accent=0.9, volume=0.3, gain=1.02, fur=0.3))
    lip = limb([(tip - 0.06, 0.4), (tip - 0.25, 0.48), (0.5, 0.44)], [0.024, 0.024], 4)
    if t.tongue > 0:
        tongue = limb([(tip - 0.25, 0.46), (tip - 0.2, 0.56 + 0.4 * length)], [0.1, 0.11])
        parts.append(paint(tongue, TONGUE, volume=0.4))
    parts.append(paint(lip, DARK))
    nose = blob(tip - 0.04, 0.14, 0.75 * t.nose_size, 0.7 * t.nose_size)
    parts.append(paint(nose, t.nose_colour, volume=0.5))
    parts += _eye(t, 0.38, -0.14, 0.7, 0.0)
    parts += _whiskers(t, tip - 0.35, 0.4, (-1, 1))
    return parts + (ears if t.ear == "flop" else [])
