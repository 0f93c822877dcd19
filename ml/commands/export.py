"""`export`: a model directory from weights, or from somebody else's network."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .model_options import ExportOptionError, add_model_options, refuse_encoder_options

if TYPE_CHECKING:
    from ml.recipe import Recipe

HELP = "write a model directory: inference graph, recipe, and weights where there are some"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--out", required=True, metavar="DIR", help="the directory to make; it must not exist")
    parser.add_argument("--version", help="the model's name in every answer (default: the name of the weights)")
    parser.add_argument("--arch", help="of weights: the network (default: the file's, or resnet50)")
    parser.add_argument("--dim", type=int, help="of weights: length of a vector (default: the file's, or 1000)")
    add_model_options(parser)
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="DIR",
        help="photos like those it will see, 800 or more: its precision is the lowest that agrees with float32 on them",
    )


def run(options: argparse.Namespace) -> None:
    """Build the directory and say what it holds."""
    from ml.exporting.agreement import explain_precision
    from ml.exporting.model_directory import record_origin

    recipe = _export_encoder(options) if options.encoder else _export_weights(options)
    if options.licence or options.source:
        record_origin(Path(options.out), options.licence, options.source)
    print(f"{options.out}: model {recipe.version}, {recipe.arch}, {recipe.dim} dimensions, sha256 {recipe.sha256}")
    if recipe.output:
        print(f"Its vectors are made of {recipe.output!r}; --output names another tensor.")
    if options.photos is not None:
        print(explain_precision(recipe))


def _export_weights(options: argparse.Namespace) -> Recipe:
    from ml.exporting.export import build_model
    from ml.network.weights import weights_name

    refuse_encoder_options(vars(options))
    return build_model(
        options.out,
        options.version or weights_name(options.weights),
        weights=options.weights,
        arch=options.arch,
        dim=options.dim,
        size=options.size,
        photos=_list_photos(options.photos),
    )


def _export_encoder(options: argparse.Namespace) -> Recipe:
    from ml.exporting.encoder_export import build_encoder_model
    from ml.inference.encoders.graph_file import Reading

    if options.arch or options.dim:
        raise ExportOptionError("--arch and --dim are of weights; an encoder's graph has its own.")
    return build_encoder_model(
        options.out,
        options.version or Path(options.encoder).stem,
        options.encoder,
        reading=Reading(options.size, options.mean, options.std, options.output),
        photos=_list_photos(options.photos),
    )


def _list_photos(folder: Path | None) -> list[Path]:
    from ml.folders.picture_files import list_files

    if folder is None:
        return []
    return [folder / path for path in list_files(folder)[0]]
