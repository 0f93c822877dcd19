"""The confusion of classes as a picture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from markupsafe import Markup

from ml.evaluation.confusion import Confusion

from .rendering import render_template

MOST_CLASSES = 40
# The cells of a row share these pixels; where many classes would leave cells too small to see, the map gets wider.
SIDE_PX = 480
SMALLEST_CELL_PX, LARGEST_CELL_PX = 15, 48
LONGEST_NAME = 20  # letters; longer names are cut with an ellipsis, so that labels do not take the room of the map
LETTER_WIDTH_PX = 7  # an estimate, because only the browser knows the font


@dataclass(frozen=True)
class Cell:
    """How many of a class's queries found which class first, and where that is shown."""

    searched: str
    found: str
    count: int
    queries: int
    x: int
    y: int


@dataclass(frozen=True)
class Label:
    """The name of a class, and the middle of its row and of its column."""

    text: str
    middle: float


def draw_heat_map(confusion: Confusion) -> Markup:
    """An SVG: a row is what is searched with, a column the class of the first result, of the most confused classes."""
    classes = confusion.most_confused_classes(MOST_CLASSES)
    side = min(max(SIDE_PX // len(classes), SMALLEST_CELL_PX), LARGEST_CELL_PX)
    labels = [Label(_shorten_name(name), (i + 0.5) * side + 4) for i, name in enumerate(classes)]
    return render_template(
        "heat_map.svg",
        side=side,
        inner=side * len(classes),
        margin=round(10 + LETTER_WIDTH_PX * max(len(label.text) for label in labels)),
        labels=labels,
        cells=_place_cells(confusion, classes, side),
    )


def _place_cells(confusion: Confusion, classes: list[str], side: int) -> list[Cell]:
    start = {name: i * side for i, name in enumerate(classes)}
    queries = Counter[str]()
    for (searched, _), count in confusion.counts.items():
        queries[searched] += count
    return [
        Cell(searched, found, count, queries[searched], x=start[found], y=start[searched])
        for (searched, found), count in sorted(confusion.counts.items())
        if searched in start and found in start
    ]


def _shorten_name(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
