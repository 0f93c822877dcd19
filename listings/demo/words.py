"""What demo listings say: one entry a kind, and the towns and people they come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wording:
    category: str
    names: tuple[str, ...]
    details: tuple[str, ...]
    prices: tuple[int, int]
    views: tuple[str, ...] = ("front", "square", "mirrored", "close", "far", "tilted")


WORDINGS: dict[str, Wording] = {
    "mug": Wording(
        "Home & Garden / Kitchen / Mugs",
        ("mug", "stoneware mug", "coffee mug", "hand-thrown mug", "big tea mug"),
        (
            "Holds a proper amount of tea.",
            "No chips, no tea stains.",
            "Dishwasher safe, though I always washed it by hand.",
        ),
        (3, 18),
    ),
    "teapot": Wording(
        "Home & Garden / Kitchen / Teapots",
        ("teapot", "glazed teapot", "family teapot", "small teapot"),
        ("Pours without dripping.", "Enough for four cups.", "The lid sits tight; a gift we never used."),
        (8, 45),
    ),
    "lamp": Wording(
        "Home & Garden / Lighting / Lamps",
        ("table lamp", "bedside lamp", "reading lamp", "lamp with shade"),
        ("Works, bulb included.", "The shade comes off for cleaning.", "Two metres of cable, switch on the cord."),
        (12, 80),
    ),
    "chair": Wording(
        "Home & Garden / Furniture / Chairs",
        ("chair", "kitchen chair", "reading chair", "vintage chair"),
        (
            "Solid, does not wobble.",
            "One small mark on the back leg.",
            "Restored last year; smoke-free and pet-free home.",
        ),
        (15, 160),
    ),
    "bicycle": Wording(
        "Sport & Leisure / Cycling / Bicycles",
        ("bicycle", "city bike", "commuter bike", "road bike", "vintage bike"),
        (
            "Serviced in spring, new brake pads.",
            "Rides smoothly, a few scratches on the frame.",
            "Fits riders of 165 to 185 cm.",
        ),
        (60, 480),
        ("far", "square", "far", "square", "front"),
    ),
    "guitar": Wording(
        "Music / Instruments / Guitars",
        ("guitar", "beginner's guitar", "guitar with gig bag", "small-bodied guitar"),
        ("Fresh strings, stays in tune.", "Plays beautifully, light wear.", "Comes with a strap and three picks."),
        (45, 390),
        ("front", "mirrored", "tilted", "square", "front"),
    ),
    "backpack": Wording(
        "Fashion / Bags / Backpacks",
        ("backpack", "school backpack", "canvas backpack", "weekend backpack"),
        ("Fits a 15 inch laptop.", "All zips run smoothly.", "Water repellent, used on one holiday."),
        (10, 75),
    ),
    "sneaker": Wording(
        "Fashion / Shoes / Sneakers",
        ("sneakers", "canvas sneakers", "trainers", "running shoes"),
        ("Worn twice, too small for me.", "Size 39, true to size.", "Cleaned and with new laces."),
        (12, 95),
        ("square", "far", "mirrored", "close", "front"),
    ),
}

PATTERN_WORDS = {
    "plain": "",
    "striped": "striped",
    "dotted": "polka dot",
    "checked": "gingham",
    "floral": "floral",
    "zigzag": "zigzag",
}
CONDITIONS = ("As good as new.", "Used, in good condition.", "Well loved, plenty of life left.", "Hardly used.")
HANDOVERS = ("Collection or post.", "Collection preferred.", "Can meet at the station.", "Posted within two days.")

TOWNS: dict[str, tuple[float, float]] = {
    "London": (51.5072, -0.1276),
    "Manchester": (53.4808, -2.2426),
    "Bristol": (51.4545, -2.5879),
    "Leeds": (53.8008, -1.5491),
    "Brighton": (50.8225, -0.1372),
    "Edinburgh": (55.9533, -3.1883),
    "Glasgow": (55.8642, -4.2518),
    "Cardiff": (51.4816, -3.1791),
    "Belfast": (54.5973, -5.9301),
    "Norwich": (52.6309, 1.2974),
    "York": (53.9600, -1.0873),
    "Exeter": (50.7184, -3.5339),
}
SELLERS = ("ada", "bilal", "carys", "dougal", "esme", "farah", "gwen", "hamish", "iris", "jonah", "kezia", "lowri")
