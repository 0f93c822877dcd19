"""`python -m ml`: what can be done with models on folders, without Django."""

from __future__ import annotations

import argparse
import sys

from .recipe import ModelFilesError


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit status is 1 after a refusal, told in one sentence."""
    parser = argparse.ArgumentParser(prog="python -m ml", description="Photos in, vectors out.")
    commands = parser.add_subparsers(dest="command", required=True)
    export = commands.add_parser("export", help="write a model directory: weights, inference graph, recipe")
    export.add_argument("--weights", required=True, help="'untrained' (fixed seed) or 'imagenet' (torchvision's)")
    export.add_argument("--out", required=True, metavar="DIR", help="the directory to make; it must not exist")
    export.add_argument("--version", help="the model's name in every answer (default: the name of the weights)")
    export.add_argument("--arch", default="resnet50", help="the network (default: %(default)s)")
    export.add_argument("--dim", type=int, default=1000, help="length of a vector (default: %(default)s)")
    return _export(parser.parse_args(argv))


def _export(options: argparse.Namespace) -> int:
    from safetensors import SafetensorError

    from .export import build
    from .resnet import NoSuchNetworkError
    from .weights import WeightsError

    try:
        recipe = build(
            options.out,
            options.version or options.weights,
            weights=options.weights,
            arch=options.arch,
            dim=options.dim,
        )
    except (ModelFilesError, WeightsError, NoSuchNetworkError, SafetensorError, OSError) as exc:
        print(f"export: {exc}", file=sys.stderr)
        return 1
    print(f"{options.out}: model {recipe.version}, {recipe.arch}, {recipe.dim} dimensions, sha256 {recipe.sha256}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
