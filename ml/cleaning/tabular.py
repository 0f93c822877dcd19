"""A marketplace's tables of products and images become one training table; nothing is left out without a reason.

The same tables always give the same bytes. The files of a result appear when all of them are complete.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ml.atomic_files import open_atomic_text
from ml.catalogue.cells import BadCell, parse_file_name, parse_id
from ml.catalogue.encodings import CatalogueError
from ml.catalogue.findings import FileFindings, Finding, Kind, Report
from ml.catalogue.picture_files import PictureFiles, list_pictures, name_expected_file
from ml.catalogue.records import BrokenRecord, CsvFile

from .products import REQUIRED, ROOT_CATEGORY, read_products

PRODUCTS, TRAINING, LABELS, DROPPED = "products.csv", "training.csv", "labels.json", "dropped.csv"
RESULTS = (PRODUCTS, TRAINING, LABELS, DROPPED)
IMAGE_COLUMNS = ("id", "product_id")
DROPPED_COLUMNS = ("file", "line", "column", "reason")


@dataclass(frozen=True)
class Options:
    """How tables are read.

    Attributes:
        levels: of a category that make a label, from the root.
        pictures: the folder of the picture files; with None they are not looked for.
        encoding: of both tables where they have no mark; None is UTF-8.
    """

    currency: str = "GBP"
    levels: int = 1
    pictures: Path | None = None
    encoding: str | None = None


@dataclass(frozen=True)
class CleanedTables:
    """How many rows a result holds, its labels in the order of their numbers, and what was dropped from each file."""

    products: int
    images: int
    labels: list[str]
    dropped: list[FileFindings]

    @property
    def total_findings(self) -> int:
        """The lines of `dropped.csv`."""
        return sum(findings.counts.total() for findings in self.dropped)


def clean_tables(products: Path, images: Path, target: Path, options: Options) -> CleanedTables:
    """Write `products.csv`, `training.csv` (image,label,product), `labels.json` and `dropped.csv` into `target`.

    Raises:
        CatalogueError: a table cannot be read, lacks a column, is in another encoding or lists nothing; `target`
            cannot be written or a result would replace a table.
    """
    pictures = None if options.pictures is None else list_pictures(options.pictures)
    with ExitStack() as stack:
        product_table = stack.enter_context(CsvFile(products, REQUIRED, options.encoding))
        image_table = stack.enter_context(CsvFile(images, IMAGE_COLUMNS, options.encoding))
        _refuse_conflicting_paths(target, (products, images))
        file = _open_result_files(target, stack)
        report = Report(file[DROPPED], DROPPED_COLUMNS, lineterminator="\n")
        dropped = [report.begin_file(products.name), report.begin_file(images.name)]
        label_of = _write_products(file[PRODUCTS], product_table, options, dropped[0])
        images_of = _write_training_table(file[TRAINING], image_table, label_of, pictures, dropped[1])
        labels = sorted(images_of)
        json.dump({label: number for number, label in enumerate(labels)}, file[LABELS], indent=2, ensure_ascii=False)
    return CleanedTables(len(label_of), images_of.total(), labels, dropped)


def _write_products(file: IO[str], table: CsvFile, options: Options, findings: FileFindings) -> dict[str, str]:
    """The label of each product that was written."""
    writer = csv.DictWriter(file, list(dict.fromkeys([*table.columns, ROOT_CATEGORY])), lineterminator="\n")
    writer.writeheader()
    label_of = {}
    for product in read_products(table, options.currency, options.levels, findings):
        writer.writerow(product.cells)
        label_of[product.id] = product.label
    if not label_of:
        raise CatalogueError(f"{table.path} lists no product that can be used.")
    return label_of


def _write_training_table(
    file: IO[str], table: CsvFile, label_of: Mapping[str, str], pictures: PictureFiles | None, findings: FileFindings
) -> Counter[str]:
    """How many images of each label were written."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("image", "label", "product"))
    counts: Counter[str] = Counter()
    for line, image, product in _read_image_rows(table, findings):
        expected = name_expected_file(image)
        # `clean-images` gives its pictures another suffix than Images.csv may name.
        picture = Path(expected) if pictures is None else pictures.find_converted(image)
        if picture is None and pictures is not None:
            reason = f"no picture {expected} in {pictures.folder}"
            findings.add(Finding(Kind.IMAGE_WITHOUT_FILE, line, "id", image, reason))
        if product not in label_of:
            findings.add(Finding(Kind.IMAGE_WITHOUT_LISTING, line, "product_id", product, f"no listing {product}"))
        elif not label_of[product]:
            reason = f"listing {product} has no category"
            findings.add(Finding(Kind.IMAGE_WITHOUT_LABEL, line, "product_id", product, reason))
        elif picture is not None:
            writer.writerow((picture.name, label_of[product], product))
            counts[label_of[product]] += 1
    if not counts:
        raise CatalogueError(f"{table.path} lists no image of a listing with a category.")
    return counts


def _read_image_rows(table: CsvFile, findings: FileFindings) -> Iterator[tuple[int, str, str]]:
    """(line, id, id of the product) of the rows that have both, each image once."""
    first_lines: dict[str, int] = {}
    for record in table:
        if isinstance(record, BrokenRecord):
            findings.add(Finding(Kind.BAD_ROW, record.line, "", "", record.reason))
            continue
        line = record.line
        values = []
        for column, parse in (("id", parse_file_name), ("product_id", parse_id)):
            cell = record.cells[column]
            try:
                values.append(parse(cell))
            except BadCell as exc:
                findings.add(Finding(Kind.BAD_CELL, line, column, cell, f"{exc}; row left out"))
        if len(values) < 2:
            continue
        image, product = values
        if (first := first_lines.setdefault(image, line)) != line:
            findings.add(Finding(Kind.REPEATED, line, "id", image, f"repeats line {first}; row left out"))
            continue
        if record.note:
            findings.add(Finding(Kind.SHORT_ROW, line, "", "", record.note))
        yield line, image, product


def _refuse_conflicting_paths(target: Path, tables: Sequence[Path]) -> None:
    """No result may replace a table it is made from; a folder of its name would stop it when others are there."""
    for path in (target / name for name in RESULTS):
        if path.is_dir():
            raise CatalogueError(
                f"{path} is a folder, and a file of that name is to be written; choose another folder."
            )
        for table in tables:
            if path.exists() and path.samefile(table):
                raise CatalogueError(f"{path} would replace the table it is made from; choose another folder.")


def _open_result_files(target: Path, stack: ExitStack) -> dict[str, IO[str]]:
    try:
        target.mkdir(parents=True, exist_ok=True)
        # No newline is translated: the same tables must give the same bytes, and Windows would make two bytes of each.
        return {name: stack.enter_context(open_atomic_text(target / name, newline="")) for name in RESULTS}
    except OSError as exc:
        raise CatalogueError(f"{target} cannot be written: {exc.strerror}.") from exc
