"""Outlines: the closed curves that every drawn thing is made of.

An outline is a float array (N, 2) of x, y with y pointing down. Curves are Catmull–Rom splines
(Catmull & Rom 1974): they pass through their control points, so an animal can be sketched by
naming where its outline goes.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Part:
    """One filled outline with what covers it; later parts hide earlier ones.

    `colour` is flat paint (nose, ball), None means coat. `accent`, 0 to 1, is how much of the
    coat's second colour shows (muzzle, chest, paws). `gain` is brightness, `volume`, 0 to 1, how
    round the part looks, `fur` how far hair sticks out, as a share of the coat's hair length.
    """

    outline: Points
    colour: Colour | None = None
    accent: float = 0.0
    gain: float = 1.0
    volume: float = 1.0
    fur: float = 1.0


def paint(outline: Points, colour: Colour, *, volume: float = 0.0, gain: float = 1.0) -> Part:
    """A hairless part of one colour."""
    return Part(outline, colour=colour, volume=volume, gain=gain, fur=0.0)


@dataclass(frozen=True)
class Placement:
    """Where a drawing goes: scaled, mirrored if `mirror` is -1, turned (radians), then moved."""

    x: float
    y: float
    scale: float
    angle: float = 0.0
    mirror: int = 1

    def matrix(self) -> Points:
        """(2, 2) matrix for column vectors."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return self.scale * np.array([[cos * self.mirror, -sin], [sin * self.mirror, cos]])

    def apply(self, outline: Points) -> Points:
        """The outline (N, 2) in the outer frame."""
        return outline @ self.matrix().T + (self.x, self.y)

    def invert(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[Points, Points]:
        """Outer coordinates, of any shapes that broadcast, in the drawing's own frame."""
        inverse = np.linalg.inv(self.matrix())
        dx, dy = x - self.x, y - self.y
        return inverse[0, 0] * dx + inverse[0, 1] * dy, inverse[1, 0] * dx + inverse[1, 1] * dy


def place(parts: list[Part], placement: Placement) -> list[Part]:
    """The same parts in the outer frame."""
    return [replace(part, outline=placement.apply(part.outline)) for part in parts]


def _spline(before: Points, start: Points, end: Points, after: Points, steps: int) -> Points:
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c, d = (p[:, None, :] for p in (before, start, end, after))
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.asarray(curve.reshape(-1, 2), dtype=np.float64)


def closed(points: list[tuple[float, float]], steps: int = 7) -> Points:
    """The smooth closed curve through `points`."""
    p = np.asarray(points, dtype=np.float64)
    p = np.concatenate([p[-1:], p, p[:2]])
    return _spline(p[:-3], p[1:-2], p[2:-1], p[3:], steps)


def symmetric(half: list[tuple[float, float]]) -> Points:
    """The smooth closed curve through `half`, given from top to bottom, and its mirror image."""
    middle = [(-x, y) for x, y in reversed(half) if abs(x) > 1e-9]
    return closed([*half, *middle], steps=6)


def blob(x: float, y: float, rx: float, ry: float, angle: float = 0.0, steps: int = 28) -> Points:
    """An ellipse about (x, y), turned by `angle` radians."""
    t = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    u, v = rx * np.cos(t), ry * np.sin(t)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([x + cos * u - sin * v, y + sin * u + cos * v], axis=1)


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """An upright rectangle."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)


def limb(spine: list[tuple[float, float]], widths: list[float], steps: int = 7) -> Points:
    """A tube of half-widths `widths` about the smooth curve through `spine`, with round ends."""
    p = np.asarray(spine, dtype=np.float64)
    ends = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    line = np.concatenate([_spline(ends[:-3], p[:-1], p[1:], ends[3:], steps), p[-1:]])
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.hypot(along[:, :1], along[:, 1:]), 1e-9)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1)
    where = np.linspace(0, len(widths) - 1, len(line))
    half = np.interp(where, np.arange(len(widths)), widths)[:, None]
    turn = np.linspace(0, np.pi, 7)[1:-1, None]
    head = line[-1] + half[-1] * (np.cos(turn) * normal[-1] + np.sin(turn) * along[-1])
    tail = line[0] - half[0] * (np.cos(turn) * normal[0] + np.sin(turn) * along[0])
    return np.concatenate([line + half * normal, head, (line - half * normal)[::-1], tail])


def peak(
    left: tuple[float, float],
    tip: tuple[float, float],
    right: tuple[float, float],
    bulge: float = 0.1,
    rounding: int = 0,
) -> Points:
    """A triangle with sides that bulge outwards; `rounding` blunts the tip, by so many points."""
    a, b, c = (np.asarray(p, dtype=np.float64) for p in (left, tip, right))
    t = np.linspace(0, 1, 9)[:, None]

    def side(start: Points, end: Points) -> Points:
        out = np.array([end[1] - start[1], start[0] - end[0]]) * bulge
        return (1 - t) * start + t * end + 4 * t * (1 - t) * out

    outline = np.concatenate([side(a, b), side(b, c)[1:]])
    for _ in range(rounding):
        outline[1:-1] = (outline[:-2] + 2 * outline[1:-1] + outline[2:]) / 4
    return outline


def bristle(outline: Points, length: float, rng: np.random.Generator) -> Points:
    """The outline with hair of up to `length` sticking out of it, all in pixels."""
    if length < 0.4:
        return outline
    steps = np.diff(outline, axis=0, append=outline[:1])
    distance = np.concatenate([[0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))])
    count = int(np.clip(distance[-1] / 3.0, 12, 400))
    where = np.arange(count) * (distance[-1] / count)
    around = np.concatenate([outline, outline[:1]])
    points = np.stack([np.interp(where, distance, around[:, i]) for i in (0, 1)], axis=1)
    along = np.roll(points, -1, 0) - np.roll(points, 1, 0)
    along /= np.maximum(np.hypot(along[:, :1], along[:, 1:]), 1e-9)
    outwards = np.stack([along[:, 1], -along[:, 0]], axis=1)
    x, y = points[:, 0], points[:, 1]
    if np.dot(x, np.roll(y, -1)) < np.dot(y, np.roll(x, -1)):
        outwards = -outwards
    hair = length * rng.random(count) ** 2
    return np.asarray(points + hair[:, None] * (outwards + 0.5 * along), dtype=np.float64)
