"""Draws a line for each series over a logarithmic axis, as SVG: enough for a page of the docs, without a library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from math import ceil, floor, log2, log10

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 56, 130, 36, 48
COLOURS = ("#1f6feb", "#d1242f", "#1a7f37", "#8250df", "#bf8700", "#57606a")
LEVELS, LABEL_HEIGHT = 4, 15
INK, GRID = "#57606a", "#d0d7de"  # both are seen on white and on black

Series = Mapping[str, Mapping[int, float]]


def draw_lines(title: str, across: str, series: Series, *, logarithmic: bool = False) -> str:
    """An SVG picture of name -> {x: y}. The x axis is logarithmic; the y axis begins at 0, or is logarithmic too."""
    places = sorted({x for points in series.values() for x in points})
    values = [y for points in series.values() for y in points.values()]
    levels = _list_powers_of_ten(values) if logarithmic else _list_even_levels(values)
    span = log2(places[-1]) - log2(places[0]) or 1.0

    def share_of_height(y: float) -> float:
        if logarithmic:
            return (log10(y) - log10(levels[0])) / (log10(levels[-1]) - log10(levels[0]))
        return y / levels[-1]

    def locate_point(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (log2(x) - log2(places[0])) / span * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - share_of_height(y) * (HEIGHT - TOP - BOTTOM),
        )

    parts = [_draw_text(LEFT, 20, title, size=14, anchor="start")]
    for value in levels:
        x, y = locate_point(places[0], value)
        parts.append(f'<path d="M{x:.1f} {y:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        parts.append(_draw_text(x - 8, y + 4, f"{value:g}" if logarithmic else f"{value:.0f}", anchor="end"))
    parts += [_draw_text(locate_point(x, levels[0])[0], HEIGHT - BOTTOM + 18, f"{x:,}") for x in places]
    parts.append(_draw_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, across))
    labels = []
    for (name, points), colour in zip(series.items(), cycle(COLOURS), strict=False):
        drawn = [locate_point(x, y) for x, y in sorted(points.items())]
        parts.append(
            f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)}" fill="none" stroke="{colour}" '
            'stroke-width="2"/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in drawn]
        labels.append((drawn[-1][1], name, colour))
    lowest = float(HEIGHT)
    # From below, so that each label can move up until it is clear of the one before.
    for y, name, colour in sorted(labels, reverse=True):
        lowest = min(y, lowest - LABEL_HEIGHT)
        parts.append(_draw_text(WIDTH - RIGHT + 8, lowest + 4, name, anchor="start", colour=colour))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
        f"{''.join(parts)}</svg>\n"
    )


def _list_even_levels(values: Sequence[float]) -> list[float]:
    step = _round_up_step(max(values) / LEVELS)
    return [step * level for level in range(LEVELS + 1)]


def _list_powers_of_ten(values: Sequence[float]) -> list[float]:
    """The powers of ten from the one below all values to the one above them."""
    first, last = floor(log10(min(values))), ceil(log10(max(values)))
    return [10.0**power for power in range(first, max(last, first + 1) + 1)]


def _round_up_step(least: float) -> float:
    """The least of 1, 2, 5, 10, 20, 50 … that is not below `least`."""
    ten = 10 ** floor(log10(least))
    return next(factor * ten for factor in (1, 2, 5, 10) if factor * ten >= least)


def _draw_text(x: float, y: float, text: str, *, size: int = 12, anchor: str = "middle", colour: str = INK) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
    )
