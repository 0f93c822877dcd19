"""Made-up items before real photos, each with its mask: what teaches the network where an item ends.

Shapes, colours and patterns are drawn at random; nothing of the demo's drawings or of judged photos is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Pixels = npt.NDArray[np.uint8]
RGB = tuple[int, int, int]
FINER = 2  # drawn larger by this, then scaled down, for smooth edges


@dataclass(frozen=True)
class Scene:
    """A picture and where its item is: uint8[size, size, 3] and uint8[size, size], 255 on the item."""

    picture: Pixels
    mask: Pixels


def scene(background: Image.Image, size: int, rng: Random) -> Scene:
    """An item of random form and colours before `background`."""
    large = size * FINER
    mask = _form(large, rng)
    item = _surface(large, rng)
    if rng.random() < 0.6:  # a second part of another colour: soles, handles, legs
        part = _form(large, rng, scale=0.6)
        item.paste(_surface(large, rng), mask=Image.composite(part, Image.new("L", part.size), mask))
    behind = _background(background, large, rng)
    if rng.random() < 0.5:
        _cast_shadow(behind, mask, rng)
    behind, item, mask = (layer.resize((size, size), Image.Resampling.BOX) for layer in (behind, item, mask))
    behind.paste(_shaded(item, rng), mask=mask)
    return Scene(np.asarray(behind), np.asarray(mask))


def _colour(rng: Random) -> RGB:
    """Any colour, greys as likely as the saturated."""
    grey, chroma = rng.uniform(10, 245), rng.choice((0.1, 0.5, 1.0))
    pure = [rng.uniform(0, 255) for _ in range(3)]
    red, green, blue = (round(chroma * value + (1 - chroma) * grey) for value in pure)
    return red, green, blue


def _form(side: int, rng: Random, scale: float = 1.0) -> Image.Image:
    """A mask of a few overlapping pieces about the middle."""
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    middle = [side * rng.uniform(0.38, 0.62) for _ in range(2)]
    radius = side * rng.uniform(0.14, 0.34) * scale
    for _ in range(rng.randint(1, 4)):
        at = [value + rng.uniform(-0.6, 0.6) * radius for value in middle]
        rng.choice((_ellipse, _box, _polygon, _polygon, _strokes))(draw, at, radius * rng.uniform(0.5, 1.1), rng)
    return mask


def _ellipse(draw: ImageDraw.ImageDraw, at: list[float], radius: float, rng: Random) -> None:
    w, h = (radius * rng.uniform(0.5, 1.3) for _ in range(2))
    box = (at[0] - w, at[1] - h, at[0] + w, at[1] + h)
    if rng.random() < 0.25:
        draw.ellipse(box, outline=255, width=max(2, int(radius * rng.uniform(0.08, 0.3))))
    else:
        draw.ellipse(box, fill=255)


def _box(draw: ImageDraw.ImageDraw, at: list[float], radius: float, rng: Random) -> None:
    w, h = (radius * rng.uniform(0.4, 1.3) for _ in range(2))
    draw.rounded_rectangle((at[0] - w, at[1] - h, at[0] + w, at[1] + h), radius * rng.uniform(0, 0.4), fill=255)


def _polygon(draw: ImageDraw.ImageDraw, at: list[float], radius: float, rng: Random) -> None:
    corners = rng.randint(3, 9)
    turns = sorted(rng.uniform(0, 2 * math.pi) for _ in range(corners))
    points = [
        (at[0] + radius * reach * math.cos(turn), at[1] + radius * reach * math.sin(turn))
        for turn, reach in ((turn, rng.uniform(0.5, 1.4)) for turn in turns)
    ]
    draw.polygon(points, fill=255)


def _strokes(draw: ImageDraw.ImageDraw, at: list[float], radius: float, rng: Random) -> None:
    for _ in range(rng.randint(2, 5)):
        ends = [(at[0] + rng.uniform(-1.4, 1.4) * radius, at[1] + rng.uniform(-1.4, 1.4) * radius) for _ in range(2)]
        draw.line(ends, fill=255, width=max(3, int(radius * rng.uniform(0.05, 0.25))))


def _surface(side: int, rng: Random) -> Image.Image:
    """One colour, or stripes, dots or checks of two."""
    surface = Image.new("RGB", (side, side), _colour(rng))
    pattern = rng.choice(("plain", "plain", "plain", "stripes", "dots", "checks"))
    if pattern == "plain":
        return surface
    draw, other = ImageDraw.Draw(surface), _colour(rng)
    step = max(4, int(side * rng.uniform(0.04, 0.14)))
    for y in range(0, side, step):
        if pattern == "stripes":
            draw.rectangle((0, y, side, y + step // 2), fill=other)
            continue
        for x in range(0, side, step):
            box = (x, y, x + step // 2, y + step // 2)
            draw.ellipse(box, fill=other) if pattern == "dots" else draw.rectangle(box, fill=other)
    return surface.rotate(rng.choice((0, 45, 90)), expand=False, fillcolor=other)


def _shaded(item: Image.Image, rng: Random) -> Image.Image:
    """Light that falls off in one direction, and the grain of a camera."""
    side = item.width
    turn, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.35)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    light = 1 + depth * (x * math.cos(turn) + y * math.sin(turn)) * 2
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(0, 6), (side, side, 1))
    return Image.fromarray((np.asarray(item) * light[..., None] + noise).clip(0, 255).astype(np.uint8))


def _background(photo: Image.Image, side: int, rng: Random) -> Image.Image:
    """A piece of a photo, often out of focus, or a plain or shaded wall."""
    kind = rng.random()
    if kind < 0.3:
        top, bottom = (Image.new("RGB", (1, 1), _colour(rng)) for _ in range(2))
        wall = Image.new("RGB", (1, 2))
        wall.paste(top, (0, 0))
        wall.paste(bottom if rng.random() < 0.6 else top, (0, 1))
        return wall.resize((side, side), rng.choice((Image.Resampling.BILINEAR, Image.Resampling.NEAREST)))
    part = rng.uniform(0.4, 1.0)
    w, h = photo.width * part, photo.height * part
    left, top_edge = rng.uniform(0, photo.width - w), rng.uniform(0, photo.height - h)
    piece = photo.resize((side, side), Image.Resampling.BILINEAR, box=(left, top_edge, left + w, top_edge + h))
    return piece.filter(ImageFilter.GaussianBlur(side * rng.uniform(0.005, 0.05))) if kind < 0.75 else piece


def _cast_shadow(behind: Image.Image, mask: Image.Image, rng: Random) -> None:
    side = behind.width
    shift = int(side * rng.uniform(-0.05, 0.05)), int(side * rng.uniform(0, 0.06))
    shadow = Image.new("L", mask.size)
    shadow.paste(mask.point(lambda value: int(value * 0.4)), shift)
    behind.paste((0, 0, 0), mask=shadow.filter(ImageFilter.GaussianBlur(side * 0.02)))
