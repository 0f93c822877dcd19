"""Made-up items before made-up backgrounds. They teach where an item ends.

Shapes, colours and patterns are drawn at random. Nothing of the demo's drawings or of the photos that networks are
judged by is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from ml.inference.arrays import Pixels

from .backgrounds import draw_background
from .surfaces import draw_surface

FINER = 2  # scenes are drawn larger by this factor and then scaled down, which smooths their edges


@dataclass(frozen=True)
class Scene:
    """A picture and where its item is: uint8[size, size, 3] and uint8[size, size], 255 on the item."""

    picture: Pixels
    mask: Pixels


@dataclass(frozen=True)
class _Form:
    """An item without its colours: a mask of the whole, and masks of parts of other colours: soles, handles, legs."""

    whole: Image.Image
    parts: tuple[Image.Image, ...]


def _draw_form(size: int, rng: Random) -> _Form:
    """Draw a form for scenes of `size` pixels, from a trinket to one that fills the picture, often symmetrical."""
    large, reach = size * FINER, rng.uniform(0.14, 0.5)
    masks = [_draw_mask(large, reach * 0.6, rng) for _ in range(rng.choice((0, 0, 1, 1, 2, 3)))]
    masks.insert(0, _draw_mask(large, reach, rng))
    if rng.random() < 0.5:
        # Most things that are sold have halves that mirror each other: clothes, shoes seen from above, vases.
        masks = [ImageChops.lighter(mask, ImageOps.mirror(mask)) for mask in masks]
    return _Form(masks[0], tuple(masks[1:]))


def draw_scene(photo: Image.Image, texture: Image.Image, size: int, rng: Random) -> Scene:
    """Draw an item in random colours, or covered with a piece of `texture`, before a place with pieces of `photo`."""
    item = _draw_form(size, rng)
    large, whole = size * FINER, item.whole
    front = _shade_item(draw_surface(texture, large, rng), whole, rng)
    # Parts are clipped to the whole, so that the whole is the mask of all that is drawn.
    for part in item.parts:
        mask = ImageChops.darker(part, whole)
        front.paste(_shade_item(draw_surface(texture, large, rng), mask, rng), mask=mask)
    picture = draw_background(photo, large, rng)
    _cast_shadow(picture, whole, rng)
    picture.paste(front, mask=whole)
    picture, whole = (layer.resize((size, size), Image.Resampling.BOX) for layer in (picture, whole))
    return Scene(_add_camera_faults(picture, rng), np.asarray(whole))


def _shade_item(item: Image.Image, mask: Image.Image, rng: Random) -> Image.Image:
    """Light an item from one side, and less towards the edge of `mask`, as things are that are round."""
    side = item.width
    turn, depth, rim = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.35), rng.choice((0, rng.uniform(0, 0.5)))
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    light = 1 + depth * (x * math.cos(turn) + y * math.sin(turn)) * 2
    if rim:
        inside = mask.reduce(4).filter(ImageFilter.GaussianBlur(side * rng.uniform(0.005, 0.02))).resize(mask.size)
        light *= 1 - rim + rim * np.asarray(inside, np.float32) / 255
    return Image.fromarray((np.asarray(item) * light[..., None]).clip(0, 255).astype(np.uint8))


def _cast_shadow(behind: Image.Image, mask: Image.Image, rng: Random) -> None:
    """Draw a shadow of `mask` all around it, or on the floor to one side, or none."""
    kind, side = rng.choice(("none", "around", "laid")), behind.width
    if kind == "none" or not (box := mask.getbbox()):
        return
    # A shadow is soft and loses nothing at a quarter of the size, where drawing it is faster.
    shadow, soft = mask.reduce(4), side * rng.uniform(0.002, 0.008)
    if kind == "around":
        right, down = (round(side / 4 * rng.uniform(-0.05, 0.06)) for _ in range(2))
        shadow = shadow.transform(shadow.size, Image.Transform.AFFINE, (1, 0, -right, 0, 1, -down))
    else:
        # The line on which the item stands must stay where it is, or the shadow would come off its feet.
        ground, flat, slant = box[3] / 4, rng.uniform(0.1, 0.4), rng.uniform(-1, 1)
        matrix = (1, slant / flat, -slant / flat * ground, 0, 1 / flat, ground - ground / flat)
        shadow = shadow.transform(shadow.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    shadow = shadow.filter(ImageFilter.GaussianBlur(soft)).resize(mask.size)
    darkest = rng.uniform(0.2, 0.6)
    behind.paste((20, 18, 20), mask=shadow.point(lambda value: int(value * darkest)))


def _add_camera_faults(picture: Image.Image, rng: Random) -> Pixels:
    """Return uint8[H, W, 3] with the faults of a camera: grain, darker corners, and at times a blur of everything."""
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.8)))
    side = picture.width
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) * 2 / side - 1
    light = 1 - rng.uniform(0, 0.15) * (x**2 + y**2)
    grain = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(0, 6), (side, side, 1))
    return (np.asarray(picture) * light[..., None] + grain).clip(0, 255).astype(np.uint8)


def _draw_mask(side: int, reach: float, rng: Random) -> Image.Image:
    """Draw a mask of a few overlapping pieces about the middle, each about `reach` of the side wide."""
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    middle = [side * rng.uniform(0.38, 0.62) for _ in range(2)]
    radius = side * reach
    for _ in range(rng.randint(1, 4)):
        at = [value + rng.uniform(-0.6, 0.6) * radius for value in middle]
        rng.choice((_draw_ellipse, _draw_box, _draw_polygon, _draw_blob, _draw_blob, _draw_strokes, _draw_strokes))(
            draw, at, radius * rng.uniform(0.5, 1.1), rng
        )
    return mask


def _draw_ellipse(draw: ImageDraw.ImageDraw, at: list[float], radius: float, rng: Random) -> None:
    w, h = (radius * rng.uniform(0.5, 1.3) for _ in range(2))
    box = (at[0] - w, at[1] - h, at[0] + w, at[1] + h)
    if rng.random() < 0.25:
        draw.ellipse(box, outline=255, width=max(2, int(radius * rng.uniform(0.08, 0.3))))
    else:
        draw.ellipse(box, fill=255)


def _draw_box(draw: ImageDraw.ImageDraw, at: list[float], radius: float, rng: Random) -> None:
    w, h = (radius * rng.uniform(0.4, 1.3) for _ in range(2))
    draw.rounded_rectangle((at[0] - w, at[1] - h, at[0] + w, at[1] + h), radius * rng.uniform(0, 0.4), fill=255)


def _draw_polygon(draw: ImageDraw.ImageDraw, at: list[float], radius: float, rng: Random) -> None:
    corners = rng.randint(3, 9)
    turns = sorted(rng.uniform(0, 2 * math.pi) for _ in range(corners))
    points = [
        (at[0] + radius * reach * math.cos(turn), at[1] + radius * reach * math.sin(turn))
        for turn, reach in ((turn, rng.uniform(0.5, 1.4)) for turn in turns)
    ]
    draw.polygon(points, fill=255)


def _draw_blob(draw: ImageDraw.ImageDraw, at: list[float], radius: float, rng: Random) -> None:
    """Draw a round outline with a few bulges."""
    waves = [(rng.randint(1, 5), rng.uniform(0, 0.3), rng.uniform(0, 2 * math.pi)) for _ in range(3)]
    points = []
    for step in range(48):
        turn = step * math.pi / 24
        reach = radius * (1 + sum(high * math.cos(count * turn + start) for count, high, start in waves))
        points.append((at[0] + reach * math.cos(turn), at[1] + reach * math.sin(turn)))
    draw.polygon(points, fill=255)


def _draw_strokes(draw: ImageDraw.ImageDraw, at: list[float], radius: float, rng: Random) -> None:
    for _ in range(rng.randint(2, 5)):
        ends = [(at[0] + rng.uniform(-1.4, 1.4) * radius, at[1] + rng.uniform(-1.4, 1.4) * radius) for _ in range(2)]
        draw.line(ends, fill=255, width=max(3, int(radius * rng.uniform(0.05, 0.25))))
