"""What a model is made of, for `python -m ml export` and for `manage.py models register`, which passes it on."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from ml.errors import MlError
from ml.recipe import ENCODERS, SOURCES

OF_ENCODERS = ("mean", "std", "output")
BYTES = 255.0


class ExportOptionError(MlError):
    """Options that do not go together."""


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add every option that says what the model is made of."""
    made_of = parser.add_mutually_exclusive_group(required=True)
    made_of.add_argument("--weights", help=f"{', '.join(SOURCES)}, or a weights file of ours")
    made_of.add_argument(
        "--encoder",
        metavar="FILE",
        help=f"somebody else's network: {', '.join(ENCODERS)}, or an .onnx, .tflite or .xml file",
    )
    parser.add_argument(
        "--size", type=int, metavar="PIXELS", help="side of the pictures in pixels (default: its own, or 224)"
    )
    parser.add_argument(
        "--mean",
        type=parse_channel_means,
        default=(),
        metavar="R,G,B",
        help="subtracted from pictures of 0 to 1 (default: ImageNet's 0.485,0.456,0.406; a graph of bytes takes none)",
    )
    parser.add_argument(
        "--std",
        type=parse_channel_deviations,
        default=(),
        metavar="R,G,B",
        help="by what they are divided (default: ImageNet's 0.229,0.224,0.225)",
    )
    parser.add_argument("--output", default="", metavar="NAME", help="which of an encoder's tensors is the vector")
    parser.add_argument("--licence", default="", metavar="TEXT", help="of the weights, to be shown beside the model")
    parser.add_argument("--source", default="", metavar="TEXT", help="where they come from, to be shown as well")


def refuse_encoder_options(options: Mapping[str, object]) -> None:
    """Raise ExportOptionError where weights are given what only somebody else's graph can be asked for."""
    given = [f"--{name}" for name in OF_ENCODERS if options[name]]
    if given:
        raise ExportOptionError(f"{' and '.join(given)} can be said of an --encoder alone; weights know their own.")


def format_model_arguments(options: dict[str, object]) -> list[str]:
    """Return the command line that gives `add_model_options` these values, without those that are empty."""
    parser = argparse.ArgumentParser(add_help=False)
    add_model_options(parser)
    names = [(action.option_strings[0], options.get(action.dest)) for action in parser._actions]  # noqa: SLF001 - argparse has no public list of options
    empty: tuple[object, ...] = (None, "", ())
    return [text for option, value in names if value not in empty for text in (option, _format_value(value))]


def parse_channel_means(text: str) -> tuple[float, ...]:
    """Read three numbers from 0 to 1, as model cards state them; in units of bytes."""
    found = _parse_channels(text)
    if not all(0 <= value <= 1 for value in found):
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers from 0 to 1; 123.675 of 255 is written 0.485")
    return tuple(value * BYTES for value in found)


def parse_channel_deviations(text: str) -> tuple[float, ...]:
    """Read three numbers above 0, as model cards state them; in units of bytes."""
    found = _parse_channels(text)
    if not all(0 < value <= 1 for value in found):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not three numbers above 0, up to 1; 58.395 of 255 is written 0.229"
        )
    return tuple(value * BYTES for value in found)


def _parse_channels(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers, as in 0.5,0.5,0.5") from exc
    if len(found) != 3:
        raise argparse.ArgumentTypeError(f"{text!r} is {len(found)} numbers, not one for red, green and blue")
    return found


def _format_value(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(repr(part / BYTES) for part in value)
    return str(value)
