"""Whole animals: portrait, standing, sitting and lying, looking right or at the camera.

The trunk is one unit long. Both classes take each pose with the same probability.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from headtohead.data.synthetic.heads import front_head, side_head
from headtohead.data.synthetic.shapes import Part, Placement, blob, closed, limb, place, symmetric
from headtohead.data.synthetic.traits import Traits, around, between, choose


def _head(t: Traits, x: float, y: float, rng: np.random.Generator) -> list[Part]:
    """The head at (x, y) of the body, towards the camera or in profile."""
    if rng.random() < 0.65:
        parts = front_head(t, between(rng, -0.2, 0.7))
        return place(parts, Placement(x, y, t.head_size, around(rng, 0, 0.14)))
    parts = side_head(t)
    return place(parts, Placement(x, y, t.head_size, around(rng, 0.05, 0.14)))


def _tail(t: Traits, x: float, y: float, angle: float) -> Part:
    """A tail from (x, y) that starts at `angle` (radians from left, upwards) and curls."""
    points, heading, step = [(x, y)], angle, t.tail_length / 5
    for _ in range(5):
        x, y = x - step * np.cos(heading), y - step * np.sin(heading)
        points.append((x, y))
        heading += t.tail_curl * 0.75
    bushy = t.tail_width * (1.25 if t.label == "dog" else 1.0)
    return Part(limb(points, [t.tail_width, bushy, bushy * 0.95, t.tail_width * 0.65]), accent=0.15)


def _leg(points: list[tuple[float, float]], width: float, *, far: bool) -> list[Part]:
    gain = 0.72 if far else 0.95
    x, y = points[-1]
    leg = Part(limb(points, [width * 1.5, width, width * 0.8]), gain=gain, volume=0.7)
    paw = Part(blob(x + 0.35 * width, y, width * 1.35, width * 0.75), accent=1.0, gain=gain)
    return [leg, paw]


def _walking_legs(t: Traits, x: float, y: float, swing: float, *, far: bool) -> list[Part]:
    """A fore leg (x > 0.5) or a hind leg with its bent hock."""
    foot = y + t.leg_length
    if x > 0.5:
        knee = (x + 0.25 * swing, y + 0.5 * t.leg_length)
        return _leg([(x, y), knee, (x + swing, foot)], t.leg_width, far=far)
    knee = (x + 0.05 + 0.3 * swing, y + 0.35 * t.leg_length)
    hock = (x - 0.07 + 0.7 * swing, y + 0.66 * t.leg_length)
    return _leg([(x, y - 0.03), knee, hock, (x - 0.02 + swing, foot)], t.leg_width, far=far)


def standing(t: Traits, rng: np.random.Generator) -> list[Part]:
    """From the side, on four legs, mid-step."""
    depth, stride = t.chest_depth, between(rng, 0.0, 0.14)
    swings = rng.permutation(np.array([-1.0, 1.0, -0.6, 0.6])) * stride
    lift = around(rng, 0.0, 0.05)
    trunk = closed(
        [
            (0.0, -0.08),
            (0.22, -depth * 0.95),
            (0.55, -depth * 0.92),
            (0.85, -depth * 1.05),
            (1.03, -0.04),
            (0.92, depth * 0.95),
            (0.62, depth),
            (0.3, depth * t.waist),
            (0.05, depth * 0.75),
        ]
    )
    head_x, head_y = 1.0 + 0.75 * t.neck, -depth - t.neck - 0.06 - lift
    neck = limb([(0.86, -0.02), (head_x - 0.04, head_y + 0.06)], [0.19, t.head_size * 0.7])
    parts = [_tail(t, 0.04, -0.1, around(rng, 0.5, 0.35))]
    parts += _walking_legs(t, 0.9, 0.1, swings[0], far=True)
    parts += _walking_legs(t, 0.16, 0.08, swings[1], far=True)
    parts += [Part(trunk), Part(neck, accent=0.1)]
    parts.append(Part(blob(0.16, 0.04, 0.15, 0.17), volume=0.5, gain=0.98))
    parts += _walking_legs(t, 0.86, 0.1, swings[2], far=False)
    parts += _walking_legs(t, 0.13, 0.08, swings[3], far=False)
    return parts + _head(t, head_x, head_y, rng)


def sitting(t: Traits, rng: np.random.Generator) -> list[Part]:
    """From the front, on its haunches."""
    wide = 1.45 * t.chest_depth
    long = 0.62 + 0.3 * t.leg_length
    lean = around(rng, 0.0, 0.05)
    pear = symmetric(
        [
            (0.0, -0.02),
            (0.6 * wide, 0.08),
            (0.85 * wide, 0.32),
            (1.2 * wide, long * 0.8),
            (wide, long),
            (0.0, long),
        ]
    )
    tail_side = choose(rng, (-1, 1))
    tail = _tail(t, 0.0, 0.0, around(rng, 0.1, 0.35))
    parts = place([tail], Placement(-tail_side * 0.9 * wide, long - 0.08, 0.8, mirror=tail_side))
    parts.append(Part(pear))
    for side in (-1, 1):
        parts.append(Part(blob(side * 1.05 * wide, long * 0.84, 0.55 * wide, 0.17), gain=0.92))
        parts.append(Part(blob(side * 1.2 * wide, long + 0.0, 0.12, 0.055), accent=1.0, gain=0.9))
    chest = symmetric([(0.0, -0.05), (0.45 * wide, 0.12), (0.34 * wide, 0.42), (0.0, 0.56)])
    parts.append(Part(chest, accent=1.0, volume=0.15))
    for side in (-1, 1):
        foot = side * between(rng, 0.3, 0.5) * wide
        parts += _leg(
            [(side * 0.42 * wide, 0.36), (foot, long * 0.7), (foot, long + 0.02)],
            t.leg_width,
            far=False,
        )
    parts.append(Part(limb([(0, 0.12), (lean, -t.neck)], [0.19, 0.14]), gain=0.9))
    return parts + _head(t, lean, -t.neck - 0.5 * t.head_size, rng)


def lying(t: Traits, rng: np.random.Generator) -> list[Part]:
    """From the side, belly on the ground, paws stretched out."""
    depth = t.chest_depth * 1.1
    trunk = closed(
        [
            (0.0, 0.0),
            (0.15, -depth),
            (0.5, -depth * 0.95),
            (0.85, -depth * 1.15),
            (1.05, -0.02),
            (0.95, depth * 0.95),
            (0.5, depth),
            (0.08, depth * 0.95),
        ]
    )
    reach = 0.55 * t.leg_length
    head_x, head_y = 0.98 + 0.6 * t.neck, -depth - 0.8 * t.neck - around(rng, 0.04, 0.03)
    parts = [_tail(t, 0.04, 0.5 * depth, around(rng, -0.1, 0.2))]
    for offset, far in ((-0.03, True), (0.03, False)):
        points = [(0.85, 0.12), (0.98, depth), (1.0 + reach + offset, depth + 0.01 + offset)]
        parts += _leg(points, t.leg_width, far=far)
    parts.append(Part(trunk))
    parts.append(Part(blob(0.18, 0.06, 0.2, 0.19 * t.waist), gain=0.95, volume=0.7))
    parts.append(Part(blob(0.36, depth, 0.14, 0.05), accent=1.0, gain=0.9))
    parts.append(
        Part(limb([(0.86, 0.0), (head_x - 0.04, head_y + 0.05)], [0.19, 0.16]), accent=0.1)
    )
    return parts + _head(t, head_x, head_y, rng)


def portrait(t: Traits, rng: np.random.Generator) -> list[Part]:
    """Head and shoulders; the body goes on below the image's edge, three head radii down."""
    yaw, tilt = between(rng, -0.6, 0.6), around(rng, 0.0, 0.1)
    neck = 0.3 + 1.5 * t.neck
    body = symmetric(
        [
            (0.0, -0.3),
            (0.66, 0.0),
            (0.72, neck),
            (1.15, 0.6 + neck),
            (1.3, 2.0),
            (1.4, 4.0),
            (0.0, 4.2),
        ]
    )
    chest = symmetric([(0.0, 0.1), (0.5, 0.3), (0.6, 1.0), (0.5, 2.0), (0.4, 4.0), (0.0, 4.2)])
    shoulders = [Part(body, gain=0.9), Part(chest, accent=1.0, gain=0.95, volume=0.15)]
    if rng.random() < 0.2:
        head = place(side_head(t), Placement(0.05, -0.35, 0.95, tilt))
    else:
        head = place(front_head(t, yaw), Placement(0.1 * yaw, -0.35, 1.0, tilt))
    size = t.head_size
    return place([*place(shoulders, Placement(0, 0.3, 1.0)), *head], Placement(0, 0, size))


Pose = Callable[[Traits, np.random.Generator], list[Part]]
POSES: tuple[Pose, ...] = (portrait, portrait, portrait, standing, sitting, sitting, lying)


@dataclass(frozen=True)
class Animal:
    """The parts of an animal, back to front; below `bottom` it leaves the image."""

    parts: list[Part]
    bottom: float | None


def draw_animal(traits: Traits, rng: np.random.Generator) -> Animal:
    """One animal in any of the poses."""
    pose = choose(rng, POSES)
    parts = pose(traits, rng)
    bottom = between(rng, 0.7, 2.2) * traits.head_size if pose is portrait else None
    return Animal(parts, bottom)
