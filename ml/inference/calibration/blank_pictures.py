"""Pictures that show nothing anybody sells: one colour, noise, text. Whatever is like them is like nothing."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDES = (256, 320, 400, 480)
LETTERS = "eeeettttaaaooonnniiissrrhhldcumfpgwybvk"  # about as often as in English


def draw_blank_picture(kind: str, seed: int) -> Image.Image:
    """An RGB picture of one of `KINDS`, with sides of 256 to 480 px; the same for the same seed.

    Raises:
        KeyError: there is no such kind.
    """
    dice = Random(f"{kind} {seed}")  # noqa: S311 - pictures, not secrets
    return KINDS[kind](dice, (dice.choice(SIDES), dice.choice(SIDES)))


def _draw_light_wall(dice: Random, size: tuple[int, int]) -> Image.Image:
    return _draw_wall(dice, size, dice.randint(195, 255))


def _draw_dark_wall(dice: Random, size: tuple[int, int]) -> Image.Image:
    return _draw_wall(dice, size, dice.randint(0, 30))


def _draw_wall(dice: Random, size: tuple[int, int], level: int) -> Image.Image:
    """One colour with what a sensor adds to it, darker towards one side."""
    rng = np.random.default_rng(dice.getrandbits(32))
    width, height = size
    tint = np.array([dice.uniform(-6, 6) for _ in range(3)])
    pixels = (
        np.full((height, width, 3), level, np.float64)
        + tint
        + rng.normal(0, dice.choice((0.5, 1, 2, 4)), (height, width, 1))
    )
    fall = np.linspace(0, dice.choice((0, 4, 12)), width if dice.random() < 0.5 else height)
    pixels += fall[np.newaxis, :, np.newaxis] if len(fall) == width else fall[:, np.newaxis, np.newaxis]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _draw_noise(dice: Random, size: tuple[int, int]) -> Image.Image:
    """Grey or coloured, even or bell-shaped, fine or coarse."""
    rng = np.random.default_rng(dice.getrandbits(32))
    grain, channels = dice.choice((1, 1, 2, 3, 5, 8)), dice.choice((1, 3))
    shape = (-(-size[1] // grain), -(-size[0] // grain), channels)
    drawn = rng.integers(0, 256, shape) if dice.random() < 0.5 else rng.normal(128, dice.choice((15, 35, 70)), shape)
    pixels = np.broadcast_to(np.clip(drawn, 0, 255).astype(np.uint8), (*shape[:2], 3))
    coarse = Image.fromarray(np.ascontiguousarray(pixels))
    smooth = dice.random() < 0.3
    return coarse.resize(size, Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST)


def _draw_text(dice: Random, size: tuple[int, int]) -> Image.Image:
    """A page or a screen full of words, dark on light or light on dark."""
    dark = dice.random() < 0.3
    paper, ink = (
        (dice.randint(0, 45), dice.randint(190, 255)) if dark else (dice.randint(220, 255), dice.randint(0, 80))
    )
    picture = Image.new("RGB", size, (paper,) * 3)
    draw, height = ImageDraw.Draw(picture), dice.choice((10, 13, 17, 22, 30, 40))
    font, margin, line = ImageFont.load_default(height), dice.randint(4, 24), dice.uniform(1.2, 1.7)
    top = float(margin)
    while top < size[1] - height:
        if dice.random() < 0.9:  # the others end a paragraph
            draw.text((margin, top), _fill_line(dice, draw, font, size[0] - 2 * margin), (ink,) * 3, font)
        top += height * line
    return picture


def _fill_line(
    dice: Random, draw: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int
) -> str:
    words = [_make_word(dice)]
    while draw.textlength(" ".join(words), font) < width * dice.uniform(0.75, 1):
        words.append(_make_word(dice))
    return " ".join(words[:-1] or words)


def _make_word(dice: Random) -> str:
    return "".join(dice.choices(LETTERS, k=dice.choice((1, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7, 9))))


KINDS: dict[str, Callable[[Random, tuple[int, int]], Image.Image]] = {
    "light": _draw_light_wall,
    "dark": _draw_dark_wall,
    "noise": _draw_noise,
    "text": _draw_text,
}
