"""`export`: a model directory from weights."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write a model directory: weights, inference graph, recipe"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--weights", required=True, help="starter, imagenet, untrained, or a weights file")
    parser.add_argument("--out", required=True, metavar="DIR", help="the directory to make; it must not exist")
    parser.add_argument("--version", help="the model's name in every answer (default: the name of the weights)")
    parser.add_argument("--arch", help="the network (default: the file's, or resnet50)")
    parser.add_argument("--dim", type=int, help="length of a vector (default: the file's, or 1000)")
    parser.add_argument("--size", type=int, help="side of the pictures in pixels (default: the file's, or 224)")
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="DIR",
        help="photos like those it will see, 800 or more: its precision is the lowest that agrees with float32 on them",
    )


def run(options: argparse.Namespace) -> None:
    """Build the directory and say what it holds."""
    from ml.exporting.agreement import explain_precision
    from ml.exporting.export import build_model
    from ml.network.weights import weights_name

    recipe = build_model(
        options.out,
        options.version or weights_name(options.weights),
        weights=options.weights,
        arch=options.arch,
        dim=options.dim,
        size=options.size,
        photos=[] if options.photos is None else _list_photos(options.photos),
    )
    print(f"{options.out}: model {recipe.version}, {recipe.arch}, {recipe.dim} dimensions, sha256 {recipe.sha256}")
    if options.photos is not None:
        print(explain_precision(recipe))


def _list_photos(folder: Path) -> list[Path]:
    from ml.folders.picture_files import list_files

    return [folder / path for path in list_files(folder)[0]]
