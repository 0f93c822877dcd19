"""Compute a vector for every picture below a folder, to be searched with `search`.

Writes OUT/vectors.npy (float16, a row of length 1 for each picture), OUT/ids.csv (id, path and label of each row),
OUT/refused.csv (files without a vector, and why) and, last, OUT/extract.json (model, dimensions, number of rows).
Run it again to go on after a stop; when nothing changed, nothing is computed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "vectors of every picture below a folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder of pictures; folders below it are read too")
    parser.add_argument("target", metavar="OUT", type=Path, help="folder to write to")
    parser.add_argument(
        "--model",
        default="starter",
        help="starter, imagenet, untrained, a model directory or a weights file (default: %(default)s)",
    )
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="only the pictures of this table (image,label), with their labels"
    )


def run(options: argparse.Namespace) -> None:
    """Extract the folder and say what it holds now."""
    from ml.catalogue.counts import describe_count
    from ml.exporting.model_source import load_model
    from ml.folders.folder_extraction import embed_folder_to_disk, list_labelled_pictures, list_pictures
    from ml.folders.photo_set import read_photo_set
    from ml.folders.vector_folder import REFUSED

    if options.csv is None:
        pictures, refused = list_pictures(options.folder)
    else:
        pictures, refused = list_labelled_pictures(read_photo_set(options.csv, options.folder), options.folder), []
    done = embed_folder_to_disk(options.folder, pictures, options.target, load_model(options.model), refused)
    manifest = done.manifest
    new = f"{describe_count(done.embedded, 'picture')} embedded now" if done.changed else "nothing had changed"
    vectors = describe_count(manifest.n, "vector")
    print(f"{options.target}: {vectors} of {manifest.dim} dimensions by model {manifest.model}; {new}.")
    if manifest.refused:
        print(f"{describe_count(manifest.refused, 'file')} gave no vector; see {options.target / REFUSED}")
