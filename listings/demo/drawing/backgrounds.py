"""Where an item is photographed. Each scene is drawn at half size and enlarged: a camera's far field is soft anyway."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from . import props
from .colours import OAK, RGB, WALNUT, darken_colour, lighten_colour, mix_colours

# Where wall and floor meet, as a share of the height: above GROUND of `compose`, so that there is floor behind an item.
HORIZON = 0.66

WALLS: tuple[RGB, ...] = (
    (226, 216, 202),
    (200, 214, 218),
    (214, 222, 204),
    (232, 210, 200),
    (206, 202, 216),
    (222, 222, 222),
)
FLOORS: tuple[RGB, ...] = (OAK, (214, 182, 140), WALNUT, (182, 140, 100), (226, 202, 170))
PLAINS: tuple[RGB, ...] = (
    (238, 236, 232),
    (214, 226, 232),
    (236, 222, 214),
    (220, 230, 216),
    (230, 224, 238),
    (244, 232, 204),
)

Size = tuple[int, int]


def draw_scene(name: str, size: Size, rng: Random) -> Image.Image:
    """The scene of this name as an RGB image of this size, different for each state of the generator."""
    half = (size[0] // 2, size[1] // 2)
    return SCENES[name](half, rng).resize(size, Image.Resampling.BICUBIC)


def draw_vertical_gradient(size: Size, top: RGB, bottom: RGB) -> Image.Image:
    share = np.linspace(0, 1, size[1], dtype=np.float32)[:, None, None]
    rows = np.array(top, np.float32) * (1 - share) + np.array(bottom, np.float32) * share
    return Image.fromarray(np.broadcast_to(rows, (size[1], size[0], 3)).astype(np.uint8))


def draw_studio(size: Size, rng: Random) -> Image.Image:
    """A seamless paper roll: no edge between wall and floor."""
    paper = rng.choice(PLAINS)
    image = draw_vertical_gradient(size, darken_colour(paper, 0.06), lighten_colour(paper, 0.5))
    floor = draw_vertical_gradient((size[0], size[1] // 3), lighten_colour(paper, 0.5), darken_colour(paper, 0.1))
    image.paste(floor, (0, size[1] - floor.height))
    return image


def draw_gradient(size: Size, rng: Random) -> Image.Image:
    """Two bold colours and a pool of light."""
    hues = rng.choice(
        (
            ((250, 196, 160), (236, 130, 140)),
            ((160, 208, 232), (110, 130, 206)),
            ((190, 226, 190), (86, 160, 150)),
            ((252, 224, 150), (240, 164, 96)),
            ((222, 200, 240), (150, 130, 206)),
        )
    )
    image = draw_vertical_gradient(size, *hues)
    draw = ImageDraw.Draw(image)
    x, y, r = size[0] * rng.uniform(0.35, 0.65), size[1] * 0.42, size[0] * 0.46
    draw.ellipse((x - r, y - r, x + r, y + r), fill=mix_colours(hues[0], (255, 255, 255), 0.35))
    draw.rectangle((0, size[1] * 0.74, *size), fill=mix_colours(hues[1], hues[0], 0.25))
    return image


def draw_table(size: Size, rng: Random) -> Image.Image:
    """A wooden table before a blurred room."""
    image = _draw_wall(size, rng, lines=False)
    props.draw_shelf(image, rng, size[1] * 0.34)
    # Blurred before the table is painted: the room is out of focus, the table in front of it is not.
    image = image.filter(ImageFilter.GaussianBlur(size[0] / 70))
    _draw_boards(image, rng.choice(FLOORS), rng, horizon=0.58, count=7, spread=2.2)
    return image


def draw_room(size: Size, rng: Random) -> Image.Image:
    image = _draw_wall(size, rng, lines=rng.random() < 0.4)
    rng.choice((props.draw_picture, props.draw_window, props.draw_plant, props.draw_floor_lamp))(
        image, rng, size[1] * HORIZON
    )
    image = image.filter(ImageFilter.GaussianBlur(size[0] / 260))
    _draw_boards(image, rng.choice(FLOORS), rng, horizon=HORIZON, count=9, spread=2.8)
    # Painted after the floor, because the skirting board hides where wall and floor meet.
    edge = size[1] * HORIZON
    ImageDraw.Draw(image).rectangle((0, edge - size[1] * 0.035, size[0], edge), fill=(244, 240, 234))
    ImageDraw.Draw(image).line((0, edge, size[0], edge), fill=(120, 100, 84), width=1)
    if rng.random() < 0.5:
        props.draw_rug(image, rng)
    return image


def draw_brick_wall(size: Size, rng: Random) -> Image.Image:
    """A brick wall and paving."""
    base, mortar = rng.choice(
        (((176, 96, 74), (206, 192, 178)), ((150, 84, 68), (190, 176, 166)), ((226, 220, 212), (204, 198, 190)))
    )
    image = Image.new("RGB", size, mortar)
    draw = ImageDraw.Draw(image)
    high, wide = size[1] * 0.034, size[0] * 0.13
    for row in range(int(size[1] * HORIZON / high) + 1):
        for column in range(-1, int(size[0] / wide) + 2):
            x, y = (column + (row % 2) / 2) * wide, row * high
            draw.rectangle(
                (x + 1.5, y + 1.5, x + wide - 1, y + high - 1), fill=darken_colour(base, rng.uniform(0, 0.2))
            )
    paving: RGB = (188, 186, 180)
    draw.rectangle((0, size[1] * HORIZON, *size), fill=paving)
    for x in range(-6, 7):
        draw.line(
            (size[0] / 2 + x * size[0] * 0.16, size[1] * HORIZON, size[0] / 2 + x * size[0] * 0.5, size[1]),
            fill=darken_colour(paving, 0.16),
            width=2,
        )
    for y in (0.74, 0.86):
        draw.line((0, size[1] * y, size[0], size[1] * y), fill=darken_colour(paving, 0.16), width=2)
    draw.line((0, size[1] * HORIZON, size[0], size[1] * HORIZON), fill=darken_colour(paving, 0.45), width=3)
    return image.filter(ImageFilter.GaussianBlur(0.8))


def draw_garden(size: Size, rng: Random) -> Image.Image:
    """A lawn before out-of-focus leaves and sky."""
    image = draw_vertical_gradient(size, (206, 226, 236), (150, 186, 128))
    props.draw_foliage(image, rng, size[1] * HORIZON)
    image = image.filter(ImageFilter.GaussianBlur(size[0] / 55))
    lawn = draw_vertical_gradient((size[0], size[1] - int(size[1] * HORIZON)), (128, 168, 88), (86, 136, 62))
    image.paste(lawn, (0, int(size[1] * HORIZON)))
    props.draw_grass(image, rng, size[1] * HORIZON)
    return image


def draw_linen(size: Size, rng: Random) -> Image.Image:
    """Laid out on woven cloth."""
    cloth = np.array(rng.choice(PLAINS), np.float32) * 0.93
    noise = np.random.default_rng(rng.getrandbits(32))
    # Every row and every column is a thread of its own brightness: where they cross it looks woven.
    weave = 1 + 0.03 * noise.standard_normal((size[1], 1, 1)) + 0.03 * noise.standard_normal((1, size[0], 1))
    image = Image.fromarray(np.clip(cloth * weave, 0, 255).astype(np.uint8))
    folds = Image.new("L", size, 0)
    draw = ImageDraw.Draw(folds)
    for _ in range(4):
        x = rng.uniform(-0.2, 1.0) * size[0]
        draw.line((x, 0, x + rng.uniform(-0.4, 0.4) * size[0], size[1]), fill=70, width=size[0] // 16)
    dark = Image.new("RGB", size, (96, 84, 78))
    image.paste(dark, mask=folds.filter(ImageFilter.GaussianBlur(size[0] / 22)))
    return image


def draw_clutter(size: Size, rng: Random) -> Image.Image:
    """A lived-in corner: shelves, plants and boxes out of focus."""
    image = _draw_wall(size, rng, lines=False)
    for y in (0.2, 0.42):
        props.draw_shelf(image, rng, size[1] * y)
    rng.choice((props.draw_plant, props.draw_floor_lamp))(image, rng, size[1] * HORIZON)
    props.draw_boxes(image, rng, size[1] * HORIZON)
    image = image.filter(ImageFilter.GaussianBlur(size[0] / 100))
    _draw_boards(image, rng.choice(FLOORS), rng, horizon=HORIZON, count=8, spread=2.6)
    return image


SCENES: dict[str, Callable[[Size, Random], Image.Image]] = {
    "studio": draw_studio,
    "gradient": draw_gradient,
    "table": draw_table,
    "room": draw_room,
    "brick": draw_brick_wall,
    "garden": draw_garden,
    "linen": draw_linen,
    "clutter": draw_clutter,
}


def _draw_wall(size: Size, rng: Random, *, lines: bool) -> Image.Image:
    paint = rng.choice(WALLS)
    image = draw_vertical_gradient(size, lighten_colour(paint, 0.25), darken_colour(paint, 0.08))
    if lines:
        draw = ImageDraw.Draw(image)
        step = size[0] / 11
        for index in range(12):
            draw.rectangle((index * step, 0, index * step + step / 2, size[1]), fill=darken_colour(paint, 0.05))
    return image


def _draw_boards(image: Image.Image, wood: RGB, rng: Random, *, horizon: float, count: int, spread: float) -> None:
    """Planks that run towards the viewer."""
    width, height = image.size
    draw = ImageDraw.Draw(image)
    top, middle = height * horizon, width / 2
    edges = [(index / count - 0.5) for index in range(-count, 2 * count + 1)]
    for left, right in pairwise(edges):
        tone = mix_colours(wood, rng.choice(((255, 240, 220), (60, 40, 30))), rng.uniform(0, 0.12))
        quad = (
            middle + left * width,
            top,
            middle + right * width,
            top,
            middle + right * width * spread,
            height,
            middle + left * width * spread,
            height,
        )
        draw.polygon(quad, fill=tone)
        draw.line((*quad[0:2], *quad[6:8]), fill=darken_colour(wood, 0.3), width=1)
    _darken_towards_wall(image, int(top))


def _darken_towards_wall(image: Image.Image, top: int) -> None:
    width, height = image.size
    shade = draw_vertical_gradient((width, height - top), (64, 64, 64), (0, 0, 0)).convert("L")
    image.paste((40, 26, 20), (0, top, width, height), mask=shade)
