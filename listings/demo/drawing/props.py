"""What stands about in a scene. Everything here ends up out of focus, so shapes are simple."""

from __future__ import annotations

from random import Random

from PIL import Image, ImageDraw

from .colours import COLOURS, OAK, RGB, darken_colour, lighten_colour

PASTELS: tuple[RGB, ...] = tuple(lighten_colour(colour, 0.25) for colour in COLOURS.values())


def draw_shelf(image: Image.Image, rng: Random, y: float) -> None:
    """A board with books and vases."""
    width, height = image.size
    draw = ImageDraw.Draw(image)
    x = 0.0
    while x < width:
        tall, wide = height * rng.uniform(0.09, 0.17), width * rng.uniform(0.025, 0.055)
        colour = rng.choice(PASTELS)
        roll = rng.random()
        is_book, is_vase = roll < 0.62, 0.62 <= roll < 0.8
        if is_book:
            draw.rectangle((x, y - tall, x + wide, y), fill=colour)
        elif is_vase:
            wide *= 2
            draw.ellipse((x, y - tall * 0.7, x + wide, y + 2), fill=colour)
            draw.rectangle((x + wide * 0.36, y - tall, x + wide * 0.64, y - tall * 0.5), fill=colour)
        else:
            wide *= 1.6
        x += wide + width * 0.006
    # The board comes last: the vases reach two pixels into it, or they would seem to stand on a single point.
    draw.rectangle((0, y, width, y + height * 0.018), fill=OAK)
    draw.rectangle((0, y + height * 0.018, width, y + height * 0.024), fill=darken_colour(OAK, 0.4))


def draw_picture(image: Image.Image, rng: Random, _floor: float) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    x, y = width * rng.choice((0.06, 0.14, 0.64)), height * rng.uniform(0.06, 0.12)
    right, bottom = x + width * 0.28, y + height * 0.26
    draw.rectangle((x + 4, y + 5, right + 5, bottom + 6), fill=(150, 140, 130))
    draw.rectangle((x, y, right, bottom), fill=rng.choice(((60, 54, 50), OAK, (246, 244, 240))))
    draw.rectangle((x + 7, y + 7, right - 7, bottom - 7), fill=(248, 244, 236))
    ground, ink = rng.sample(PASTELS, 2)
    draw.rectangle((x + 18, y + 18, right - 18, bottom - 18), fill=ground)
    draw.ellipse((x + 30, y + 30, right - 34, bottom - 40), fill=ink)


def draw_window(image: Image.Image, rng: Random, _floor: float) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    x, y = width * rng.choice((0.05, 0.56)), height * 0.04
    right, bottom = x + width * 0.38, y + height * 0.42
    draw.rectangle((x - 8, y - 8, right + 8, bottom + 8), fill=(250, 248, 244))
    draw.rectangle((x, y, right, bottom), fill=(196, 222, 240))
    draw.ellipse((x - 10, bottom - height * 0.14, x + width * 0.2, bottom + 30), fill=(150, 184, 130))
    draw.rectangle((x - 8, bottom, right + 8, bottom + 40), fill=(250, 248, 244))
    middle = (x + right) / 2
    draw.line((middle, y, middle, bottom), fill=(250, 248, 244), width=6)
    draw.line((x, (y + bottom) / 2, right, (y + bottom) / 2), fill=(250, 248, 244), width=6)


def draw_plant(image: Image.Image, rng: Random, floor: float) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    x, pot = width * rng.choice((0.1, 0.9)), height * 0.13
    for _ in range(22):
        dx, dy = rng.gauss(0, width * 0.09), rng.uniform(0.02, 0.36) * height
        leaf = rng.choice(((72, 118, 80), (96, 142, 92), (54, 98, 70)))
        cx, cy = x + dx, floor - pot - dy
        draw.line((x, floor - pot, cx, cy), fill=(90, 110, 70), width=2)
        draw.ellipse((cx - width * 0.045, cy - height * 0.022, cx + width * 0.045, cy + height * 0.022), fill=leaf)
    side = width * 0.09
    draw.polygon(
        (x - side, floor - pot, x + side, floor - pot, x + side * 0.7, floor, x - side * 0.7, floor),
        fill=rng.choice(PASTELS),
    )


def draw_floor_lamp(image: Image.Image, rng: Random, floor: float) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    x = width * rng.choice((0.1, 0.88))
    draw.line((x, floor, x, height * 0.14), fill=(70, 64, 60), width=5)
    draw.polygon(
        (
            x - width * 0.05,
            height * 0.06,
            x + width * 0.05,
            height * 0.06,
            x + width * 0.11,
            height * 0.2,
            x - width * 0.11,
            height * 0.2,
        ),
        fill=(252, 236, 200),
    )


def draw_boxes(image: Image.Image, rng: Random, floor: float) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    x = width * rng.choice((0.0, 0.6))
    for level in range(rng.randint(1, 3)):
        left, top = x + rng.uniform(0, 0.05) * width, floor - (level + 1) * height * 0.1
        colour = rng.choice(((200, 164, 120), (186, 148, 106), rng.choice(PASTELS)))
        draw.rectangle((left, top, left + width * 0.3, top + height * 0.1), fill=colour)
        draw.line((left, top, left + width * 0.3, top), fill=darken_colour(colour, 0.2), width=2)


def draw_rug(image: Image.Image, rng: Random) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    colour = rng.choice(PASTELS)
    # The largest comes first: each ellipse is painted over the one before and leaves a ring of it.
    for share, tone in (
        (1.0, darken_colour(colour, 0.12)),
        (0.93, colour),
        (0.78, lighten_colour(colour, 0.4)),
        (0.73, colour),
    ):
        rx, ry = width * 0.56 * share, height * 0.135 * share
        # 0.82 is GROUND of `compose`, whose import would be a circle: the item has to stand on the rug.
        draw.ellipse((width / 2 - rx, height * 0.82 - ry, width / 2 + rx, height * 0.82 + ry), fill=tone)


def draw_foliage(image: Image.Image, rng: Random, floor: float) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    for _ in range(70):
        x, y, r = rng.uniform(0, width), floor - abs(rng.gauss(0, height * 0.22)), rng.uniform(0.03, 0.1) * width
        tone = rng.choice(((70, 112, 66), (96, 142, 80), (134, 172, 96), (54, 92, 58), (188, 206, 128)))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tone)
    # Nine blossoms come after seventy leaves, which would hide most of them otherwise.
    for _ in range(9):
        x, y, r = rng.uniform(0, width), rng.uniform(0.05, 0.5) * height, rng.uniform(0.02, 0.05) * width
        draw.ellipse((x - r, y - r, x + r, y + r), fill=rng.choice(((250, 246, 214), (244, 214, 222), (255, 240, 180))))


def draw_grass(image: Image.Image, rng: Random, top: float) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    for _ in range(900):
        # A blade that is lower in the picture is nearer, so it looks longer.
        y = rng.uniform(top, height)
        x, tall = rng.uniform(0, width), (4 + 14 * (y - top) / (height - top))
        tone = rng.choice(((96, 150, 70), (122, 170, 84), (74, 122, 56), (150, 188, 100)))
        draw.line((x, y, x + rng.uniform(-3, 3), y - tall), fill=tone, width=1)
