"""Backpacks: a bag with straps, closed by a flap or a zip."""

from __future__ import annotations

from random import Random

from .canvas import Canvas, light_flat, light_sphere, light_vertical_cylinder
from .colours import BRASS, INK, LEATHER, RGB, STEEL, Look, Paint, darken_colour
from .shapes import (
    Points,
    arc_line,
    box_points,
    curved_line,
    filled_outline,
    smooth_curve,
    straight_line,
)


def draw_backpack(canvas: Canvas, look: Look, form: Random) -> None:
    half, height = form.uniform(0.62, 0.76), form.uniform(1.6, 1.95)
    trim = form.choice((LEATHER, LEATHER, INK, look.accent_colour))
    body = _bag_points(half, height, form.uniform(0.3, 0.6))
    # Straps and the loop on top are painted first, so that the bag covers where they are sewn on.
    _draw_straps(canvas, half, height, darken_colour(look.colour, 0.35))
    canvas.paint_part(arc_line(0, -height + 0.02, 0.16, 0.2, 180, 360, 0.07), trim, light_sphere, edge=0.015)
    if form.random() < 0.5:
        for side in (-1, 1):
            # Painted before the bag, which covers the inner part of a pocket and leaves about a fifth of `half` to see.
            pocket = box_points(
                min(side * half * 0.9, side * half * 1.2), -0.72, max(side * half * 0.9, side * half * 1.2), -0.1, 0.1
            )
            canvas.paint_part(filled_outline(pocket), look.plain_paint, light_vertical_cylinder, edge=0.05)
    canvas.paint_part(filled_outline(body), look.main_paint, light_flat, edge=0.13)
    # The bottom is a plain box, so it is cut to the outline of the bag.
    bottom = filled_outline(box_points(-half, -0.24, half, 0.2))
    canvas.paint_part(bottom, darken_colour(trim, 0.1), light_flat, edge=0.02, within=filled_outline(body))
    if form.random() < 0.5:
        _draw_flap(canvas, look, form, half, height, trim)
    else:
        _draw_zip(canvas, half, height, trim)
    _draw_front_pocket(canvas, look, form, half, height, trim)
    label = filled_outline(box_points(-0.12, -height * 0.55 - 0.07, 0.12, -height * 0.55 + 0.07, 0.02))
    canvas.paint_part(label, trim, light_flat, edge=0.015)


def _bag_points(half: float, height: float, shoulder: float) -> Points:
    return smooth_curve(
        (-half * 0.98, -0.1),
        (-half * 1.02, -height * 0.45),
        (-half * 0.96, -height + shoulder),
        (-half * 0.62, -height + shoulder * 0.2),
        (0, -height),
        (half * 0.62, -height + shoulder * 0.2),
        (half * 0.96, -height + shoulder),
        (half * 1.02, -height * 0.45),
        (half * 0.98, -0.1),
        (half * 0.8, 0),
        (0, 0.02),
        (-half * 0.8, 0),
    )


def _draw_straps(canvas: Canvas, half: float, height: float, colour: RGB) -> None:
    for side in (-1, 1):
        canvas.paint_part(
            curved_line(
                (side * half * 0.5, -height * 0.95),
                (side * half * 1.14, -height * 0.72),
                (side * half * 1.2, -height * 0.4),
                (side * half * 0.9, -0.16),
                width=0.13,
                end=0.08,
            ),
            colour,
            light_vertical_cylinder,
            edge=0.03,
        )


def _draw_flap(canvas: Canvas, look: Look, form: Random, half: float, height: float, trim: RGB) -> None:
    low = -height * form.uniform(0.55, 0.64)
    flap = smooth_curve(
        (-half * 0.98, -height * 0.8),
        (-half * 0.6, -height * 0.97),
        (0, -height * 1.01),
        (half * 0.6, -height * 0.97),
        (half * 0.98, -height * 0.8),
        (half * 0.96, low),
        (0, low + 0.08),
        (-half * 0.96, low),
    )
    canvas.paint_part(filled_outline(flap), look.plain_paint, light_flat, edge=0.07)
    for x in (-half * 0.45, half * 0.45):
        belt = straight_line((x, low - 0.2), (x, -height * 0.32), width=0.1)
        canvas.paint_part(belt, trim, light_flat, edge=0.02)
        # Without the hole nobody would see that the belt runs through the buckle.
        buckle = filled_outline(
            box_points(x - 0.075, low + 0.06, x + 0.075, low + 0.18, 0.02),
            holes=[box_points(x - 0.045, low + 0.09, x + 0.045, low + 0.15)],
        )
        canvas.paint_part(buckle, BRASS, light_flat, edge=0)


def _draw_zip(canvas: Canvas, half: float, height: float, trim: RGB) -> None:
    path = (
        (-half * 0.8, -height * 0.52),
        (-half * 0.78, -height * 0.78),
        (-half * 0.4, -height * 0.9),
        (half * 0.4, -height * 0.9),
        (half * 0.78, -height * 0.78),
        (half * 0.8, -height * 0.52),
    )
    # The same path twice, a dark band under a thin bright line, because that looks like the teeth of a zip.
    canvas.paint_part(curved_line(*path, width=0.055), darken_colour(trim, 0.35), light_flat, edge=0)
    canvas.paint_part(curved_line(*path, width=0.02), STEEL, light_flat, edge=0)
    x, y = path[-1]
    slider = straight_line((x, y), (x + 0.01, y + 0.14), width=0.05)
    canvas.paint_part(slider, BRASS, light_flat, edge=0.01)


def _draw_front_pocket(canvas: Canvas, look: Look, form: Random, half: float, height: float, trim: RGB) -> None:
    top, width = -height * form.uniform(0.4, 0.46), half * form.uniform(0.68, 0.8)
    paint = form.choice((look.main_paint, look.plain_paint, Paint(darken_colour(look.colour, 0.18)), look.accent_paint))
    canvas.paint_part(filled_outline(box_points(-width, top, width, -0.09, 0.16)), paint, light_flat, edge=0.07)
    canvas.paint_part(
        straight_line((-width * 0.82, top + 0.12), (width * 0.82, top + 0.12), width=0.045),
        darken_colour(trim, 0.3),
        light_flat,
        edge=0,
    )
    canvas.paint_part(
        straight_line((-width * 0.82, top + 0.12), (width * 0.82, top + 0.12), width=0.016), STEEL, light_flat, edge=0
    )
    slider = straight_line((width * 0.66, top + 0.12), (width * 0.66, top + 0.25), width=0.045)
    canvas.paint_part(slider, trim, light_flat, edge=0.01)
