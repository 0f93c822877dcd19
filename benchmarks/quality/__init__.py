"""How good a model's vectors are: new kinds, known kinds, colours, copies. Needs the public data sets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

PARTS = ("garments", "classes", "demo", "hues", "copies")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="starter", help="starter, a weights file or a model directory")
    parser.add_argument(
        "--clothing", type=parse_clothing_folder, required=True, help="folder with splits.csv and images/"
    )
    parser.add_argument(
        "--tiny",
        type=parse_tiny_imagenet_folder,
        help="folder with train/WNID/*.webp and val/WNID/*.webp, for 'classes'",
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))


def parse_clothing_folder(text: str) -> Path:
    """The folder of the clothing data, refused before anything is loaded if it is none."""
    folder = Path(text)
    if not (folder / "splits.csv").is_file():
        raise argparse.ArgumentTypeError(f"there is no {folder / 'splits.csv'}")
    return folder


def parse_tiny_imagenet_folder(text: str) -> Path:
    """The folder of the tiny-imagenet data, refused before anything is loaded if it is none."""
    folder = Path(text)
    for part in ("train", "val"):
        if not (folder / part).is_dir():
            raise argparse.ArgumentTypeError(f"there is no folder {folder / part}")
    return folder


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.tiny is None and "classes" in (arguments.only or ()):
        raise SystemExit("quality: 'classes' needs --tiny.")

    from ml.exporting.model_source import load_model

    from .classes import measure_classes
    from .copies import measure_copies
    from .demo import measure_demo
    from .garments import measure_garments
    from .hues import measure_hues

    embedder = load_model(arguments.model)
    parts = {
        "garments": lambda: measure_garments(embedder, arguments.clothing),
        "classes": lambda: measure_classes(embedder, arguments.tiny),
        "demo": lambda: measure_demo(embedder),
        "hues": lambda: measure_hues(embedder, arguments.clothing),
        "copies": lambda: measure_copies(embedder, arguments.clothing),
    }
    if arguments.tiny is None:
        del parts["classes"]
    figures = {name: parts[name]() for name in arguments.only or parts}
    return {"model": embedder.version, "sha256": embedder.recipe["sha256"], "size": embedder.size, **figures}
