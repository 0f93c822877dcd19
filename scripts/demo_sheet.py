"""Twenty photos of the demo and what a model finds for each: python -m scripts.demo_sheet PICTURE.jpg [--model M].

A row is a query and its eight nearest photos of other listings, framed green where they show the same kind of thing.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from listings.demo.drawing import KINDS
from listings.demo.photos import draw_planned_photo
from listings.demo.plan import LISTINGS, DemoPhoto, plan_catalogue
from ml.evaluation.metrics import Labelled, judge_queries
from ml.exporting.model_source import load_model
from ml.images import make_clean_picture

QUERIES, FOUND, COLUMNS = 20, 8, 2  # two columns of queries keep the picture readable beside text
THUMB, FRAME, GAP = 72, 3, 14  # pixels
RIGHT, WRONG, PAPER = (30, 160, 70), (205, 45, 45), (255, 255, 255)
QUALITY = 82


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path, help="the JPEG to write")
    parser.add_argument("--model", default="starter", help="as `python -m ml evaluate` takes it (default: %(default)s)")
    options = parser.parse_args()
    draw_sheet(options.model).save(options.picture, "JPEG", quality=QUALITY)


def draw_sheet(model: str) -> Image.Image:
    """Return the sheet of a model: queries are spread over kinds, and are the same for every model."""
    listings = list(plan_catalogue(LISTINGS, datetime(2026, 1, 1, tzinfo=UTC)))
    photos = [(number, photo) for number, listing in enumerate(listings) for photo in listing.photos]
    pictures = [make_clean_picture(draw_planned_photo(photo)) for _, photo in photos]
    embedder = load_model(model)
    vectors = embedder.embed(np.stack([embedder.prepare(picture) for picture in pictures]))
    kinds = np.array([list(KINDS).index(photo.kind) for _, photo in photos])
    judged = judge_queries(Labelled(vectors, kinds, np.array([number for number, _ in photos])))
    rows = -(-QUERIES // COLUMNS)
    width, height = THUMB * (FOUND + 1) + GAP * 2, THUMB + 2
    sheet = Image.new("RGB", (width * COLUMNS - GAP, height * rows), PAPER)
    for place, query in enumerate(_choose_queries([photo for _, photo in photos])):
        left, top = place // rows * width, place % rows * height
        _paste_row(sheet, pictures, [int(query), *judged.found[query, :FOUND]], kinds, (left, top))
    return sheet


def _choose_queries(photos: list[DemoPhoto]) -> npt.NDArray[np.int64]:
    by_kind = np.array(sorted(range(len(photos)), key=lambda i: (photos[i].kind, i)))
    return by_kind[np.linspace(0, len(photos) - 1, QUERIES).astype(int)]


def _paste_row(
    sheet: Image.Image,
    pictures: list[Image.Image],
    row: list[int],
    kinds: npt.NDArray[np.int64],
    corner: tuple[int, int],
) -> None:
    for place, position in enumerate(row):
        left, top = corner[0] + place * THUMB + (GAP if place else 0), corner[1]
        if place:
            frame = RIGHT if kinds[position] == kinds[row[0]] else WRONG
            sheet.paste(frame, (left, top, left + THUMB - 1, top + THUMB - 1))
        inner = THUMB - 2 * FRAME - 1
        sheet.paste(pictures[position].resize((inner, inner), Image.Resampling.BILINEAR), (left + FRAME, top + FRAME))


if __name__ == "__main__":
    main()
