"""Merge a marketplace's tables into a training table, with prices as numbers and categories as labels.

Writes OUT/training.csv (image,label,product), OUT/products.csv (cleaned, with root_category), OUT/labels.json (label to
number) and OUT/dropped.csv, which names every row and cell that was left out by file, line, column and reason.
Products.csv needs the columns id and category (levels separated by " / "), Images.csv needs id (the file's name, with
or without its suffix) and product_id; both in UTF-8, or UTF-16 with its mark, unless --encoding says otherwise.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ml.catalogue.encodings import parse_encoding

from .arguments import parse_positive_integer

HELP = "one training table from tables of products and images"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("products", metavar="Products.csv", type=Path, help="id, category; product_name, price, ...")
    parser.add_argument("images", metavar="Images.csv", type=Path, help="id, product_id")
    parser.add_argument("target", metavar="OUT", type=Path, help="folder to write to; its files are replaced")
    parser.add_argument(
        "--images", dest="pictures", metavar="DIR", type=Path, help="drop images whose file is not in this folder"
    )
    parser.add_argument(
        "--levels",
        type=parse_positive_integer,
        default=1,
        metavar="N",
        help="how many levels of a category make a label; 1 is the root category (default: %(default)s)",
    )
    parser.add_argument(
        "--currency",
        type=parse_currency,
        default="GBP",
        metavar="CODE",
        help="of the prices; others are bad cells (default: %(default)s)",
    )
    parser.add_argument(
        "--encoding",
        type=parse_encoding,
        metavar="NAME",
        help="of both tables, such as windows-1252 (default: what a table's mark says, or UTF-8)",
    )


def run(options: argparse.Namespace) -> None:
    """Clean the tables and say what was kept and what was dropped."""
    from ml.catalogue.counts import describe_count
    from ml.catalogue.findings import Kind
    from ml.cleaning.tabular import DROPPED, Options, clean_tables

    chosen = Options(options.currency, options.levels, options.pictures, options.encoding)
    summary = clean_tables(options.products, options.images, options.target, chosen)
    products, images = describe_count(summary.products, "product"), describe_count(summary.images, "image")
    print(f"{options.target}: {products}, {images} with {describe_count(len(summary.labels), 'label')}.")
    for findings in summary.dropped:
        counts = [kind.describe_count(findings.counts[kind]) for kind in Kind if findings.counts[kind]]
        print(f"  {findings.name}: {', '.join(counts) or 'nothing to report'}")
    if summary.total_findings:
        each = "It" if summary.total_findings == 1 else f"Each of these {summary.total_findings:,}"
        print(f"{each} with line, column and reason: {options.target / DROPPED}")
    if len(summary.labels) == 1:
        print(f"All images have the label {summary.labels[0]!r}; --levels {options.levels + 1} makes finer ones.")


def parse_currency(text: str) -> str:
    """Three letters, as ISO 4217 has them."""
    if not (len(text) == 3 and text.isascii() and text.isalpha()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a code of three letters such as GBP")
    return text.upper()
