"""Named colours of items, and the materials that keep their own."""

from __future__ import annotations

from dataclasses import dataclass

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "tomato red": (208, 62, 50),
    "terracotta": (196, 108, 74),
    "mustard": (222, 168, 52),
    "sage green": (146, 168, 132),
    "forest green": (48, 98, 72),
    "teal": (42, 132, 134),
    "sky blue": (118, 176, 214),
    "navy": (42, 62, 108),
    "lavender": (160, 142, 198),
    "blush pink": (228, 164, 164),
    "cream": (240, 228, 204),
    "chocolate": (112, 74, 56),
    "charcoal": (74, 76, 82),
    "white": (244, 243, 240),
}

CREAM: RGB = (246, 238, 222)
INK: RGB = (40, 42, 48)
RUBBER: RGB = (48, 48, 52)
STEEL: RGB = (186, 192, 198)
BRASS: RGB = (206, 166, 92)
LEATHER: RGB = (146, 94, 60)
OAK: RGB = (196, 150, 102)
WALNUT: RGB = (122, 82, 58)
COFFEE: RGB = (82, 50, 34)
WOODS: tuple[RGB, ...] = (OAK, WALNUT, (214, 178, 132), (164, 112, 72))


@dataclass(frozen=True, slots=True)
class Paint:
    """A colour, or a pattern of two."""

    colour: RGB
    accent: RGB = CREAM
    pattern: str = "plain"


@dataclass(frozen=True, slots=True)
class Look:
    """What a person chooses of an item: its colour and pattern. Everything else follows."""

    colour: RGB
    pattern: str

    @property
    def main_paint(self) -> Paint:
        return Paint(self.colour, self.accent_colour, self.pattern)

    @property
    def plain_paint(self) -> Paint:
        return Paint(self.colour)

    @property
    def accent_paint(self) -> Paint:
        return Paint(self.accent_colour)

    @property
    def accent_colour(self) -> RGB:
        """Cream on dark colours, a deep tone of its own hue on light ones."""
        return CREAM if brightness(self.colour) < 0.66 else darken_colour(self.colour, 0.5)


def brightness(colour: RGB) -> float:
    red, green, blue = colour
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


def mix_colours(a: RGB, b: RGB, share: float) -> RGB:
    """The colour that is `share` of the way from a to b."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def darken_colour(colour: RGB, share: float) -> RGB:
    return mix_colours(colour, (14, 16, 26), share)


def lighten_colour(colour: RGB, share: float) -> RGB:
    return mix_colours(colour, (255, 252, 246), share)
