"""Chairs: painted wood, a shell on legs, and upholstery."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from .canvas import Canvas, light_flat, light_horizontal_cylinder, light_sphere, light_vertical_cylinder
from .colours import INK, STEEL, WOODS, Look, darken_colour
from .shapes import (
    box_points,
    ellipse_points,
    filled_outline,
    join_outlines,
    smooth_curve,
    straight_line,
)


def draw_chair(canvas: Canvas, look: Look, form: Random) -> None:
    """Three builds: a painted wooden chair, a shell on legs, an upholstered armchair."""
    builds: tuple[Callable[[Canvas, Look, Random], None], ...] = (
        _draw_wooden_chair,
        _draw_shell_chair,
        _draw_armchair,
        _draw_wooden_chair,
    )
    form.choice(builds)(canvas, look, form)


def _draw_wooden_chair(canvas: Canvas, look: Look, form: Random) -> None:
    seat, back = -form.uniform(0.86, 0.98), -form.uniform(1.75, 2.1)
    half, depth = form.uniform(0.5, 0.6), 0.17
    splay, leg = form.uniform(0.0, 0.1), form.uniform(0.085, 0.115)
    frame = look.plain_paint if form.random() < 0.6 else form.choice(WOODS)
    shade = darken_colour(frame if isinstance(frame, tuple) else look.colour, 0.22)
    # The back legs stand closer together, because they are farther away.
    inner = half * 0.86
    for side in (-1, 1):
        canvas.paint_part(
            straight_line((side * inner, seat), (side * (inner + splay * 0.4), -0.16), width=leg, end=leg * 0.75),
            shade,
            light_vertical_cylinder,
            edge=0.015,
        )
    canvas.paint_part(
        straight_line((-inner, -0.42), (inner, -0.42), width=0.055), shade, light_horizontal_cylinder, edge=0
    )
    # The posts start where the back legs do and are as wide, because a leg and its post are one piece of wood.
    posts = [
        straight_line((side * inner, seat), (side * (inner + 0.03), back), width=leg, end=leg * 0.85)
        for side in (-1, 1)
    ]
    # The back is painted before the posts, which cover the places where it joins them.
    _draw_chair_back(canvas, look, form, inner, seat, back)
    canvas.paint_part(join_outlines(*posts), frame, light_flat, edge=0.015)
    for side in (-1, 1):
        canvas.paint_part(
            straight_line(
                (side * half * 0.94, seat + depth), (side * (half + splay), 0), width=leg * 1.1, end=leg * 0.75
            ),
            frame,
            light_vertical_cylinder,
            edge=0.02,
        )
    canvas.paint_part(
        straight_line((-half, -0.36), (half, -0.36), width=0.06), frame, light_horizontal_cylinder, edge=0
    )
    top = filled_outline(
        smooth_curve(
            (-inner * 1.02, seat - 0.08),
            (inner * 1.02, seat - 0.08),
            (half * 1.1, seat + depth),
            (0, seat + depth + 0.03),
            (-half * 1.1, seat + depth),
        )
    )
    # Painted before the seat, which covers its upper part: what is left below is the edge, in shade.
    front_edge = filled_outline(box_points(-half * 1.08, seat + depth - 0.04, half * 1.08, seat + depth + 0.1, 0.04))
    canvas.paint_part(front_edge, shade, light_flat, edge=0.01)
    # A chair of bare wood always gets a patterned seat, or it might show the pattern nowhere.
    cushion = look.main_paint if form.random() < 0.75 or isinstance(frame, tuple) else frame
    canvas.paint_part(top, cushion, light_flat, edge=0.06)


def _draw_chair_back(canvas: Canvas, look: Look, form: Random, half: float, seat: float, back: float) -> None:
    style = form.choice(("ladder", "spindles", "panel"))
    # A panel shows the pattern; bars are too thin for it and stay plain.
    if style == "panel":
        canvas.paint_part(
            filled_outline(box_points(-half, back + 0.02, half, seat - 0.3, 0.12)),
            look.main_paint,
            light_flat,
            edge=0.06,
        )
        return
    canvas.paint_part(
        filled_outline(box_points(-half - 0.06, back - 0.02, half + 0.06, back + 0.2, 0.1)),
        look.plain_paint,
        light_horizontal_cylinder,
        edge=0.03,
    )
    if style == "ladder":
        count = form.randint(2, 3)
        for index in range(1, count + 1):
            y = back + 0.2 + (seat - back - 0.3) * index / (count + 1)
            canvas.paint_part(
                filled_outline(box_points(-half, y - 0.06, half, y + 0.06, 0.04)),
                look.plain_paint,
                light_horizontal_cylinder,
                edge=0.02,
            )
    else:
        count = form.randint(4, 6)
        spindles = [
            straight_line((x, back + 0.1), (x, seat), width=0.05)
            for x in (half * (2 * i / (count - 1) - 1) * 0.8 for i in range(count))
        ]
        canvas.paint_part(join_outlines(*spindles), look.plain_paint, light_flat, edge=0.01)


def _draw_shell_chair(canvas: Canvas, look: Look, form: Random) -> None:
    seat, back, half = -0.92, -form.uniform(1.6, 1.85), form.uniform(0.56, 0.66)
    wood = form.choice((*WOODS, STEEL, INK))
    # The darker legs come first, because they stand behind the two that are painted over them.
    for x, foot, tone in ((-0.3, -0.38, 0.3), (0.3, 0.38, 0.3), (-0.36, -0.62, 0.0), (0.36, 0.62, 0.0)):
        canvas.paint_part(
            straight_line((x, seat + 0.08), (foot, -0.12 if tone else 0), width=0.09, end=0.055),
            darken_colour(wood, tone),
            light_vertical_cylinder,
            edge=0.015,
        )
    canvas.paint_part(
        straight_line((-0.36, seat + 0.16), (0.36, seat + 0.16), width=0.07),
        darken_colour(wood, 0.2),
        light_horizontal_cylinder,
        edge=0,
    )
    # Less than 1 draws the sides in at the height of a sitter's waist, and 1 leaves them straight.
    pinch = form.uniform(0.82, 1.0)
    shell = filled_outline(
        smooth_curve(
            (-half * 0.82, back + 0.1),
            (0, back - 0.02),
            (half * 0.82, back + 0.1),
            (half * pinch, seat - 0.38),
            (half * 1.04, seat - 0.02),
            (half * 0.7, seat + 0.14),
            (-half * 0.7, seat + 0.14),
            (-half * 1.04, seat - 0.02),
            (-half * pinch, seat - 0.38),
        )
    )
    canvas.paint_part(shell, look.main_paint, light_sphere, edge=0.09)
    pad = filled_outline(
        smooth_curve(
            (-half * 0.86, seat - 0.16),
            (0, seat - 0.22),
            (half * 0.86, seat - 0.16),
            (half * 0.8, seat + 0.08),
            (0, seat + 0.16),
            (-half * 0.8, seat + 0.08),
        )
    )
    canvas.paint_part(pad, look.main_paint, light_flat, edge=0.06)


def _draw_armchair(canvas: Canvas, look: Look, form: Random) -> None:
    half, seat, back = form.uniform(0.72, 0.84), -0.72, -form.uniform(1.45, 1.7)
    wood, roundness = form.choice(WOODS), form.uniform(0.15, 0.35)
    for x in (-half * 0.85, half * 0.85):
        canvas.paint_part(
            straight_line((x, -0.25), (x * 1.04, 0), width=0.1, end=0.06), wood, light_vertical_cylinder, edge=0.015
        )
    canvas.paint_part(
        filled_outline(box_points(-half * 0.92, back, half * 0.92, -0.3, roundness)),
        look.main_paint,
        light_flat,
        edge=0.1,
    )
    if form.random() < 0.5:
        buttons = [ellipse_points(x, y, 0.028, 0.028) for y in (back + 0.28, back + 0.55) for x in (-0.34, 0.0, 0.34)]
        canvas.paint_part(filled_outline(*buttons), darken_colour(look.colour, 0.4), light_sphere, edge=0)
    canvas.paint_part(
        filled_outline(box_points(-half * 0.8, -0.52, half * 0.8, -0.18, 0.06)),
        darken_colour(look.colour, 0.12),
        light_flat,
        edge=0.03,
    )
    canvas.paint_part(
        filled_outline(box_points(-half * 0.72, seat, half * 0.72, -0.46, 0.1)), look.main_paint, light_flat, edge=0.06
    )
    # The arms are painted after the seat, because they stand in front of its sides.
    arm_top = seat - form.uniform(0.18, 0.32)
    for side in (-1, 1):
        left, right = sorted((side * half * 0.66, side * half * 1.1))
        canvas.paint_part(
            filled_outline(box_points(left, arm_top, right, -0.16, 0.15)),
            look.main_paint,
            light_vertical_cylinder,
            edge=0.07,
        )
    if form.random() < 0.45:
        loose_cushion = smooth_curve(
            (-0.28, seat - 0.42), (0.3, seat - 0.46), (0.32, seat + 0.02), (-0.26, seat + 0.04)
        )
        canvas.paint_part(filled_outline(loose_cushion), look.accent_paint, light_sphere, edge=0.07)
