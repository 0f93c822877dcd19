"""The confusion of classes as a picture."""

from __future__ import annotations

from html import escape

import numpy as np

from ml.evaluation.confusion import Confusion

MOST_CLASSES = 40
SIDE = 480  # px that the cells may take before they reach their smallest
LONGEST = 20  # letters of a class name
LETTER = 7  # px


def heat_map(confusion: Confusion) -> str:
    """An SVG: a row is what is searched with, a column the class of the first result, of the most confused classes."""
    asked = confusion.counts.sum(axis=1)
    totals = dict(zip(confusion.classes, asked.tolist(), strict=True))
    present = np.flatnonzero(asked + confusion.counts.sum(axis=0))
    part = Confusion([confusion.classes[i] for i in present], confusion.counts[np.ix_(present, present)])
    part = part.most_confused(MOST_CLASSES)
    n = len(part.classes)
    cell = min(max(SIDE // n, 15), 48)
    margin = round(10 + LETTER * max(len(_short(name)) for name in part.classes))
    cells = [_cell(part, i, j, totals[part.classes[i]], cell) for i, j in np.argwhere(part.counts).tolist()]
    labels = [_label(name, (i + 0.5) * cell + 4) for i, name in enumerate(part.classes)]
    size = margin + n * cell
    return (
        f'<svg class="heat" width="{size}" height="{size}" viewBox="{-margin} {-margin} {size} {size}" role="img" '
        f'aria-label="Confusion of {n} classes"><rect class="frame" width="{n * cell}" height="{n * cell}"/>'
        f"{''.join(cells)}{''.join(labels)}</svg>"
    )


def _cell(part: Confusion, i: int, j: int, total: int, cell: int) -> str:
    count, (row, column) = int(part.counts[i, j]), (escape(part.classes[i]), escape(part.classes[j]))
    kind = "right" if i == j else "wrong"
    return (
        f'<rect class="{kind}" x="{j * cell}" y="{i * cell}" width="{cell}" height="{cell}" '
        f'fill-opacity="{0.08 + 0.92 * count / total:.2f}"><title>{row} → {column}: {count} of {total}</title></rect>'
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
