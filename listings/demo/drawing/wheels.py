"""Bicycles, seen from the side."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from .canvas import Canvas, light_flat, light_horizontal_cylinder, light_sphere
from .colours import CREAM, INK, LEATHER, RGB, RUBBER, STEEL, Look, darken_colour
from .shapes import (
    Dot,
    Outline,
    box_points,
    circle_points,
    curved_line,
    filled_outline,
    join_outlines,
    point_on_circle,
    polygon_points,
    ring_outline,
    smooth_curve,
    straight_line,
)


@dataclass(frozen=True, slots=True)
class Geometry:
    radius: float
    rear: Dot
    front: Dot
    crank: Dot
    seat: Dot
    head_top: Dot
    head_low: Dot
    saddle: Dot
    bar: Dot


def draw_bicycle(canvas: Canvas, look: Look, form: Random) -> None:
    # All parts are placed by the same few points, so that they meet whatever sizes the dice choose.
    form_of = _choose_geometry(form)
    style = form.choice(("diamond", "step-through", "diamond", "mixte"))
    tyre = form.choice((RUBBER, RUBBER, (120, 84, 60), CREAM))
    mudguards = form.random() < 0.5
    for hub in (form_of.rear, form_of.front):
        _draw_wheel(canvas, hub, form_of.radius, tyre, form.choice((18, 22)), form.uniform(0.055, 0.09))
    if mudguards:
        _draw_mudguards(canvas, form_of, darken_colour(look.colour, 0.15))
    if form.random() < 0.4:
        _draw_rack(canvas, form_of)
    _draw_frame(canvas, look, form_of, style)
    _draw_drivetrain(canvas, form_of)
    _draw_saddle(canvas, form_of, form.choice((INK, LEATHER, LEATHER)))
    _draw_handlebar(canvas, form_of, form.choice(("drop", "flat", "swept", "swept")), form.choice((INK, LEATHER)))
    if form.random() < 0.45:
        _draw_basket(canvas, look, form_of)


def _choose_geometry(form: Random) -> Geometry:
    radius = form.uniform(0.58, 0.68)
    base = form.uniform(0.92, 1.02)
    rear, front = (-base, -radius - 0.05), (base, -radius - 0.05)
    crank = (-0.12, -radius + 0.05)
    lean = form.uniform(0.2, 0.3)
    seat = (crank[0] - lean, crank[1] - form.uniform(0.72, 0.86))
    head_low = (front[0] - form.uniform(0.26, 0.32), front[1] - radius - 0.1)
    head_top = (head_low[0] - 0.08, head_low[1] - form.uniform(0.16, 0.26))
    saddle = (seat[0] - 0.06, seat[1] - form.uniform(0.12, 0.26))
    bar = (head_top[0] - 0.05, head_top[1] - form.uniform(0.1, 0.2))
    return Geometry(radius, rear, front, crank, seat, head_top, head_low, saddle, bar)


def _draw_wheel(canvas: Canvas, hub: Dot, radius: float, tyre: RGB, spokes: int, width: float) -> None:
    # A laced spoke does not point at the centre of the hub, so its outer end is 14 degrees further on.
    lines = [
        straight_line(point_on_circle(*hub, 0.05, angle), point_on_circle(*hub, radius - 0.05, angle + 14), width=0.011)
        for angle in (360 * index / spokes for index in range(spokes))
    ]
    canvas.paint_part(join_outlines(*lines), (150, 154, 160), light_flat, edge=0)
    canvas.paint_part(ring_outline(*hub, radius - 0.055, 0.04), STEEL, light_flat, edge=0)
    canvas.paint_part(ring_outline(*hub, radius, width), tyre, light_flat, edge=0.02)
    canvas.paint_part(filled_outline(circle_points(*hub, 0.055)), STEEL, light_sphere, edge=0.01)


def _draw_mudguards(canvas: Canvas, at: Geometry, colour: RGB) -> None:
    for hub, start, end in ((at.rear, 170, 320), (at.front, 200, 330)):
        dots = [point_on_circle(*hub, at.radius + 0.075, start + (end - start) * step / 8) for step in range(9)]
        canvas.paint_part(curved_line(*dots, width=0.045), colour, light_flat, edge=0)


def _draw_frame(canvas: Canvas, look: Look, at: Geometry, style: str) -> None:
    # Painted before the main tubes, which are thicker and cover the ends of the stays and of the fork.
    stays_and_fork = join_outlines(
        straight_line(at.rear, at.crank, width=0.055),
        straight_line(at.rear, at.seat, width=0.045),
        curved_line(
            at.head_low, (at.head_low[0] + 0.1, (at.head_low[1] + at.front[1]) / 2), at.front, width=0.075, end=0.045
        ),
    )
    canvas.paint_part(stays_and_fork, look.main_paint, light_horizontal_cylinder, edge=0.012)
    main = [straight_line(at.crank, at.seat, width=0.085), straight_line(at.head_top, at.head_low, width=0.1)]
    # Only these tubes differ between the styles: saddle and handlebar keep their places, so they fit every style.
    if style == "diamond":
        main += [straight_line(at.head_low, at.crank, width=0.095), straight_line(at.head_top, at.seat, width=0.08)]
    elif style == "mixte":
        low = _point_between(at.crank, at.seat, 0.4)
        main += [straight_line(at.head_low, at.crank, width=0.095), straight_line(at.head_top, low, width=0.07)]
    else:
        main.append(curved_line(at.head_low, (0.2, at.crank[1] - 0.16), at.crank, width=0.1))
        main.append(
            curved_line(at.head_top, (0.22, at.crank[1] - 0.4), _point_between(at.crank, at.seat, 0.35), width=0.08)
        )
    canvas.paint_part(join_outlines(*main), look.main_paint, light_horizontal_cylinder, edge=0.018)


def _point_between(a: Dot, b: Dot, share: float) -> Dot:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def _draw_drivetrain(canvas: Canvas, at: Geometry) -> None:
    x, y = at.crank
    # Painted before the ring at the crank, which covers the front ends of the chain.
    chain = join_outlines(
        straight_line((x, y - 0.15), (at.rear[0], at.rear[1] - 0.06), width=0.016),
        straight_line((x, y + 0.15), (at.rear[0], at.rear[1] + 0.06), width=0.016),
    )
    canvas.paint_part(chain, INK, light_flat, edge=0)
    canvas.paint_part(ring_outline(x, y, 0.14, 0.035), STEEL, light_flat, edge=0)
    arm = point_on_circle(x, y, 0.24, 55)
    opposite_arm = point_on_circle(x, y, 0.24, 235)
    canvas.paint_part(straight_line(opposite_arm, arm, width=0.04), STEEL, light_flat, edge=0)
    for px, py in (arm, opposite_arm):
        canvas.paint_part(
            filled_outline(box_points(px - 0.09, py - 0.025, px + 0.09, py + 0.025, 0.02)), INK, light_flat, edge=0
        )
    # Both arms are one line, so the axle is painted after it and covers the place where they would be joined.
    canvas.paint_part(filled_outline(circle_points(x, y, 0.05)), darken_colour(STEEL, 0.2), light_sphere, edge=0)


def _draw_saddle(canvas: Canvas, at: Geometry, colour: RGB) -> None:
    x, y = at.saddle
    canvas.paint_part(straight_line(at.seat, (x, y), width=0.05), STEEL, light_flat, edge=0)
    top = smooth_curve(
        (x - 0.22, y - 0.1),
        (x - 0.05, y - 0.1),
        (x + 0.24, y - 0.07),
        (x + 0.22, y - 0.02),
        (x, y + 0.01),
        (x - 0.2, y + 0.03),
    )
    canvas.paint_part(filled_outline(top), colour, light_horizontal_cylinder, edge=0.02)


def _draw_handlebar(canvas: Canvas, at: Geometry, style: str, grip: RGB) -> None:
    x, y = at.bar
    canvas.paint_part(straight_line(at.head_top, (x, y), width=0.055), STEEL, light_flat, edge=0)
    if style == "drop":
        # The whole bar has the colour of the grip, because a drop bar is wrapped in tape from end to end.
        hook = curved_line(
            (x, y), (x + 0.2, y), (x + 0.3, y + 0.1), (x + 0.24, y + 0.24), (x + 0.08, y + 0.26), width=0.05
        )
        canvas.paint_part(hook, grip, light_horizontal_cylinder, edge=0)
    elif style == "flat":
        canvas.paint_part(straight_line((x - 0.02, y), (x + 0.16, y - 0.02), width=0.05), STEEL, light_flat, edge=0)
        canvas.paint_part(
            straight_line((x + 0.02, y), (x + 0.2, y - 0.02), width=0.065), grip, light_horizontal_cylinder, edge=0
        )
    else:
        sweep = curved_line(
            (x + 0.1, y - 0.02), (x + 0.04, y - 0.1), (x - 0.12, y - 0.1), (x - 0.3, y - 0.04), width=0.045
        )
        canvas.paint_part(sweep, STEEL, light_flat, edge=0)
        canvas.paint_part(
            straight_line((x - 0.18, y - 0.085), (x - 0.32, y - 0.035), width=0.065),
            grip,
            light_horizontal_cylinder,
            edge=0,
        )


def _draw_rack(canvas: Canvas, at: Geometry) -> None:
    top = at.rear[1] - at.radius - 0.14
    bars = join_outlines(
        straight_line((at.rear[0] - 0.3, top), (at.seat[0] - 0.06, top), width=0.03),
        straight_line((at.rear[0] - 0.2, top), at.rear, width=0.02),
        straight_line((at.rear[0] + 0.12, top), at.rear, width=0.02),
    )
    canvas.paint_part(bars, INK, light_flat, edge=0)


def _draw_basket(canvas: Canvas, look: Look, at: Geometry) -> None:
    x, y = at.head_top[0] + 0.38, at.head_top[1] - 0.02
    tray = polygon_points((x - 0.27, y - 0.18), (x + 0.3, y - 0.18), (x + 0.22, y + 0.2), (x - 0.2, y + 0.2))
    wicker = (190, 146, 96)
    canvas.paint_part(filled_outline(tray), wicker, light_flat, edge=0.03)
    # The lines are almost as long as the basket is wide at its top. It narrows below, so they are cut to it.
    weave: list[Outline] = [
        straight_line((x - 0.25, y + dy), (x + 0.27, y + dy), width=0.012) for dy in (-0.1, -0.03, 0.04, 0.11)
    ]
    weave += [
        straight_line((x + dx, y - 0.16), (x + dx * 0.8, y + 0.19), width=0.012) for dx in (-0.2, -0.1, 0, 0.1, 0.2)
    ]
    canvas.paint_part(
        join_outlines(*weave), darken_colour(wicker, 0.35), light_flat, edge=0, within=filled_outline(tray)
    )
    canvas.paint_part(
        straight_line((x - 0.28, y - 0.18), (x + 0.31, y - 0.18), width=0.05),
        darken_colour(wicker, 0.15),
        light_horizontal_cylinder,
        edge=0,
    )
