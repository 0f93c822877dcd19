"""A catalogue on disk for import tests: two CSV files and a folder of photos."""

from __future__ import annotations

import csv
import io
import zlib
from pathlib import Path

from django.core.management import call_command

from tests.factories import draw_photo

PRODUCT = {
    "id": "p1",
    "product_name": "Red mug",
    "category": "Home / Mugs",
    "product_description": "A mug.",
    "price": "£4.50",
    "location": "Leeds",
    "latitude": "53.8",
    "longitude": "-1.5",
    "create_time": "2022-02-26",
    "seller": "7",
}
PHOTO = {"id": "photo1", "product_id": "p1", "create_time": "2022-02-26"}


class Catalogue:
    """Writes rows, runs the command and reads its report."""

    def __init__(self, folder: Path) -> None:
        self.products = folder / "Products.csv"
        self.photos = folder / "Images.csv"
        self.images = folder / "images"
        self.report = folder / "report.csv"
        self.images.mkdir()
        self.write([], [])

    def write(self, products: list[dict], photos: list[dict]) -> None:
        for path, example, rows in ((self.products, PRODUCT, products), (self.photos, PHOTO, photos)):
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(example), quoting=csv.QUOTE_ALL)
                writer.writeheader()
                writer.writerows(example | row for row in rows)

    def add_file(self, name: str, data: bytes | None = None) -> None:
        # Each name another picture, because bytes that a listing has already make no second photo.
        (self.images / name).write_bytes(draw_photo(zlib.crc32(name.encode())) if data is None else data)

    @property
    def arguments(self) -> list[str]:
        return [str(self.products), str(self.photos), "--images", str(self.images), "--report", str(self.report)]

    def run(self, *options: str) -> str:
        """What the command printed."""
        out = io.StringIO()
        call_command("import_catalogue", *self.arguments, *options, stdout=out)
        return out.getvalue()

    def findings(self) -> list[tuple[str, str, str, str]]:
        """(line, file, column, reason) for each row of the report."""
        with self.report.open(encoding="utf-8", newline="") as file:
            return [(row["line"], row["file"], row["column"], row["reason"]) for row in csv.DictReader(file)]
