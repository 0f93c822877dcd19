"""Pictures of what a network finds: queries beside their neighbours, and which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ml.inference.arrays import resize_and_crop
from ml.training.data.pixels import PixelCache

from .retrieval import Judgement

ROWS, COLUMNS = 8, 8
THUMB, FRAME = 64, 4
RIGHT, WRONG, PAPER = (30, 160, 70), (205, 45, 45), (255, 255, 255)
LABELLED = 30  # classes; with more of them a row is too thin for a name beside it
INK = np.array((20, 60, 130))
NAME = 24  # characters; the last ones of a name are shown, because the end of a path tells most


def make_thumbnails(
    pixels: PixelCache, rows: Sequence[int] | npt.NDArray[np.int64], side: int
) -> npt.NDArray[np.uint8]:
    """Return the central squares of these pictures: uint8[N, side, side, 3]."""
    return np.stack([resize_and_crop(pixels.picture(row), side) for row in rows])


def neighbour_sheet(judgement: Judgement) -> Image.Image:
    """Draw queries of as many classes as fit, each with its nearest pictures, framed green where the class is right."""
    judged, pixels = judgement.judged, judgement.photos.pixels
    queries = _choose_positions_across_classes(judged.targets, ROWS)
    cell = THUMB + 2 * FRAME
    sheet = Image.new("RGB", (cell * (COLUMNS + 1) + cell // 4, cell * len(queries)), PAPER)
    for line, query in enumerate(queries):
        found = [row for row in judged.found[query, :COLUMNS] if row >= 0]
        for column, picture in enumerate(make_thumbnails(pixels, [query, *found], THUMB)):
            left = cell * column + (cell // 4 if column else 0)
            if column:
                colour = RIGHT if judged.hits[query, column - 1] else WRONG
                sheet.paste(colour, (left + 1, cell * line + 1, left + cell - 1, cell * (line + 1) - 1))
            sheet.paste(Image.fromarray(picture), (left + FRAME, cell * line + FRAME))
    return sheet


def _choose_positions_across_classes(targets: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
    """Return int64[length or fewer] positions, evenly over the classes; the same ones for the same targets."""
    by_class = np.argsort(targets, kind="stable")
    return by_class[np.unique(np.linspace(0, len(targets) - 1, min(length, len(targets))).astype(int))]


def confusion_picture(counts: npt.NDArray[np.int64], classes: Sequence[str]) -> Image.Image:
    """Draw a row for each class of int64[C, C] and a column for what it is taken for; the darker, the more often."""
    known = np.flatnonzero(counts.sum(axis=1) + counts.sum(axis=0))
    counts = counts[np.ix_(known, known)]
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    cell = max(2, min(40, 640 // len(known)))
    colours = (255 - shares[..., None] * (255 - INK)).astype(np.uint8)
    matrix = Image.fromarray(colours.repeat(cell, axis=0).repeat(cell, axis=1))
    if len(known) > LABELLED:
        return matrix
    return _add_class_names(matrix, [classes[int(i)][-NAME:] for i in known], cell)


def _add_class_names(matrix: Image.Image, names: Sequence[str], cell: int) -> Image.Image:
    font = ImageFont.load_default(size=max(9, min(16, cell - 4)))
    margin = round(max(font.getlength(name) for name in names)) + 8
    sheet = Image.new("RGB", (margin + matrix.width, margin + matrix.height), PAPER)
    sheet.paste(matrix, (margin, margin))
    # Pillow writes text only in rows, so the names of columns are written so too, and then turned.
    columns = Image.new("RGB", (margin, matrix.width), PAPER)
    for picture, anchor, x in ((sheet, "rm", margin - 4), (columns, "lm", 4)):
        top = margin if picture is sheet else 0
        draw = ImageDraw.Draw(picture)
        for i, name in enumerate(names):
            draw.text((x, top + cell * (i + 0.5)), name, (0, 0, 0), font, anchor=anchor)
    sheet.paste(columns.transpose(Image.Transpose.ROTATE_90), (margin, 0))
    return sheet
