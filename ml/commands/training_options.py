"""The choices of a training run, for `python -m ml train` and for `manage.py train`, which passes them on."""

from __future__ import annotations

import argparse
import math

from .arguments import parse_positive_integer

RECIPES = ("metric", "classify", "distil")


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add every option but those that name the pictures."""
    parser.add_argument("--out", required=True, metavar="RUN", help="folder of the run; the same command goes on")
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        default="metric",
        help="metric: made for searching; classify: a plain classifier, the baseline; distil: learns from a --teacher, "
        "labels beside (default: %(default)s)",
    )
    parser.add_argument(
        "--teacher",
        metavar="NAME,…",
        help="for distil: efficientnet-lite0, efficientnet-lite2, or a .tflite, .onnx or .xml file; several join",
    )
    parser.add_argument(
        "--untaught",
        metavar="SET,…",
        help="for distil: label sets that tell finer kinds than teachers do; of their pictures no teacher is asked",
    )
    parser.add_argument(
        "--head",
        metavar="MODEL",
        help="learn a linear layer on somebody else's network alone: a model directory, efficientnet-lite0, "
        "efficientnet-lite2, or an .onnx, .tflite or .xml file; --keep (0.5), --epochs, --lr, --seed count",
    )
    parser.add_argument(
        "--weights",
        default="starter",
        help="starter, untrained, a weights file, or imagenet, which is downloaded once (default: %(default)s)",
    )
    parser.add_argument(
        "--arch", help="the network (default: that of the weights; of imagenet and untrained ones, resnet50)"
    )
    parser.add_argument(
        "--dim", type=parse_positive_integer, metavar="N", help="length of a vector (default: that of the weights)"
    )
    parser.add_argument(
        "--size", type=parse_positive_integer, metavar="PIXELS", help="side of the pictures (default: the weights')"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--epochs", type=parse_positive_integer, metavar="N", help="times through the pictures (default: 20)"
    )
    length.add_argument(
        "--minutes", type=parse_positive_number, metavar="N", help="minutes of training instead of epochs"
    )
    parser.add_argument("--lr", type=parse_positive_number, metavar="RATE", help="learning rate of the head")
    parser.add_argument(
        "--trunk-lr", type=parse_non_negative_number, metavar="FACTOR", help="the other layers' rate, times --lr"
    )
    parser.add_argument("--freeze", metavar="LAYERS", help="layers that stay as they are, as in conv1,bn1,layer1")
    parser.add_argument(
        "--l2-sp",
        type=parse_non_negative_number,
        metavar="STRENGTH",
        help="pull towards the starting weights (metric: 0.1)",
    )
    parser.add_argument(
        "--keep",
        type=parse_share,
        metavar="SHARE",
        help="share of the starting weights in the result (metric, from weights made for searching: 0.7)",
    )
    parser.add_argument("--batch", type=parse_integer_above_one, metavar="N", help="pictures a step (default: 128)")
    parser.add_argument(
        "--validation-share",
        type=parse_share,
        metavar="SHARE",
        help="pictures set aside to judge by, whole groups where there are groups; 0: none (default: 0.1)",
    )
    parser.add_argument(
        "--patience", type=parse_positive_integer, metavar="EPOCHS", help="stop when these brought nothing better"
    )
    parser.add_argument("--seed", type=parse_positive_integer, metavar="N", help="of everything random (default: 1)")
    parser.add_argument("--threads", type=parse_positive_integer, metavar="N", help="processor threads (default: all)")


def format_training_arguments(options: dict[str, object]) -> list[str]:
    """Return the command line that gives `add_training_options` these values, without those that are None."""
    # The options are read from the parser, so that a new one is passed on without being named here.
    parser = argparse.ArgumentParser(add_help=False)
    add_training_options(parser)
    given = [(action, options.get(action.dest)) for action in parser._actions]  # noqa: SLF001 - argparse has no public list of options
    return [text for action, value in given if value is not None for text in (action.option_strings[0], str(value))]


def parse_integer_above_one(text: str) -> int:
    """Read a whole number above 1: the statistics of a batch need two pictures."""
    number = parse_positive_integer(text)
    if number < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 1")
    return number


def parse_positive_number(text: str) -> float:
    """Read a number above 0."""
    number = _parse_finite_number(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return number


def parse_non_negative_number(text: str) -> float:
    """Read 0 or a number above."""
    number = _parse_finite_number(text)
    if not number >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is below 0")
    return number


def parse_share(text: str) -> float:
    """Read a part of a whole: 0 or more, less than 1."""
    number = _parse_finite_number(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to less than 1")
    return number


def _parse_finite_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from exc
    if math.isinf(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return number
