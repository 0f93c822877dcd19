"""Bicycles, seen from the side."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from .canvas import Canvas, ball, flat, roller
from .colours import CREAM, INK, LEATHER, RGB, RUBBER, STEEL, Look, darker
from .shapes import Dot, Outline, around, box, circle, line, polygon, ring, smooth, solid, together, tube


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
    form_of = _geometry(form)
    style = form.choice(("diamond", "step-through", "diamond", "mixte"))
    tyre = form.choice((RUBBER, RUBBER, (120, 84, 60), CREAM))
    mudguards = form.random() < 0.5
    for hub in (form_of.rear, form_of.front):
        _wheel(canvas, hub, form_of.radius, tyre, form.choice((18, 22)), form.uniform(0.055, 0.09))
    if mudguards:
        _mudguards(canvas, form_of, darker(look.colour, 0.15))
    if form.random() < 0.4:
        _rack(canvas, form_of)
    _frame(canvas, look, form_of, style)
    _drivetrain(canvas, form_of)
    _saddle(canvas, form_of, form.choice((INK, LEATHER, LEATHER)))
    _handlebar(canvas, form_of, form.choice(("drop", "flat", "swept", "swept")), form.choice((INK, LEATHER)))
    if form.random() < 0.45:
        _basket(canvas, look, form_of)


def _geometry(form: Random) -> Geometry:
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


def _wheel(canvas: Canvas, hub: Dot, radius: float, tyre: RGB, spokes: int, width: float) -> None:
    lines = [
        line(around(*hub, 0.05, angle), around(*hub, radius - 0.05, angle + 14), width=0.011)
        for angle in (360 * index / spokes for index in range(spokes))
    ]
    canvas.part(together(*lines), (150, 154, 160), flat, edge=0)
    canvas.part(ring(*hub, radius - 0.055, 0.04), STEEL, flat, edge=0)
    canvas.part(ring(*hub, radius, width), tyre, flat, edge=0.02)
    canvas.part(solid(circle(*hub, 0.055)), STEEL, ball, edge=0.01)


def _mudguards(canvas: Canvas, at: Geometry, colour: RGB) -> None:
    for hub, start, end in ((at.rear, 170, 320), (at.front, 200, 330)):
        dots = [around(*hub, at.radius + 0.075, start + (end - start) * step / 8) for step in range(9)]
        canvas.part(tube(*dots, width=0.045), colour, flat, edge=0)


def _frame(canvas: Canvas, look: Look, at: Geometry, style: str) -> None:
    thin = together(
        line(at.rear, at.crank, width=0.055),
        line(at.rear, at.seat, width=0.045),
        tube(at.head_low, (at.head_low[0] + 0.1, (at.head_low[1] + at.front[1]) / 2), at.front, width=0.075, end=0.045),
    )
    canvas.part(thin, look.main, roller, edge=0.012)
    main = [line(at.crank, at.seat, width=0.085), line(at.head_top, at.head_low, width=0.1)]
    if style == "diamond":
        main += [line(at.head_low, at.crank, width=0.095), line(at.head_top, at.seat, width=0.08)]
    elif style == "mixte":
        low = _between(at.crank, at.seat, 0.4)
        main += [line(at.head_low, at.crank, width=0.095), line(at.head_top, low, width=0.07)]
    else:
        main.append(tube(at.head_low, (0.2, at.crank[1] - 0.16), at.crank, width=0.1))
        main.append(tube(at.head_top, (0.22, at.crank[1] - 0.4), _between(at.crank, at.seat, 0.35), width=0.08))
    canvas.part(together(*main), look.main, roller, edge=0.018)


def _between(a: Dot, b: Dot, share: float) -> Dot:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def _drivetrain(canvas: Canvas, at: Geometry) -> None:
    x, y = at.crank
    chain = together(
        line((x, y - 0.15), (at.rear[0], at.rear[1] - 0.06), width=0.016),
        line((x, y + 0.15), (at.rear[0], at.rear[1] + 0.06), width=0.016),
    )
    canvas.part(chain, INK, flat, edge=0)
    canvas.part(ring(x, y, 0.14, 0.035), STEEL, flat, edge=0)
    arm = around(x, y, 0.24, 55)
    other = around(x, y, 0.24, 235)
    canvas.part(line(other, arm, width=0.04), STEEL, flat, edge=0)
    for px, py in (arm, other):
        canvas.part(solid(box(px - 0.09, py - 0.025, px + 0.09, py + 0.025, 0.02)), INK, flat, edge=0)
    canvas.part(solid(circle(x, y, 0.05)), darker(STEEL, 0.2), ball, edge=0)


def _saddle(canvas: Canvas, at: Geometry, colour: RGB) -> None:
    x, y = at.saddle
    canvas.part(line(at.seat, (x, y), width=0.05), STEEL, flat, edge=0)
    top = smooth(
        (x - 0.22, y - 0.1),
        (x - 0.05, y - 0.1),
        (x + 0.24, y - 0.07),
        (x + 0.22, y - 0.02),
        (x, y + 0.01),
        (x - 0.2, y + 0.03),
    )
    canvas.part(solid(top), colour, roller, edge=0.02)


def _handlebar(canvas: Canvas, at: Geometry, style: str, grip: RGB) -> None:
    x, y = at.bar
    canvas.part(line(at.head_top, (x, y), width=0.055), STEEL, flat, edge=0)
    if style == "drop":
        hook = tube((x, y), (x + 0.2, y), (x + 0.3, y + 0.1), (x + 0.24, y + 0.24), (x + 0.08, y + 0.26), width=0.05)
        canvas.part(hook, grip, roller, edge=0)
    elif style == "flat":
        canvas.part(line((x - 0.02, y), (x + 0.16, y - 0.02), width=0.05), STEEL, flat, edge=0)
        canvas.part(line((x + 0.02, y), (x + 0.2, y - 0.02), width=0.065), grip, roller, edge=0)
    else:
        sweep = tube((x + 0.1, y - 0.02), (x + 0.04, y - 0.1), (x - 0.12, y - 0.1), (x - 0.3, y - 0.04), width=0.045)
        canvas.part(sweep, STEEL, flat, edge=0)
        canvas.part(line((x - 0.18, y - 0.085), (x - 0.32, y - 0.035), width=0.065), grip, roller, edge=0)


def _rack(canvas: Canvas, at: Geometry) -> None:
    top = at.rear[1] - at.radius - 0.14
    bars = together(
        line((at.rear[0] - 0.3, top), (at.seat[0] - 0.06, top), width=0.03),
        line((at.rear[0] - 0.2, top), at.rear, width=0.02),
        line((at.rear[0] + 0.12, top), at.rear, width=0.02),
    )
    canvas.part(bars, INK, flat, edge=0)


def _basket(canvas: Canvas, look: Look, at: Geometry) -> None:
    x, y = at.head_top[0] + 0.38, at.head_top[1] - 0.02
    tray = polygon((x - 0.27, y - 0.18), (x + 0.3, y - 0.18), (x + 0.22, y + 0.2), (x - 0.2, y + 0.2))
    wicker = (190, 146, 96)
    canvas.part(solid(tray), wicker, flat, edge=0.03)
    weave: list[Outline] = [
        line((x - 0.25, y + dy), (x + 0.27, y + dy), width=0.012) for dy in (-0.1, -0.03, 0.04, 0.11)
    ]
    weave += [line((x + dx, y - 0.16), (x + dx * 0.8, y + 0.19), width=0.012) for dx in (-0.2, -0.1, 0, 0.1, 0.2)]
    canvas.part(together(*weave), darker(wicker, 0.35), flat, edge=0, within=solid(tray))
    canvas.part(line((x - 0.28, y - 0.18), (x + 0.31, y - 0.18), width=0.05), darker(wicker, 0.15), roller, edge=0)
