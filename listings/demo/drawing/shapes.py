"""Outlines in item units: x to the right, y downwards, the ground at y = 0, an item about two units tall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Dot = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line with round ends; `start` and `end` are its widths."""

    points: Points
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Outline:
    """The union of filled polygons and strokes, less the holes."""

    fills: Sequence[Points] = ()
    strokes: Sequence[Stroke] = ()
    holes: Sequence[Points] = field(default=())


def filled_outline(*fills: Points, holes: Sequence[Points] = ()) -> Outline:
    return Outline(fills=fills, holes=holes)


def ellipse_points(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360) -> Points:
    """Points on an ellipse; degrees run clockwise from three o'clock."""
    angles = np.radians(np.linspace(start, end, max(8, int(abs(end - start) / 5))))
    return np.column_stack((x + rx * np.cos(angles), y + ry * np.sin(angles)))


def circle_points(x: float, y: float, radius: float) -> Points:
    return ellipse_points(x, y, radius, radius)


def polygon_points(*dots: Dot) -> Points:
    return np.array(dots, dtype=np.float64)


def box_points(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> Points:
    """A rectangle, its corners rounded."""
    radius = min(radius, (right - left) / 2, (bottom - top) / 2)
    if radius <= 0:
        return polygon_points((left, top), (right, top), (right, bottom), (left, bottom))
    corners = (
        (right - radius, top + radius, -90),
        (right - radius, bottom - radius, 0),
        (left + radius, bottom - radius, 90),
        (left + radius, top + radius, 180),
    )
    return np.vstack([ellipse_points(x, y, radius, radius, start, start + 90) for x, y, start in corners])


def smooth_curve(*dots: Dot, closed: bool = True, steps: int = 10) -> Points:
    """A Catmull-Rom curve through the dots."""
    points = polygon_points(*dots)
    if closed:
        points = np.vstack((points[-1], points, points[:2]))
    else:
        # Each piece needs a point on either side of it. Beyond the ends there is none, so one is mirrored there.
        points = np.vstack((2 * points[0] - points[1], points, 2 * points[-1] - points[-2]))
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(points, points[1:], points[2:], points[3:], strict=False):
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.vstack(pieces if closed else [*pieces, points[-2:-1]])


def lathe_silhouette(*profile: Dot, dip: float = 0.16) -> Points:
    """The silhouette of a thing made on a lathe, from (half width, y) downwards; the bottom is half a flat ellipse."""
    right = smooth_curve(*profile, closed=False)
    bottom_x, bottom_y = right[-1]
    front = ellipse_points(0, bottom_y, bottom_x, bottom_x * dip, 0, 180)
    left = right[::-1] * (-1, 1)
    return np.vstack((right, front, left))


def straight_line(*dots: Dot, width: float, end: float | None = None) -> Outline:
    """A straight or broken line."""
    return Outline(strokes=(Stroke(polygon_points(*dots), width, width if end is None else end),))


def curved_line(*dots: Dot, width: float, end: float | None = None) -> Outline:
    """A curved line through the dots, tapered when `end` is given."""
    return Outline(strokes=(Stroke(smooth_curve(*dots, closed=False), width, width if end is None else end),))


def arc_line(x: float, y: float, rx: float, ry: float, start: float, end: float, width: float) -> Outline:
    return Outline(strokes=(Stroke(ellipse_points(x, y, rx, ry, start, end), width, width),))


def ring_outline(x: float, y: float, radius: float, width: float) -> Outline:
    return filled_outline(circle_points(x, y, radius + width / 2), holes=[circle_points(x, y, radius - width / 2)])


def join_outlines(*outlines: Outline) -> Outline:
    return Outline(
        fills=[fill for outline in outlines for fill in outline.fills],
        strokes=[stroke for outline in outlines for stroke in outline.strokes],
        holes=[hole for outline in outlines for hole in outline.holes],
    )


def point_on_circle(x: float, y: float, radius: float, degrees: float) -> Dot:
    return x + radius * math.cos(math.radians(degrees)), y + radius * math.sin(math.radians(degrees))
