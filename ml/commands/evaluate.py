"""`evaluate`: how well a model finds pictures of the same class, beside what chance and colours find."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ml.atomic_files import open_atomic_text
from ml.errors import MlError

from .arguments import parse_positive_integer, parse_writable_path

if TYPE_CHECKING:
    from ml.evaluation.comparison import Comparison
    from ml.evaluation.evaluate import Evaluation
    from ml.folders.photo_set import PhotoSet
    from ml.inference.calibration.calibration import Calibration

HELP = "judge a model on labelled pictures: R@k, mAP@R, per-class table, report"


class OptionsError(MlError):
    """Options that do not go together."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("table", nargs="?", type=Path, metavar="CSV", help="image,label: each found among the others")
    parser.add_argument("--queries", type=Path, metavar="CSV", help="pictures to search for, with --gallery")
    parser.add_argument("--gallery", type=Path, metavar="CSV", help="pictures to search in")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="what paths in a CSV start from (default: its folder)"
    )
    parser.add_argument(
        "--group",
        metavar="COLUMN",
        help="pictures with the same value here (one item, one sender) do not count for one another",
    )
    parser.add_argument(
        "--at-least",
        type=parse_positive_integer,
        default=10,
        metavar="N",
        help="pictures a class needs to count in the macro average (default: %(default)s)",
    )
    models = parser.add_mutually_exclusive_group()
    models.add_argument(
        "--model",
        default="starter",
        help="'starter', 'untrained', 'imagenet', a model directory or a .safetensors file (default: %(default)s)",
    )
    models.add_argument("--compare", nargs=2, metavar=("A", "B"), help="two models on the same pictures, A minus B")
    parser.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="MODEL",
        help="another model whose figures stand beside every figure; may be given several times",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="the curve whose probabilities are judged (default: the one that came with the model, if any)",
    )
    parser.add_argument(
        "--trained-photos",
        choices=("refuse", "drop", "keep"),
        default="refuse",
        help="what to do with pictures, or copies of pictures, that a model was trained on (default: %(default)s)",
    )
    parser.add_argument(
        "--json", type=parse_writable_path, metavar="FILE", help="write every figure as {mean, low, high}"
    )
    parser.add_argument("--html", type=parse_writable_path, metavar="FILE", help="write one page with pictures")


def run(options: argparse.Namespace) -> None:
    """Evaluate, tell, and write what was asked for."""
    from ml.evaluation.console import format_evaluation

    result = _evaluate_or_compare_models(options)
    print(format_evaluation(result))
    if options.json:
        _write_text(options.json, json.dumps(result.as_dict(), indent=1, ensure_ascii=False) + "\n")
    if options.html:
        from ml.evaluation.report.page import render_page

        _write_text(options.html, render_page(result))


def _write_text(path: Path, text: str) -> None:
    with open_atomic_text(path) as file:
        file.write(text)


def _evaluate_or_compare_models(options: argparse.Namespace) -> Evaluation | Comparison:
    from ml.evaluation.comparison import compare_models
    from ml.evaluation.evaluate import evaluate_beside, judge_probabilities
    from ml.evaluation.seen import settle_seen_pictures
    from ml.exporting.model_source import load_model, read_trained_photos_of

    names = [*(options.compare or [options.model]), *options.beside]
    _refuse_unlike_options(options, names)
    queries, gallery = _read_photo_sets(options)
    trained = {name: read_trained_photos_of(name) for name in names}
    queries, seen = settle_seen_pictures(queries, trained, options.trained_photos)
    embedders = {name: load_model(name) for name in names}
    if options.compare:
        comparison = compare_models(queries, embedders, gallery=gallery, at_least=options.at_least)
        return dataclasses.replace(comparison, model=dataclasses.replace(comparison.model, seen=seen))
    # The model that is judged goes by its version, which says more than the folder that it lies in.
    version = embedders[options.model].version
    title = options.model if version in options.beside else version
    named = {title if name == options.model else name: embedder for name, embedder in embedders.items()}
    evaluation = evaluate_beside(queries, named, gallery=gallery, at_least=options.at_least)
    curve = _read_curve(options.calibration, options.model)
    evaluation = judge_probabilities(evaluation, curve) if curve else evaluation
    return dataclasses.replace(evaluation, seen=seen)


def _read_curve(file: Path | None, model: str) -> Calibration | None:
    from ml.exporting.model_source import find_weights
    from ml.inference.calibration.calibration import Calibration
    from ml.inference.calibration.files import read_calibration

    if file is not None:
        return Calibration.from_bytes(file.read_bytes())
    weights = find_weights(model)
    return None if weights is None else read_calibration(weights)


def _refuse_unlike_options(options: argparse.Namespace, names: list[str]) -> None:
    if options.compare and options.calibration:
        raise OptionsError("--calibration is of one model; leave it out with --compare.")
    if options.compare and options.beside:
        raise OptionsError("--compare has two models already; put more beside one with --model and --beside.")
    for name in names:
        if names.count(name) > 1:
            option = "--compare" if options.compare else "--beside"
            raise OptionsError(f"{option} needs two different models, not {name} twice.")


def _read_photo_sets(options: argparse.Namespace) -> tuple[PhotoSet, PhotoSet | None]:
    separate = (options.queries, options.gallery)
    if options.table and not any(separate):
        return _read_photo_set(options.table, options), None
    if all(separate) and not options.table:
        return _read_photo_set(options.queries, options), _read_photo_set(options.gallery, options)
    raise OptionsError("Name one CSV, or --queries CSV and --gallery CSV together.")


def _read_photo_set(table: Path, options: argparse.Namespace) -> PhotoSet:
    from ml.folders.photo_set import PhotoSetError, read_photo_set

    if options.group is None:
        return read_photo_set(table, options.images)
    photos = read_photo_set(table, options.images, group=options.group)
    if photos.groups is None:
        raise PhotoSetError(f"{table} has no column {options.group!r} to group pictures by.")
    return photos
