"""Made-up items before walls and pieces of photos: what teaches where an item ends, and what form is.

Shapes, colours and patterns are drawn at random; nothing of the demo's drawings or of judged photos is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Pixels = npt.NDArray[np.uint8]
RGB = tuple[int, int, int]
FINER = 2  # drawn larger by this, then scaled down, for smooth edges


@dataclass(frozen=True)
class Scene:
    """A picture and where its item is: uint8[size, size, 3] and uint8[size, size], 255 on the item."""

    picture: Pixels
    mask: Pixels


@dataclass(frozen=True)
class Form:
    """An item without its colours: masks of the whole and of its parts of other colours: soles, handles, legs."""

    whole: Image.Image
    parts: tuple[Image.Image, ...]

    def posed(self, rng: Random) -> Form:
        """The form turned, stretched, mirrored, nearer or farther, somewhere else in the picture."""
        matrix = _pose(self.whole.width, rng)
        whole, *parts = (
            mask.transform(mask.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
            for mask in (self.whole, *self.parts)
        )
        return Form(whole, tuple(parts))


def form(size: int, rng: Random) -> Form:
    """A random form for scenes of `size`, from a trinket to what fills the picture."""
    large, reach = size * FINER, rng.uniform(0.14, 0.8)
    parts = [_mask(large, reach * 0.6, rng) for _ in range(rng.choice((0, 0, 1, 1, 2)))]
    return Form(_mask(large, reach, rng), tuple(parts))


def scene(background: Image.Image, texture: Image.Image, size: int, rng: Random, item: Form | None = None) -> Scene:
    """An item in random colours, or of a piece of `texture`, before `background`; a random form where none is given."""
    item = item or form(size, rng)
    large, whole = size * FINER, item.whole
    surface = _surface(texture, large, rng)
    for part in item.parts:
        surface.paste(_surface(texture, large, rng), mask=ImageChops.darker(part, whole))
    behind = _background(background, large, rng)
    if rng.random() < 0.5:
        _cast_shadow(behind, whole, rng)
    behind, surface, whole = (layer.resize((size, size), Image.Resampling.BOX) for layer in (behind, surface, whole))
    behind.paste(_shaded(surface, rng), mask=whole)
    return Scene(np.asarray(behind), np.asarray(whole))


def _pose(side: int, rng: Random) -> tuple[float, ...]:
    """The affine matrix that `Image.transform` takes: from places of the new picture to places of the old."""
    turn, shear, scale = rng.uniform(-0.25, 0.25), rng.uniform(-0.2, 0.2), rng.uniform(0.6, 1.35)
    wide = math.exp(rng.uniform(-0.2, 0.2))
    flip = rng.choice((-1, 1))
    a, b = flip * scale * wide * math.cos(turn), -scale * math.sin(turn) + shear
    d, e = flip * scale * wide * math.sin(turn), scale / wide * math.cos(turn)
    middle, (x, y) = side / 2, (side * rng.uniform(0.4, 0.6) for _ in range(2))
    return a, b, middle - a * x - b * y, d, e, middle - d * x - e * y


def _colour(rng: Random) -> RGB:
    """Any colour, greys as likely as the saturated."""
    grey, chroma = rng.uniform(10, 245), rng.choice((0.1, 0.5, 1.0))
    pure = [rng.uniform(0, 255) for _ in range(3)]
    red, green, blue = (round(chroma * value + (1 - chroma) * grey) for value in pure)
    return red, green, blue


def _mask(side: int, reach: float, rng: Random) -> Image.Image:
    """A mask of a few overlapping pieces about the middle, each about `reach` of the side wide."""
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    middle = [side * rng.uniform(0.38, 0.62) for _ in range(2)]
    radius = side * reach
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


def _surface(texture: Image.Image, side: int, rng: Random) -> Image.Image:
    """One colour, or stripes, dots or checks of two, or a piece of a photo."""
    surface = Image.new("RGB", (side, side), _colour(rng))
    pattern = rng.choice(("plain", "plain", "plain", "stripes", "dots", "checks", "photo", "photo"))
    if pattern == "photo":
        return _piece(texture, side, rng.uniform(0.2, 0.6), rng)
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
    """A piece of a photo, too small to show a whole thing, or a wall: plain, shaded, patterned or full of things."""
    kind = rng.choice((*3 * ("wall",), "clutter", "surface", *5 * ("piece",)))
    if kind == "wall":
        return _wall(side, rng)
    if kind == "clutter":
        behind = _clutter(_wall(side, rng), rng)
    elif kind == "surface":
        behind = _surface(photo, side, rng)
    else:
        behind = _piece(photo, side, rng.uniform(0.15, 0.5), rng)
    return behind.filter(ImageFilter.GaussianBlur(side * rng.uniform(0.005, 0.05))) if rng.random() < 0.5 else behind


def _wall(side: int, rng: Random) -> Image.Image:
    """One colour, or two: one above the other, or running into each other."""
    top, bottom = (Image.new("RGB", (1, 1), _colour(rng)) for _ in range(2))
    wall = Image.new("RGB", (1, 2))
    wall.paste(top, (0, 0))
    wall.paste(bottom if rng.random() < 0.6 else top, (0, 1))
    return wall.resize((side, side), rng.choice((Image.Resampling.BILINEAR, Image.Resampling.NEAREST)))


def _clutter(wall: Image.Image, rng: Random) -> Image.Image:
    """Many small things, anywhere or in rows, like books on shelves."""
    side, draw = wall.width, ImageDraw.Draw(wall)
    rows = [rng.uniform(0, side) for _ in range(rng.randint(1, 3))] if rng.random() < 0.5 else []
    colours, size = [_colour(rng) for _ in range(rng.randint(2, 6))], rng.uniform(0.03, 0.15)
    for _ in range(rng.randint(5, 60)):
        w, h = (side * size * rng.uniform(0.3, 1) for _ in range(2))
        x, y = rng.uniform(0, side), (rng.choice(rows) - h if rows else rng.uniform(0, side))
        shape = draw.ellipse if rng.random() < 0.3 else draw.rectangle
        shape((x - w, y - h, x + w, y + h), fill=rng.choice(colours))
    return wall


def _piece(photo: Image.Image, side: int, part: float, rng: Random) -> Image.Image:
    """A random piece of `photo`, `part` of it each way, as a square."""
    w, h = photo.width * part, photo.height * part
    left, top = rng.uniform(0, photo.width - w), rng.uniform(0, photo.height - h)
    return photo.resize((side, side), Image.Resampling.BILINEAR, box=(left, top, left + w, top + h))


def _cast_shadow(behind: Image.Image, mask: Image.Image, rng: Random) -> None:
    side = behind.width
    shift = int(side * rng.uniform(-0.05, 0.05)), int(side * rng.uniform(0, 0.06))
    shadow = Image.new("L", mask.size)
    shadow.paste(mask.point(lambda value: int(value * 0.4)), shift)
    behind.paste((0, 0, 0), mask=shadow.filter(ImageFilter.GaussianBlur(side * 0.02)))
