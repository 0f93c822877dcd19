"""Made-up backgrounds: a wall and a floor with things far behind, or a piece of a photo."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .surfaces import RGB, cut_and_scale_piece, draw_ramp, draw_surface, random_colour


def draw_background(photo: Image.Image, side: int, rng: Random) -> Image.Image:
    """Draw a square of `side` pixels without an item in it; pieces of `photo` are too small to show a whole thing."""
    behind = _draw_wall(photo, side, rng)
    # Wall and things are blurred before the floor is laid: behind an item most is out of focus, but the floor is near.
    if rng.random() < 0.6:
        for thing in rng.sample(THINGS, rng.choice((1, 1, 2))):
            thing(behind, _random_quiet_colour(rng), rng)
    if rng.random() < 0.6:
        behind = behind.filter(ImageFilter.GaussianBlur(side * rng.uniform(0.002, 0.03)))
    if rng.random() < 0.5:
        _lay_floor(behind, photo, rng)
    return behind


def _random_quiet_colour(rng: Random) -> RGB:
    """Draw a colour: more often than not one of walls and floors, pale or of wood, else any."""
    if rng.random() < 0.4:
        return random_colour(rng)
    base = rng.choice(((235, 230, 225), (200, 205, 210), (190, 150, 105), (110, 80, 60), (130, 150, 110)))
    red, green, blue = (max(0, min(255, round(value + rng.uniform(-30, 30)))) for value in base)
    return red, green, blue


def _draw_wall(photo: Image.Image, side: int, rng: Random) -> Image.Image:
    match rng.choice(("plain", "ramp", "ramp", "bricks", "cloth", "pattern", "photo", "photo", "photo")):
        case "photo":
            return cut_and_scale_piece(photo, side, rng.uniform(0.15, 0.5), rng)
        case "pattern":
            return draw_surface(photo, side, rng)
        case "bricks":
            return _draw_bricks(side, rng)
        case "cloth":
            return _draw_cloth(side, rng)
        case "ramp":
            return draw_ramp((side, side), _random_quiet_colour(rng), _random_quiet_colour(rng), rng)
        case _:
            return Image.new("RGB", (side, side), _random_quiet_colour(rng))


def _draw_bricks(side: int, rng: Random) -> Image.Image:
    """Draw rows of blocks, every other row shifted."""
    wall, base = Image.new("RGB", (side, side), _random_quiet_colour(rng)), _random_quiet_colour(rng)
    draw, high = ImageDraw.Draw(wall), max(4.0, side * rng.uniform(0.03, 0.12))
    wide, gap, shift = high * rng.uniform(1, 5), max(1.0, high * rng.uniform(0.04, 0.15)), rng.choice((0, 0.5))
    for row in range(int(side / high) + 1):
        for column in range(-1, int(side / wide) + 1):
            x, y, tone = (column + row % 2 * shift) * wide, row * high, rng.uniform(0.8, 1)
            fill = tuple(round(value * tone) for value in base)
            draw.rectangle((x + gap, y + gap, x + wide - 1, y + high - 1), fill=fill)
    return wall


def _draw_cloth(side: int, rng: Random) -> Image.Image:
    """Draw threads of one colour, some lighter than others, in both directions, and folds."""
    noise = np.random.default_rng(rng.getrandbits(32))
    depth, fold = rng.uniform(0.01, 0.08), rng.uniform(0, 0.25)
    weave = 1 + depth * (noise.standard_normal((side, 1)) + noise.standard_normal((1, side)))
    y, x = np.mgrid[0:side, 0:side] / side
    folds = 1 - fold * np.sin(x * rng.uniform(2, 20) + y * rng.uniform(-8, 8) + rng.uniform(0, 6)).clip(0)
    return Image.fromarray(
        (np.array(_random_quiet_colour(rng)) * (weave * folds)[..., None]).clip(0, 255).astype(np.uint8)
    )


def _lay_floor(behind: Image.Image, photo: Image.Image, rng: Random) -> None:
    """Draw what things stand on, from the horizon to the lower edge."""
    side, horizon = behind.width, int(behind.width * rng.uniform(0.45, 0.85))
    size, base = (side, side - horizon), _random_quiet_colour(rng)
    kind = rng.choice(("ramp", "ramp", "boards", "boards", "grain", "photo"))
    if kind == "photo":
        floor = cut_and_scale_piece(photo, side, rng.uniform(0.15, 0.5), rng).resize(size)
    else:
        floor = draw_ramp(size, base, base if kind == "grain" else _random_quiet_colour(rng), rng)
    if kind == "grain":
        noise = np.random.default_rng(rng.getrandbits(32)).normal(1, rng.uniform(0.05, 0.3), (*size[::-1], 1))
        floor = Image.fromarray((np.asarray(floor) * noise).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(floor)
    if kind == "boards":
        line = tuple(value * 2 // 3 for value in base)
        count, spread = rng.randint(3, 12), rng.uniform(1, 3)
        for index in range(-count, count + 1):
            x = side * index / count
            draw.line((side / 2 + x, 0, side / 2 + x * spread, size[1]), fill=line, width=rng.randint(1, 3))
    if rng.random() < 0.2:
        x, y, w = side * rng.uniform(0.3, 0.7), size[1] * rng.uniform(0.4, 0.7), side * rng.uniform(0.25, 0.6)
        draw.ellipse((x - w, y - size[1] * 0.35, x + w, y + size[1] * 0.35), fill=_random_quiet_colour(rng))
    behind.paste(floor, (0, horizon))
    if rng.random() < 0.4:
        high = side * rng.uniform(0.005, 0.04)
        ImageDraw.Draw(behind).rectangle((0, horizon - high, side, horizon), fill=_random_quiet_colour(rng))


def _draw_disc(behind: Image.Image, fill: RGB, rng: Random) -> None:
    """Draw a disc: a pool of light, a lamp or a mirror."""
    side = behind.width
    x, y, radius = side * rng.uniform(0.2, 0.8), side * rng.uniform(0.1, 0.6), side * rng.uniform(0.1, 0.55)
    ImageDraw.Draw(behind).ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _draw_frame(behind: Image.Image, fill: RGB, rng: Random) -> None:
    """Draw a frame: a picture, a window or a door."""
    side, draw = behind.width, ImageDraw.Draw(behind)
    w, h = (side * rng.uniform(0.12, 0.55) for _ in range(2))
    x, y = rng.uniform(-0.3 * w, side - 0.7 * w), rng.uniform(-0.3 * h, side * 0.7 - h)
    draw.rectangle(
        (x, y, x + w, y + h),
        fill=fill,
        outline=_random_quiet_colour(rng),
        width=max(1, int(side * rng.uniform(0, 0.03))),
    )
    if rng.random() < 0.5:
        draw.line((x + w / 2, y, x + w / 2, y + h), fill=_random_quiet_colour(rng), width=max(1, side // 60))
        draw.line((x, y + h / 2, x + w, y + h / 2), fill=_random_quiet_colour(rng), width=max(1, side // 60))


def _draw_shelves(behind: Image.Image, fill: RGB, rng: Random) -> None:
    """Draw things side by side on boards: books, bottles, boxes."""
    side, draw = behind.width, ImageDraw.Draw(behind)
    colours = [random_colour(rng) for _ in range(rng.randint(2, 7))]
    for _ in range(rng.randint(1, 3)):
        bottom, high, wide = (side * rng.uniform(*ends) for ends in ((0.1, 0.7), (0.05, 0.2), (0.01, 0.12)))
        x, end = (side * rng.uniform(*ends) for ends in ((-0.1, 0.4), (0.5, 1.1)))
        while x < end:
            w, h = wide * rng.uniform(0.4, 1), high * rng.uniform(0.5, 1)
            shape = draw.ellipse if rng.random() < 0.15 else draw.rectangle
            shape((x, bottom - h, x + w, bottom), fill=rng.choice(colours))
            x += w * rng.choice((1, 1, 1.1, 2))
        draw.rectangle((0, bottom, side, bottom + side * 0.02), fill=fill)


def _draw_spots(behind: Image.Image, fill: RGB, rng: Random) -> None:
    """Draw many small things anywhere: leaves, a crowd, things lying about."""
    side, draw = behind.width, ImageDraw.Draw(behind)
    colours, size = [fill, *(random_colour(rng) for _ in range(rng.randint(1, 3)))], rng.uniform(0.02, 0.12)
    left, top = (side * rng.uniform(-0.2, 0.5) for _ in range(2))
    shape = draw.ellipse if rng.random() < 0.6 else draw.rectangle
    for _ in range(rng.randint(10, 80)):
        w, h = (side * size * rng.uniform(0.3, 1) for _ in range(2))
        x, y = left + side * rng.uniform(0, 0.8), top + side * rng.uniform(0, 0.6)
        shape((x - w, y - h, x + w, y + h), fill=rng.choice(colours))


THINGS: tuple[Callable[[Image.Image, RGB, Random], None], ...] = (_draw_disc, _draw_frame, _draw_shelves, _draw_spots)
