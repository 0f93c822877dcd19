"""Sneakers, in pairs."""

from __future__ import annotations

from random import Random

from .canvas import Canvas, light_flat, light_horizontal_cylinder, light_sphere, light_vertical_cylinder
from .colours import CREAM, INK, RGB, Look, Paint, darken_colour, lighten_colour
from .shapes import (
    Outline,
    Points,
    box_points,
    circle_points,
    curved_line,
    filled_outline,
    join_outlines,
    polygon_points,
    smooth_curve,
    straight_line,
)


def draw_sneakers(canvas: Canvas, look: Look, form: Random) -> None:
    """A pair: one shoe behind, the other before it."""
    state = form.getstate()
    for x, y, scale in ((0.16, -0.2, 0.92), (-0.06, 0.0, 1.0)):
        # Both shoes start from the same state of the dice, or they would differ and be no pair.
        form.setstate(state)
        _draw_shoe(canvas.move_and_scale(x, y, scale), look, form)


def _draw_shoe(canvas: Canvas, look: Look, form: Random) -> None:
    """Toe to the left."""
    sole, high = form.uniform(0.16, 0.27), form.random() < 0.4
    collar = -(form.uniform(1.2, 1.4) if high else form.uniform(0.82, 0.95))
    toe = form.uniform(0.36, 0.48)
    rubber: RGB = form.choice((CREAM, (248, 248, 246), (248, 248, 246), (214, 178, 132)))
    upper = filled_outline(_upper_points(sole, collar, toe))
    lining = smooth_curve(
        (0.16, collar + 0.1), (0.5, collar + 0.03), (0.96, collar - 0.02), (0.94, collar + 0.3), (0.4, collar + 0.36)
    )
    # Tongue and lining are painted before the upper, which covers all of them but the rims.
    tongue = smooth_curve((0.1, collar + 0.22), (0.14, collar - 0.1), (0.4, collar - 0.14), (0.5, collar + 0.16))
    canvas.paint_part(filled_outline(tongue), lighten_colour(look.colour, 0.25), light_flat, edge=0.04)
    canvas.paint_part(filled_outline(lining), darken_colour(look.colour, 0.5), light_flat, edge=0.04)
    canvas.paint_part(upper, look.main_paint, light_horizontal_cylinder, edge=0.1)
    if form.random() < 0.6:
        # The toe cap is drawn larger than the shoe and cut to the upper, so that their edges are the same.
        cap = smooth_curve(
            (-1.4, -sole),
            (-1.3, -sole - toe * 0.75),
            (-0.98, -sole - toe * 1.02),
            (-0.72, -sole - toe * 0.6),
            (-0.66, -sole + 0.1),
            (-1.0, 0),
        )
        canvas.paint_part(
            filled_outline(cap),
            rubber if form.random() < 0.6 else darken_colour(look.colour, 0.2),
            light_sphere,
            within=upper,
            edge=0.05,
        )
    # The patch at the heel is a box that would stick out behind the shoe, so it is cut to the upper as well.
    heel = box_points(0.86, collar + 0.1, 1.3, -sole + 0.05, 0.05)
    canvas.paint_part(
        filled_outline(heel),
        form.choice((look.accent_paint, look.plain_paint, Paint(darken_colour(look.colour, 0.25)))),
        light_vertical_cylinder,
        within=upper,
        edge=0.05,
    )
    _draw_emblem(canvas, look, form, sole, collar, high)
    _draw_laces(canvas, form, collar, toe, sole)
    # The sole comes last, because it hides the lower edges of everything else.
    _draw_sole(canvas, form, sole, rubber, look)


def _upper_points(sole: float, collar: float, toe: float) -> Points:
    return smooth_curve(
        (-1.24, -sole * 0.6),
        (-1.26, -sole - toe * 0.5),
        (-1.0, -sole - toe),
        (-0.55, -sole - toe * 1.16),
        (-0.1, collar + 0.3),
        (0.18, collar + 0.05),
        (0.34, collar + 0.13),
        (0.62, collar + 0.22),
        (0.88, collar + 0.08),
        (1.02, collar - 0.02),
        (1.1, collar + 0.12),
        (1.05, -sole - 0.3),
        (1.12, -sole * 0.6),
        (0.4, -sole * 0.4),
        (-0.6, -sole * 0.4),
    )


def _draw_emblem(canvas: Canvas, look: Look, form: Random, sole: float, collar: float, high: bool) -> None:
    style = form.choice(("stripes", "star", "wave", "none"))
    paint = look.accent_paint
    middle = -sole - 0.32
    if style == "stripes":
        bars = [straight_line((x, middle + 0.22), (x + 0.2, middle - 0.2), width=0.07) for x in (0.08, 0.26, 0.44)]
        canvas.paint_part(join_outlines(*bars), paint, light_flat, edge=0)
    elif style == "wave":
        canvas.paint_part(
            curved_line(
                (-0.35, middle + 0.1), (0.05, middle + 0.16), (0.4, middle), (0.85, middle - 0.2), width=0.16, end=0.03
            ),
            paint,
            light_flat,
            edge=0,
        )
    elif style == "star" and high:
        # The star sits at the ankle, where a low shoe has no cloth to carry it.
        canvas.paint_part(filled_outline(circle_points(0.62, collar + 0.42, 0.17)), CREAM, light_flat, edge=0.01)
        canvas.paint_part(filled_outline(_star_points(0.62, collar + 0.42, 0.13)), look.plain_paint, light_flat, edge=0)


def _star_points(x: float, y: float, radius: float) -> Points:
    # A circle ends on the point that it began with, so that point is dropped before ten corners are picked.
    outer = circle_points(x, y, radius)[:-1]
    step = len(outer) / 10
    dots = [tuple(outer[int(index * step)]) for index in range(10)]
    tip, notch = 1, 0.42
    reaches = [tip if i % 2 else notch for i in range(10)]
    return polygon_points(
        *((x + (px - x) * reach, y + (py - y) * reach) for reach, (px, py) in zip(reaches, dots, strict=True))
    )


def _draw_laces(canvas: Canvas, form: Random, collar: float, toe: float, sole: float) -> None:
    colour = form.choice((CREAM, (250, 250, 250), INK))
    start, end = (-0.42, -sole - toe * 1.2), (0.2, collar + 0.1)
    rows = form.randint(4, 6)
    laces: list[Outline] = []
    for row in range(rows):
        share = (row + 0.3) / rows
        x, y = start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
        laces.append(curved_line((x - 0.04, y + 0.01), (x + 0.1, y + 0.02), (x + 0.2, y + 0.12), width=0.055))
    canvas.paint_part(join_outlines(*laces), colour, light_flat, edge=0.012)


def _draw_sole(canvas: Canvas, form: Random, sole: float, rubber: RGB, look: Look) -> None:
    outline = smooth_curve(
        (-1.28, -sole * 0.95),
        (-0.6, -sole * 0.8),
        (0.4, -sole * 0.82),
        (1.12, -sole * 1.02),
        (1.18, -sole * 0.4),
        (1.1, 0),
        (0.3, 0.0),
        (-0.9, 0),
        (-1.26, -sole * 0.3),
    )
    canvas.paint_part(filled_outline(outline), rubber, light_horizontal_cylinder, edge=0.03)
    if form.random() < 0.6:
        canvas.paint_part(
            curved_line(
                (-1.2, -sole * 0.52), (-0.5, -sole * 0.45), (0.4, -sole * 0.45), (1.12, -sole * 0.58), width=0.03
            ),
            look.plain_paint,
            light_flat,
            edge=0,
        )
    # The tread is a plain box, so it is cut to the rounded ends of the sole.
    tread = filled_outline(box_points(-1.16, -0.05, 1.1, 0.0, 0.02))
    canvas.paint_part(tread, darken_colour(rubber, 0.35), light_flat, edge=0, within=filled_outline(outline))
