"""What made-up things are covered with: colours, patterns and pieces of photos."""

from __future__ import annotations

from random import Random

from PIL import Image, ImageDraw

RGB = tuple[int, int, int]


def random_colour(rng: Random) -> RGB:
    """Draw any colour, greys as often as saturated ones."""
    # Three evenly drawn channels are seldom grey, as much of what is sold is.
    grey, chroma = rng.uniform(10, 245), rng.choice((0.1, 0.5, 1.0))
    pure = [rng.uniform(0, 255) for _ in range(3)]
    red, green, blue = (round(chroma * value + (1 - chroma) * grey) for value in pure)
    return red, green, blue


def draw_surface(texture: Image.Image, side: int, rng: Random) -> Image.Image:
    """Draw a square of one colour, or of stripes, dots or checks of two, or a piece of `texture`."""
    plain = Image.new("RGB", (side, side), random_colour(rng))
    pattern = rng.choice(("plain", "plain", "plain", "stripes", "dots", "checks", "photo", "photo"))
    if pattern == "photo":
        return cut_and_scale_piece(texture, side, rng.uniform(0.2, 0.6), rng)
    if pattern == "plain":
        return plain
    draw, other = ImageDraw.Draw(plain), random_colour(rng)
    step = max(4, int(side * rng.uniform(0.04, 0.14)))
    for y in range(0, side, step):
        if pattern == "stripes":
            draw.rectangle((0, y, side, y + step // 2), fill=other)
            continue
        for x in range(0, side, step):
            box = (x, y, x + step // 2, y + step // 2)
            draw.ellipse(box, fill=other) if pattern == "dots" else draw.rectangle(box, fill=other)
    return plain.rotate(rng.choice((0, 45, 90)), expand=False, fillcolor=other)


def draw_ramp(size: tuple[int, int], top: RGB, bottom: RGB, rng: Random) -> Image.Image:
    """Draw one colour that runs downwards into the other, a random part of the way."""
    share = rng.uniform(0, 1)
    end = tuple(round(one + (other - one) * share) for one, other in zip(top, bottom, strict=True))
    ramp = Image.new("RGB", (1, 2), top)
    ramp.putpixel((0, 1), end)
    return ramp.resize(size, Image.Resampling.BILINEAR)


def cut_and_scale_piece(photo: Image.Image, side: int, part: float, rng: Random) -> Image.Image:
    """Cut a random piece of `photo`, `part` of its width and height, and scale it to a square of `side` pixels."""
    w, h = photo.width * part, photo.height * part
    left, top = rng.uniform(0, photo.width - w), rng.uniform(0, photo.height - h)
    return photo.resize((side, side), Image.Resampling.BILINEAR, box=(left, top, left + w, top + h))
