"""Lamps: a foot, a stem and a shade that carries the pattern."""

from __future__ import annotations

from random import Random

from .canvas import Canvas, light_flat, light_from_inside, light_sphere, light_vertical_cylinder
from .colours import BRASS, CREAM, INK, RGB, STEEL, WOODS, Look, darken_colour, lighten_colour
from .shapes import (
    box_points,
    curved_line,
    ellipse_points,
    filled_outline,
    lathe_silhouette,
    smooth_curve,
    straight_line,
)


def draw_lamp(canvas: Canvas, look: Look, form: Random) -> None:
    """A table or floor lamp: foot, stem and a shade that carries the pattern."""
    style = form.choice(("ceramic", "stem", "tripod", "stem", "ceramic"))
    metal = form.choice((BRASS, STEEL, INK))
    shade_height, bottom = form.uniform(0.55, 0.8), form.uniform(0.55, 0.78)
    neck = -form.uniform(0.9, 1.15)
    if style == "ceramic":
        _draw_ceramic_foot(canvas, look, form, neck)
    elif style == "stem":
        _draw_stem_foot(canvas, metal, form, neck)
    else:
        _draw_tripod_foot(canvas, form.choice(WOODS), form, neck)
    # Painted after the foot and before the shade: the socket covers the end of any foot, and any shade covers the
    # socket's end.
    canvas.paint_part(
        straight_line((0, neck + 0.06), (0, neck - 0.12), width=0.09), metal, light_vertical_cylinder, edge=0
    )
    _draw_lamp_shade(canvas, look, form, neck, shade_height, bottom)


def _draw_lamp_shade(canvas: Canvas, look: Look, form: Random, neck: float, height: float, bottom: float) -> None:
    style = form.choice(("cone", "drum", "dome", "cone"))
    low, high = neck + 0.08, neck - height
    # The glow comes before the shade, because it is the light of the bulb on the wall behind the lamp.
    canvas.paint_glow(
        filled_outline(ellipse_points(0, neck - height / 2, bottom * 1.3, height * 0.9)), (255, 226, 160), 0.4, 0.2
    )
    if style == "dome":
        outline = filled_outline(
            smooth_curve(
                (-bottom, low),
                (-bottom * 0.86, low - height * 0.55),
                (-bottom * 0.4, high),
                (bottom * 0.4, high),
                (bottom * 0.86, low - height * 0.55),
                (bottom, low),
                (0, low + bottom * 0.1),
            )
        )
    else:
        top = bottom * (form.uniform(0.4, 0.65) if style == "cone" else form.uniform(0.88, 1.0))
        outline = filled_outline(
            lathe_silhouette((top, high), ((top + bottom) / 2, (high + low) / 2), (bottom, low), dip=0.12)
        )
        # The shade covers the front half of this ellipse. The rest looks like its inside, seen through the open top.
        opening = filled_outline(ellipse_points(0, high, top, top * 0.1))
        canvas.paint_part(opening, lighten_colour(look.colour, 0.55), light_flat, edge=0)
    canvas.paint_part(outline, look.main_paint, light_from_inside, edge=0.04)
    if style != "dome" and form.random() < 0.5:
        _draw_ribbon(canvas, look.accent_colour, bottom, low)


def _draw_ribbon(canvas: Canvas, colour: RGB, bottom: float, low: float) -> None:
    # The middle hangs lower than the ends, because the ribbon follows the round front edge of the shade.
    ribbon = curved_line((-bottom, low - 0.01), (0, low + bottom * 0.115), (bottom, low - 0.01), width=0.045)
    canvas.paint_part(ribbon, colour, light_flat, edge=0)


def _draw_ceramic_foot(canvas: Canvas, look: Look, form: Random, neck: float) -> None:
    belly, foot, waist = form.uniform(0.32, 0.52), form.uniform(0.22, 0.32), form.uniform(0.3, 0.65)
    glaze = form.choice((look.accent_colour, darken_colour(look.colour, 0.35), CREAM, (92, 118, 132)))
    outline = filled_outline(
        lathe_silhouette(
            (0.08, neck), (0.13, neck * 0.88), (belly, neck * waist), (belly * 0.85, neck * 0.18), (foot, 0), dip=0.14
        )
    )
    canvas.paint_part(outline, glaze, light_sphere, edge=0.07)


def _draw_stem_foot(canvas: Canvas, metal: RGB, form: Random, neck: float) -> None:
    foot = form.uniform(0.36, 0.5)
    canvas.paint_part(
        straight_line((0, -0.02), (0, neck), width=form.uniform(0.05, 0.09)), metal, light_vertical_cylinder, edge=0
    )
    canvas.paint_part(
        filled_outline(lathe_silhouette((foot * 0.3, -0.12), (foot * 0.7, -0.09), (foot, 0), dip=0.2)),
        metal,
        light_vertical_cylinder,
        edge=0.02,
    )
    if form.random() < 0.5:
        knob = filled_outline(ellipse_points(0, neck * 0.5, 0.1, 0.12))
        canvas.paint_part(knob, metal, light_sphere, edge=0.02)


def _draw_tripod_foot(canvas: Canvas, wood: RGB, form: Random, neck: float) -> None:
    spread = form.uniform(0.42, 0.6)
    # The third leg is painted first, darker and ends higher, because it stands behind the other two.
    third_leg = straight_line((0.02, neck), (spread * 0.15, -0.1), width=0.07, end=0.06)
    canvas.paint_part(third_leg, darken_colour(wood, 0.25), light_vertical_cylinder, edge=0)
    for side in (-1, 1):
        canvas.paint_part(
            straight_line((0, neck), (side * spread, 0), width=0.085, end=0.06),
            wood,
            light_vertical_cylinder,
            edge=0.015,
        )
    # Painted last, because the block covers the place where the three legs meet.
    block = filled_outline(box_points(-0.13, neck - 0.02, 0.13, neck + 0.1, 0.04))
    canvas.paint_part(block, wood, light_vertical_cylinder, edge=0.02)
