"""How good a model's vectors are: new kinds, known kinds, colours, copies. Needs the public data sets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

PARTS = ("garments", "classes", "demo", "hues", "copies")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="starter", help="starter, a weights file or a model directory")
    parser.add_argument("--clothing", type=clothing, required=True, help="folder with splits.csv and images/")
    parser.add_argument("--tiny", type=tiny, help="folder with train/WNID/*.webp and val/WNID/*.webp, for 'classes'")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))


def clothing(text: str) -> Path:
    """The folder of the clothing data."""
    folder = Path(text)
    if not (folder / "splits.csv").is_file():
        raise argparse.ArgumentTypeError(f"there is no {folder / 'splits.csv'}")
    return folder


def tiny(text: str) -> Path:
    """The folder of the tiny-imagenet data."""
    folder = Path(text)
    for part in ("train", "val"):
        if not (folder / part).is_dir():
            raise argparse.ArgumentTypeError(f"there is no folder {folder / part}")
    return folder


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.tiny is None and "classes" in (arguments.only or ()):
        raise SystemExit("quality: 'classes' needs --tiny.")

    from ml.exporting.model_source import load_model

    from . import classes, copies, demo, garments, hues

    embedder = load_model(arguments.model)
    parts = {
        "garments": lambda: garments.measure(embedder, arguments.clothing),
        "classes": lambda: classes.measure(embedder, arguments.tiny),
        "demo": lambda: demo.measure(embedder),
        "hues": lambda: hues.measure(embedder, arguments.clothing),
        "copies": lambda: copies.measure(embedder, arguments.clothing),
    }
    if arguments.tiny is None:
        del parts["classes"]
    figures = {name: parts[name]() for name in arguments.only or parts}
    return {"model": embedder.version, "sha256": embedder.recipe["sha256"], "size": embedder.size, **figures}
