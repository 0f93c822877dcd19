"""Mugs and teapots: silhouettes as if made on a lathe, with handles, glazes and rims."""

from __future__ import annotations

from random import Random

from .canvas import Array, Canvas, light_flat, light_sphere, light_vertical_cylinder
from .colours import COFFEE, CREAM, Look, darken_colour, lighten_colour, mix_colours
from .shapes import (
    Dot,
    Outline,
    arc_line,
    box_points,
    curved_line,
    ellipse_points,
    filled_outline,
    lathe_silhouette,
    smooth_curve,
)

CLAY = (198, 152, 112)
TEA = (150, 88, 40)


def draw_mug(canvas: Canvas, look: Look, form: Random) -> None:
    height, rim = form.uniform(1.25, 1.75), form.uniform(0.58, 0.74)
    profile = _mug_profile(form, rim, height)
    dip = form.uniform(0.13, 0.2)
    body = filled_outline(lathe_silhouette(*profile, dip=dip))
    # The handle is painted before the body, which then covers the places where the handle joins it.
    handle_colour = form.choice((look.colour, look.colour, darken_colour(look.colour, 0.15)))
    canvas.paint_part(_mug_handle(form, profile, height), handle_colour, light_sphere, edge=0.04)
    canvas.paint_part(body, look.main_paint, light_vertical_cylinder, edge=0.07)
    if form.random() < 0.4:
        # The box is wider than any mug, so it is cut to the body, which then looks dipped in another glaze.
        dipped = filled_outline(box_points(-1.2, -height * form.uniform(0.2, 0.4), 1.2, 0.4))
        canvas.paint_part(
            dipped, form.choice((CLAY, CREAM, look.accent_colour)), light_vertical_cylinder, within=body, edge=0.02
        )
    # The dark ellipse is smaller than the light one, so that a ring is left: it looks like the thickness of the rim.
    mouth = filled_outline(ellipse_points(0, -height, rim, rim * dip))
    inner = filled_outline(ellipse_points(0, -height + 0.012, rim * 0.92, rim * dip * 0.86))
    canvas.paint_part(mouth, lighten_colour(look.colour, 0.35), light_flat, edge=0)
    canvas.paint_part(inner, darken_colour(form.choice((CREAM, look.colour)), 0.2), _light_mug_inside, edge=0.03)
    if form.random() < 0.55:
        # The drink stands below the rim: uncut, its near edge would show on the outside of the mug.
        drink = filled_outline(ellipse_points(0, -height + 0.1, rim * 0.88, rim * dip * 0.8))
        canvas.paint_part(drink, form.choice((COFFEE, TEA, (196, 160, 120))), light_flat, edge=0.02, within=inner)
    canvas.paint_glow(
        curved_line((-rim * 0.62, -height * 0.8), (-rim * 0.66, -height * 0.45), width=0.05), (255, 255, 255), 0.5, 0.03
    )


def _light_mug_inside(u: Array, v: Array) -> Array:
    return 0.78 + 0.3 * v + 0.16 * u


def _mug_profile(form: Random, rim: float, height: float) -> list[Dot]:
    base = rim * form.uniform(0.72, 1.0)
    # Zero stands here twice, so that straight sides are the most frequent; a negative belly makes a waist.
    belly = form.choice((0.0, 0.0, 0.1, 0.2, -0.09))
    middle = (rim + base) / 2 + belly
    low = base + belly * 0.7
    return [(rim, -height), (middle, -height * 0.55), (low, -height * 0.2), (base, 0)]


def _mug_handle(form: Random, profile: list[Dot], height: float) -> Outline:
    x, top, bottom = profile[1][0] - 0.06, -height * form.uniform(0.8, 0.88), -height * form.uniform(0.22, 0.36)
    reach, width = form.uniform(0.36, 0.52), form.uniform(0.11, 0.17)
    middle = (top + bottom) / 2
    if form.random() < 0.5:
        return curved_line(
            (x, top),
            (x + reach * 0.8, top + 0.04),
            (x + reach, middle),
            (x + reach * 0.7, bottom),
            (x, bottom),
            width=width,
        )
    return curved_line(
        (x, top),
        (x + reach, top - 0.02),
        (x + reach * 0.95, middle),
        (x + reach * 0.4, bottom),
        (x - 0.04, bottom + 0.1),
        width=width,
    )


def draw_teapot(canvas: Canvas, look: Look, form: Random) -> None:
    height, belly = form.uniform(0.95, 1.3), form.uniform(0.72, 0.95)
    neck, foot = belly * form.uniform(0.42, 0.56), belly * form.uniform(0.5, 0.75)
    waist = form.uniform(0.35, 0.62)
    profile = [
        (neck, -height),
        (belly * 0.86, -height * (waist + 0.22)),
        (belly, -height * waist),
        (belly * 0.84, -height * 0.14),
        (foot, 0),
    ]
    trim = form.choice((look.colour, look.accent_colour, darken_colour(look.colour, 0.3)))
    # Spout and handle are painted before the body, which then covers the places where they join it.
    _draw_spout(canvas, look, form, belly, height)
    _draw_teapot_handle(canvas, trim, form, belly, height)
    canvas.paint_part(filled_outline(lathe_silhouette(*profile, dip=0.1)), look.main_paint, light_sphere, edge=0.1)
    if form.random() < 0.6:
        foot_ring = arc_line(0, -0.02, foot, foot * 0.1, 8, 172, 0.06)
        canvas.paint_part(foot_ring, trim, light_vertical_cylinder, edge=0)
    _draw_lid(canvas, look, form, neck, height, trim)
    canvas.paint_glow(
        curved_line((-belly * 0.5, -height * 0.8), (-belly * 0.68, -height * 0.55), width=0.07),
        (255, 255, 255),
        0.55,
        0.04,
    )


def _draw_spout(canvas: Canvas, look: Look, form: Random, belly: float, height: float) -> None:
    start_y, tip_y = -height * form.uniform(0.28, 0.42), -height * form.uniform(0.9, 1.08)
    reach = form.uniform(0.42, 0.6)
    x = -belly * 0.82
    bend = form.uniform(0.5, 0.8)
    dots = (
        (x + 0.1, start_y),
        (x - reach * bend * 0.6, start_y - 0.1),
        (x - reach * bend, (start_y + tip_y) / 2),
        (x - reach, tip_y),
    )
    canvas.paint_part(curved_line(*dots, width=0.4, end=0.14), look.plain_paint, light_vertical_cylinder, edge=0.05)
    opening = filled_outline(ellipse_points(x - reach, tip_y - 0.01, 0.07, 0.035))
    canvas.paint_part(opening, darken_colour(look.colour, 0.6), light_flat, edge=0)


def _draw_teapot_handle(canvas: Canvas, trim: tuple[int, int, int], form: Random, belly: float, height: float) -> None:
    width = form.uniform(0.1, 0.15)
    if form.random() < 0.35:
        rise = height * form.uniform(1.55, 1.8)
        over_the_lid = curved_line(
            (-belly * 0.62, -height * 0.78),
            (-belly * 0.5, -rise * 0.88),
            (0, -rise),
            (belly * 0.5, -rise * 0.88),
            (belly * 0.62, -height * 0.78),
            width=width * 0.8,
        )
        bamboo = mix_colours(trim, (150, 100, 60), 0.6)
        canvas.paint_part(over_the_lid, bamboo, light_sphere, edge=0.03)
        return
    x, reach = belly * 0.78, form.uniform(0.45, 0.62)
    top, bottom = -height * form.uniform(0.78, 0.9), -height * form.uniform(0.2, 0.34)
    canvas.paint_part(
        curved_line(
            (x - 0.1, top),
            (x + reach * 0.75, top - 0.06),
            (x + reach, (top + bottom) / 2 - 0.05),
            (x + reach * 0.5, bottom),
            (x, bottom + 0.02),
            width=width,
        ),
        trim,
        light_sphere,
        edge=0.03,
    )


def _draw_lid(canvas: Canvas, look: Look, form: Random, neck: float, height: float, trim: tuple[int, int, int]) -> None:
    rise = form.uniform(0.12, 0.3)
    dome = smooth_curve(
        (-neck, -height),
        (-neck * 0.8, -height - rise * 0.6),
        (0, -height - rise),
        (neck * 0.8, -height - rise * 0.6),
        (neck, -height),
        (0, -height + neck * 0.16),
    )
    canvas.paint_part(filled_outline(dome), look.main_paint, light_sphere, edge=0.05)
    # Lid and pot have the same paint: without a dark gap between them they would look like one piece.
    gap = arc_line(0, -height, neck, neck * 0.12, 5, 175, 0.035)
    canvas.paint_part(gap, darken_colour(look.colour, 0.35), light_flat, edge=0)
    top = -height - rise
    if form.random() < 0.6:
        canvas.paint_part(filled_outline(ellipse_points(0, top - 0.07, 0.1, 0.09)), trim, light_sphere, edge=0.03)
    else:
        canvas.paint_part(
            filled_outline(box_points(-0.06, top - 0.16, 0.06, top + 0.02, 0.04)),
            trim,
            light_vertical_cylinder,
            edge=0.02,
        )
        canvas.paint_part(filled_outline(ellipse_points(0, top - 0.16, 0.13, 0.05)), trim, light_sphere, edge=0.02)
