"""Guitars: acoustic, electric and ukulele, standing upright."""

from __future__ import annotations

from random import Random

from .canvas import Array, Canvas, light_flat, light_sphere, light_vertical_cylinder
from .colours import BRASS, CREAM, INK, RGB, STEEL, WALNUT, WOODS, Look, darken_colour, lighten_colour
from .shapes import (
    Dot,
    Points,
    box_points,
    circle_points,
    ellipse_points,
    filled_outline,
    join_outlines,
    polygon_points,
    ring_outline,
    smooth_curve,
    straight_line,
)

EBONY = (58, 42, 36)


def draw_guitar(canvas: Canvas, look: Look, form: Random) -> None:
    if form.random() < 0.62:
        _draw_acoustic_guitar(canvas, look, form)
    else:
        _draw_electric_guitar(canvas, look, form)


def _draw_acoustic_guitar(canvas: Canvas, look: Look, form: Random) -> None:
    is_ukulele = form.random() < 0.3
    length, lower = (0.95, 0.42) if is_ukulele else (1.12, form.uniform(0.5, 0.58))
    upper, waist = lower * form.uniform(0.7, 0.84), lower * form.uniform(0.56, 0.72)
    nut = -length - (0.62 if is_ukulele else form.uniform(0.86, 0.98))
    body = _acoustic_body_points(length, upper, waist, lower, cutaway=form.random() < 0.35)
    # The same shape, darker, under a top that is a little smaller: what is left of it looks like the sides.
    canvas.paint_part(filled_outline(body), darken_colour(form.choice(WOODS), 0.3), light_flat, edge=0.02)
    canvas.paint_part(filled_outline(body * (0.955, 0.965) + (0, -0.02)), look.main_paint, _light_soundboard, edge=0.06)
    hole = (0.0, -length * 0.62)
    rosette = ring_outline(*hole, lower * 0.31, 0.035)
    canvas.paint_part(rosette, form.choice((CREAM, BRASS, INK)), light_flat, edge=0)
    canvas.paint_part(filled_outline(circle_points(*hole, lower * 0.27)), (38, 26, 22), light_flat, edge=0.03)
    if form.random() < 0.6:
        guard = smooth_curve(
            (0.13, hole[1] + 0.02), (0.3, hole[1] + 0.12), (0.26, hole[1] + 0.34), (0.1, hole[1] + 0.22)
        )
        canvas.paint_part(filled_outline(guard), darken_colour(look.colour, 0.55), light_flat, edge=0.01)
    # `_draw_neck` is told this height as well, because the strings have to end on the bridge.
    bridge = -length * 0.27
    canvas.paint_part(
        filled_outline(box_points(-lower * 0.42, bridge - 0.035, lower * 0.42, bridge + 0.04, 0.03)),
        EBONY,
        light_flat,
        edge=0.01,
    )
    _draw_neck(canvas, form, nut, hole[1] - lower * 0.24, head=WALNUT, strings_to=bridge, count=4 if is_ukulele else 6)


def _light_soundboard(u: Array, v: Array) -> Array:
    return 1.1 - 0.22 * u * v - 0.12 * abs(u - 0.35)


def _acoustic_body_points(length: float, upper: float, waist: float, lower: float, *, cutaway: bool) -> Points:
    right: list[Dot] = [
        (0.06, -length),
        (upper * 0.75, -length * 0.97),
        (upper, -length * 0.8),
        (waist, -length * 0.56),
        (lower * 0.96, -length * 0.34),
        (lower * 0.9, -length * 0.12),
        (lower * 0.5, -0.01),
    ]
    left = [(-x, y) for x, y in reversed(right)]
    # A cutaway takes the shoulder away on one side only, where a hand has to reach the high frets.
    if cutaway:
        right[0:3] = [
            (0.07, -length * 0.84),
            (upper * 0.4, -length * 0.78),
            (upper * 0.95, -length * 0.88),
            (upper, -length * 0.74),
        ]
    return smooth_curve(*right, (0, 0.01), *left)


def _draw_electric_guitar(canvas: Canvas, look: Look, form: Random) -> None:
    nut = -form.uniform(2.0, 2.12)
    width = form.uniform(0.9, 1.06)
    body = _electric_body_points(form.choice(("double", "single", "offset")), width)
    # The same shape, darker, under a top that is a little smaller: what is left of it looks like the edge.
    canvas.paint_part(filled_outline(body), darken_colour(look.colour, 0.35), light_flat, edge=0.02)
    canvas.paint_part(filled_outline(body * (0.95, 0.96) + (0, -0.02)), look.main_paint, light_sphere, edge=0.06)
    guard = smooth_curve(
        (-0.2, -0.72), (0.18, -0.8), (0.3, -0.5), (0.34, -0.22), (0.14, -0.3), (-0.06, -0.38), (-0.22, -0.5)
    )
    canvas.paint_part(filled_outline(guard), form.choice((CREAM, INK, (236, 236, 232))), light_flat, edge=0.015)
    _draw_neck(canvas, form, nut, -0.66, head=lighten_colour(WALNUT, 0.45), strings_to=-0.24, count=6)
    pickups = (-0.56, -0.42) if form.random() < 0.5 else (-0.58, -0.47, -0.36)
    for y in pickups:
        canvas.paint_part(
            filled_outline(box_points(-0.15, y - 0.035, 0.15, y + 0.035, 0.03)), INK, light_flat, edge=0.01
        )
    canvas.paint_part(filled_outline(box_points(-0.16, -0.27, 0.16, -0.18, 0.02)), STEEL, light_flat, edge=0.015)
    knobs = ((0.3, -0.3), (0.34, -0.2), (0.3, -0.1))
    for x, y in knobs:
        canvas.paint_part(
            filled_outline(circle_points(x, y, 0.04)), form.choice((CREAM, INK, BRASS)), light_sphere, edge=0.01
        )
    reflection = straight_line((-0.34, -0.68), (-0.4, -0.3), width=0.06)
    canvas.paint_glow(reflection, (255, 255, 255), 0.4, 0.04)


def _electric_body_points(style: str, width: float) -> Points:
    # A curve is laid through these points one after another, so their order matters: clockwise from the neck.
    dots = {
        "double": (
            (0.1, -0.78),
            (0.26, -0.82),
            (0.4, -1.0),
            (0.44, -0.84),
            (0.36, -0.56),
            (0.46, -0.24),
            (0.3, -0.02),
            (0, 0),
            (-0.34, -0.02),
            (-0.48, -0.26),
            (-0.36, -0.56),
            (-0.48, -0.88),
            (-0.38, -1.06),
            (-0.26, -0.84),
            (-0.1, -0.78),
        ),
        "single": (
            (0.1, -0.72),
            (0.24, -0.74),
            (0.4, -0.92),
            (0.44, -0.78),
            (0.34, -0.52),
            (0.48, -0.24),
            (0.32, -0.02),
            (0, 0),
            (-0.34, -0.02),
            (-0.48, -0.24),
            (-0.34, -0.54),
            (-0.42, -0.82),
            (-0.24, -0.92),
            (-0.1, -0.86),
        ),
        "offset": (
            (0.1, -0.76),
            (0.3, -0.84),
            (0.46, -0.92),
            (0.46, -0.72),
            (0.36, -0.5),
            (0.42, -0.2),
            (0.2, 0),
            (-0.1, 0.0),
            (-0.42, -0.1),
            (-0.5, -0.36),
            (-0.36, -0.62),
            (-0.46, -0.9),
            (-0.36, -1.04),
            (-0.22, -0.86),
            (-0.1, -0.78),
        ),
    }[style]
    return smooth_curve(*((x * width, y) for x, y in dots))


def _draw_neck(
    canvas: Canvas, form: Random, nut: float, end: float, *, head: RGB, strings_to: float, count: int
) -> None:
    top = nut - form.uniform(0.3, 0.36)
    flare = form.uniform(0.09, 0.13)
    canvas.paint_part(
        filled_outline(
            smooth_curve(
                (-0.075, nut),
                (-flare, top + 0.08),
                (-flare * 0.6, top),
                (flare * 0.6, top),
                (flare, top + 0.08),
                (0.075, nut),
            )
        ),
        head,
        light_flat,
        edge=0.03,
    )
    # Each string has a peg, half of them on either side of the head, so `count` has to be even.
    pegs = [
        ellipse_points(side * (flare + 0.045), top + 0.07 + 0.09 * row, 0.035, 0.022)
        for side in (-1, 1)
        for row in range(count // 2)
    ]
    canvas.paint_part(filled_outline(*pegs), form.choice((STEEL, BRASS, CREAM)), light_flat, edge=0)
    canvas.paint_part(
        filled_outline(polygon_points((-0.065, nut), (0.065, nut), (0.085, end), (-0.085, end))),
        EBONY,
        light_vertical_cylinder,
        edge=0.015,
    )
    # Each fret shortens the string by the same share, so they lie closer together towards the body.
    frets = [
        straight_line((-0.07, y), (0.07, y), width=0.012)
        for y in (nut + (end - nut) * (1 - 0.5 ** (step / 9)) * 1.45 for step in range(1, 12))
        if y < end - 0.02
    ]
    canvas.paint_part(join_outlines(*frets), STEEL, light_flat, edge=0)
    position_marks = [circle_points(0, nut + (end - nut) * share, 0.018) for share in (0.2, 0.36, 0.5, 0.62, 0.8)]
    canvas.paint_part(filled_outline(*position_marks), CREAM, light_flat, edge=0)
    # Strings lie closer together at the nut (0.8), because it is narrower than the bridge.
    strings = [
        straight_line((x * 0.8, nut), (x, strings_to), width=0.008)
        for x in (0.065 * (2 * index / (count - 1) - 1) for index in range(count))
    ]
    canvas.paint_part(join_outlines(*strings), (214, 208, 190), light_flat, edge=0)
