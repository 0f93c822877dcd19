"""`export`: a model directory from weights."""

from __future__ import annotations

import argparse

HELP = "write a model directory: weights, inference graph, recipe"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--weights", required=True, help="'untrained' (fixed seed) or 'imagenet' (torchvision's)")
    parser.add_argument("--out", required=True, metavar="DIR", help="the directory to make; it must not exist")
    parser.add_argument("--version", help="the model's name in every answer (default: the name of the weights)")
    parser.add_argument("--arch", default="resnet50", help="the network (default: %(default)s)")
    parser.add_argument("--dim", type=int, default=1000, help="length of a vector (default: %(default)s)")


def run(options: argparse.Namespace) -> None:
    """Build the directory and say what it holds."""
    from ml.export import build

    recipe = build(
        options.out, options.version or options.weights, weights=options.weights, arch=options.arch, dim=options.dim
    )
    print(f"{options.out}: model {recipe.version}, {recipe.arch}, {recipe.dim} dimensions, sha256 {recipe.sha256}")
