"""Textures over the whole item plane, so that a pattern sticks to its item whatever the view."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from .colours import RGB, Paint, darken_colour, mix_colours

# Pixels of a texture for each item unit. A unit takes about 200 to 450 pixels in a photo, where a much coarser texture
# would look blurred.
UNIT = 300
# The edges of a texture in item units, wide enough for every item: what reaches further is painted without its pattern.
LEFT, TOP, RIGHT, BOTTOM = -1.8, -2.7, 1.8, 0.3
SIZE = (round((RIGHT - LEFT) * UNIT), round((BOTTOM - TOP) * UNIT))

PATTERNS = ("plain", "striped", "dotted", "checked", "floral", "zigzag")


@lru_cache(maxsize=24)
def draw_texture(paint: Paint) -> Image.Image:
    """The pattern of this paint, RGB, SIZE pixels."""
    image = Image.new("RGB", SIZE, paint.colour)
    {
        "striped": _draw_stripes,
        "dotted": _draw_dots,
        "checked": _draw_checks,
        "floral": _draw_flowers,
        "zigzag": _draw_zigzag,
    }[paint.pattern](image, paint)
    return image


def _draw_stripes(image: Image.Image, paint: Paint) -> None:
    draw = ImageDraw.Draw(image)
    step = 0.24 * UNIT
    for index in range(int(SIZE[1] / step) + 1):
        top = index * step
        draw.rectangle((0, top, SIZE[0], top + step * 0.42), fill=paint.accent)
        draw.rectangle((0, top + step * 0.62, SIZE[0], top + step * 0.68), fill=paint.accent)


def _draw_dots(image: Image.Image, paint: Paint) -> None:
    draw = ImageDraw.Draw(image)
    step, radius = 0.21 * UNIT, 0.058 * UNIT
    for row in range(int(SIZE[1] / step * 1.2) + 1):
        for column in range(int(SIZE[0] / step) + 2):
            x, y = (column + (row % 2) / 2) * step, row * step * 0.86
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=paint.accent)


def _draw_checks(image: Image.Image, paint: Paint) -> None:
    """Gingham: where two bands cross, the accent is full."""
    step = int(0.17 * UNIT)
    bands = [(np.arange(length) // step) % 2 for length in SIZE]
    depth = bands[1][:, None] + bands[0][None, :]
    tones = np.array([paint.colour, mix_colours(paint.colour, paint.accent, 0.55), paint.accent], dtype=np.uint8)
    image.paste(Image.fromarray(tones[depth]))


def _draw_zigzag(image: Image.Image, paint: Paint) -> None:
    draw = ImageDraw.Draw(image)
    step, height = 0.14 * UNIT, 0.13 * UNIT
    for row in range(int(SIZE[1] / (2 * height)) + 2):
        dots = [(i * step, row * 2 * height + (i % 2) * height) for i in range(int(SIZE[0] / step) + 2)]
        draw.line(dots, fill=paint.accent, width=round(0.055 * UNIT), joint="curve")


def _draw_flowers(image: Image.Image, paint: Paint) -> None:
    draw = ImageDraw.Draw(image)
    step = 0.34 * UNIT
    leaf, heart = mix_colours(paint.accent, (84, 128, 84), 0.6), mix_colours(paint.accent, (230, 170, 40), 0.75)
    for row in range(int(SIZE[1] / (step * 0.8)) + 2):
        for column in range(int(SIZE[0] / step) + 2):
            x, y = (column + (row % 2) / 2) * step, row * step * 0.8
            big = 1.0 if (row + column) % 3 else 0.72
            _draw_leaf(draw, x + 0.11 * UNIT, y + 0.1 * UNIT, leaf)
            _draw_flower(draw, x, y, big, paint.accent, heart)


def _draw_flower(draw: ImageDraw.ImageDraw, x: float, y: float, big: float, petal: RGB, heart: RGB) -> None:
    reach, radius = 0.058 * UNIT * big, 0.046 * UNIT * big
    for dx, dy in ((0, -1), (0.95, -0.31), (0.59, 0.81), (-0.59, 0.81), (-0.95, -0.31)):
        cx, cy = x + dx * reach, y + dy * reach
        draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=petal)
    draw.ellipse(
        (x - radius * 0.7, y - radius * 0.7, x + radius * 0.7, y + radius * 0.7), fill=darken_colour(heart, 0.08)
    )


def _draw_leaf(draw: ImageDraw.ImageDraw, x: float, y: float, colour: RGB) -> None:
    draw.ellipse((x - 0.045 * UNIT, y - 0.02 * UNIT, x + 0.045 * UNIT, y + 0.02 * UNIT), fill=colour)
