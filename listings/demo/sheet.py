"""A contact sheet of the demo catalogue, for people to look at."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from .photos import draw_planned_photo
from .plan import plan_catalogue

COLUMNS = 16
CELL = 200
GAP = 6


def write_contact_sheet(folder: Path, count: int) -> Path:
    """Draw the first photo of each listing, small, into `contact-sheet.png`; a column holds one kind."""
    rows = -(-count // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL + GAP, rows * CELL + GAP), (250, 250, 248))
    for index, listing in enumerate(plan_catalogue(count, datetime.now(UTC))):
        image = draw_planned_photo(listing.photos[0])
        image.thumbnail((CELL - GAP, CELL - GAP), Image.Resampling.BOX)
        left, top = index % COLUMNS * CELL, index // COLUMNS * CELL
        sheet.paste(image, (left + (CELL + GAP - image.width) // 2, top + (CELL + GAP - image.height) // 2))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "contact-sheet.png"
    sheet.save(path)
    return path
