"""The confusion of classes as a picture."""

from __future__ import annotations

from collections import Counter
from html import escape

from ml.evaluation.confusion import Confusion

MOST_CLASSES = 40
SIDE = 480  # px that the cells may take before they reach their smallest
LONGEST = 20  # letters of a class name
LETTER = 7  # px


def heat_map(confusion: Confusion) -> str:
    """An SVG: a row is what is searched with, a column the class of the first result, of the most confused classes."""
    classes = confusion.most_confused(MOST_CLASSES)
    place = {name: i for i, name in enumerate(classes)}
    queries = Counter[str]()
    for (name, _), count in confusion.counts.items():
        queries[name] += count
    cell = min(max(SIDE // len(classes), 15), 48)
    margin = round(10 + LETTER * max(len(_short(name)) for name in classes))
    cells = [
        _cell(pair, (place[pair[0]], place[pair[1]]), count, queries[pair[0]], cell)
        for pair, count in sorted(confusion.counts.items())
        if place.keys() >= set(pair)
    ]
    labels = [_label(name, (i + 0.5) * cell + 4) for name, i in place.items()]
    inner, size = len(classes) * cell, margin + len(classes) * cell
    return (
        f'<svg class="heat" width="{size}" height="{size}" viewBox="{-margin} {-margin} {size} {size}" role="img" '
        f'aria-label="Confusion of {len(classes)} classes"><rect class="frame" width="{inner}" height="{inner}"/>'
        f"{''.join(cells)}{''.join(labels)}</svg>"
    )


def _cell(pair: tuple[str, str], place: tuple[int, int], count: int, queries: int, side: int) -> str:
    row, column = map(escape, pair)
    return (
        f'<rect class="{"right" if row == column else "wrong"}" x="{place[1] * side}" y="{place[0] * side}" '
        f'width="{side}" height="{side}" fill-opacity="{0.08 + 0.92 * count / queries:.2f}">'
        f"<title>{row} → {column}: {count} of {queries}</title></rect>"
    )


def _label(name: str, middle: float) -> str:
    """The name left of its row and above its column."""
    text = escape(_short(name))
    return (
        f'<text x="-6" y="{middle}" text-anchor="end">{text}</text>'
        f'<text x="{middle}" y="-6" transform="rotate(-90 {middle} -6)">{text}</text>'
    )


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
