"""How good a model's vectors are: new kinds, known kinds, colours, copies. Needs the public data sets."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml.recipe import SOURCES

PARTS = ("garments", "first-eight", "objects", "classes", "demo", "hues", "copies", "probabilities", "cost")
# What some parts need beside the clothes, by the option that names it.
NEEDS = {"classes": "tiny", "objects": "objects", "cost": "former"}


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
    parser.add_argument("--objects", type=Path, help="folder of Caltech-101 with KIND/*.jpg, for 'objects'")
    parser.add_argument("--former", help="the model that it is to replace, for 'cost'")
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
    left_out = {name: reason for name in NEEDS if (reason := _explain_missing_data(arguments, name))}
    for name in arguments.only or ():
        if name in left_out:
            raise SystemExit(f"quality: {left_out[name]}")

    from ml.exporting.model_source import load_model

    from .classes import measure_classes
    from .copies import measure_copies
    from .cost import measure_cost
    from .demo import measure_demo
    from .first_eight import measure_first_eight
    from .garments import measure_garments
    from .hues import measure_hues
    from .objects import measure_objects
    from .probabilities import measure_probabilities
    from .wanted import compare_with_wanted, format_wanted

    embedder = load_model(arguments.model)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "garments": lambda: measure_garments(embedder, arguments.clothing),
        "first-eight": lambda: measure_first_eight(embedder, arguments.clothing),
        "objects": lambda: measure_objects(embedder, arguments.objects),
        "classes": lambda: measure_classes(embedder, arguments.tiny),
        "demo": lambda: measure_demo(embedder),
        "hues": lambda: measure_hues(embedder, arguments.clothing),
        "copies": lambda: measure_copies(embedder, arguments.clothing, count_colours(arguments.model)),
        "probabilities": lambda: measure_probabilities(embedder, arguments.model, arguments.clothing),
        "cost": lambda: measure_cost(arguments.model, arguments.former, arguments.clothing),
    }
    figures = {}
    for name in arguments.only or PARTS:
        if name not in left_out:
            figures[name] = parts[name]()
            # All of them take an hour or more, so what is known is told before the next part can fail.
            print(f"{name}: {json.dumps(figures[name])}", flush=True)
    wanted = compare_with_wanted(figures)
    for sentence in (*left_out.values(), format_wanted(wanted)):
        print(sentence)
    model = {"model": embedder.version, "sha256": embedder.recipe["sha256"], "size": embedder.size}
    return {**model, **figures, "left out": left_out, "wanted": wanted}


def _explain_missing_data(arguments: argparse.Namespace, part: str) -> str:
    """Why a part cannot be measured, in a sentence; empty where it can."""
    option = NEEDS[part]
    given = getattr(arguments, option)
    if given is None:
        return f"'{part}' needs --{option}."
    if isinstance(given, Path):
        return "" if given.is_dir() else f"'{part}' needs --{option}; there is no folder {given}."
    return "" if given in SOURCES or Path(given).exists() else f"'{part}' needs --{option}; there is no model {given}."


def count_colours(source: str) -> int:
    """How many numbers at the end of a model's vectors are its colours; 0 where it has none apart."""
    from ml.exporting.model_source import find_weights
    from ml.network.weights import load_network

    return load_network(str(find_weights(source) or source)).architecture.colours
