"""Find the pictures of an extracted folder that look most like a picture; every vector is compared.

The picture itself, where it is in the folder, comes first with similarity 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ml.evaluation.text_table import align_columns

from .arguments import parse_positive_integer

if TYPE_CHECKING:
    from ml.folders.vector_folder import Hit

ON_SHEET = 100  # answers; thousands would make a sheet too tall for many viewers
HELP = "the pictures of an extracted folder that look most like one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("image", metavar="IMAGE", type=Path, help="the picture to search with")
    parser.add_argument(
        "--in", dest="folder", metavar="EXTRACTED", type=Path, required=True, help="what `extract` wrote"
    )
    parser.add_argument(
        "--k", type=parse_positive_integer, default=10, metavar="N", help="how many to find (default: %(default)s)"
    )
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE.png", help=f"also draw the picture and the first {ON_SHEET} found"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--images", type=Path, metavar="DIR", help="where the pictures are now, if they were moved")
    parser.add_argument(
        "--model", default="starter", help="the model the vectors were extracted with (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    """Search and print; write the sheet where one is asked for."""
    from ml.catalogue.counts import describe_count
    from ml.exporting.model_source import load_model
    from ml.folders.contact_sheet import Answer, write_sheet
    from ml.folders.folder_search import search_folder
    from ml.folders.vector_folder import VectorFolder

    extracted = VectorFolder.open(options.folder)
    manifest = extracted.manifest
    hits = search_folder(extracted, options.image, load_model(options.model), options.k)
    print(format_json(options.image, manifest.model, hits) if options.json else format_table(hits))
    if options.sheet:
        folder = options.images or Path(manifest.folder)
        answers = [
            Answer(folder / hit.picture.path, hit.rank, hit.similarity, hit.picture.label) for hit in hits[:ON_SHEET]
        ]
        searched = f"{describe_count(manifest.n, 'picture')}, model {manifest.model}"
        write_sheet(options.sheet, options.image, answers, searched)
        print(f"Contact sheet: {options.sheet}", file=sys.stderr)


def format_table(hits: Sequence[Hit]) -> str:
    """Rank, similarity, label where there are labels, and path, in columns; bytes that are no text as escapes."""
    rows = [["rank", "similarity", "label", "path"]]
    rows += [[str(hit.rank), f"{hit.similarity:.4f}", hit.picture.label, hit.picture.path] for hit in hits]
    if not any(hit.picture.label for hit in hits):
        for row in rows:
            del row[2]
    table = "\n".join(align_columns(rows, right=2))
    return table.encode(errors="backslashreplace").decode()


def format_json(query: Path, model: str, hits: Sequence[Hit]) -> str:
    """The same for programs; numbers are not rounded."""
    results = [{"rank": hit.rank, "similarity": hit.similarity, **asdict(hit.picture)} for hit in hits]
    return json.dumps({"query": str(query), "model": model, "results": results}, indent=2)
