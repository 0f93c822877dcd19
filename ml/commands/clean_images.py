"""Write every picture below a folder again: upright, sRGB, of one size, as JPEG without metadata.

Files that are no readable picture are listed in OUT/unreadable.csv, each with the reason. Hidden files are passed over.
Run it again to go on after a stop, or after pictures were added, changed or removed: what is there already is kept, and
what was made of a file that is gone, or gives no picture any more, is removed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import parse_positive_integer

HELP = "pictures of one size from a folder of any pictures"
MAX_SIDE = 8192  # pixels; a square of this side takes 200 MB of memory, and each thread holds one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("source", metavar="IN", type=Path, help="folder of pictures; folders below it are read too")
    parser.add_argument("target", metavar="OUT", type=Path, help="folder to write to: the same paths, ending in .jpg")
    parser.add_argument(
        "--size", type=parse_side, default=512, metavar="PIXELS", help=f"at most {MAX_SIDE:,} (default: %(default)s)"
    )
    parser.add_argument(
        "--fit",
        choices=("letterbox", "shorter-side"),
        default="letterbox",
        help="letterbox: the whole picture in the middle of a black square of SIZE; shorter-side: its shorter side at "
        "most SIZE, never enlarged, nothing added (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs", type=parse_positive_integer, metavar="N", help="pictures at the same time (default: one a core)"
    )


def run(options: argparse.Namespace) -> None:
    """Clean the folder and say what became of it."""
    import os

    from ml.catalogue.counts import describe_count
    from ml.cleaning.images import UNREADABLE, Settings, clean_images

    jobs = options.jobs or os.cpu_count() or 1
    done = clean_images(options.source, options.target, Settings(options.size, options.fit), jobs)
    print(f"{options.target}: {describe_count(done.written, 'picture')} written, {done.there:,} there already.")
    if done.removed:
        files = "the file it was made of is" if done.removed == 1 else "the files they were made of are"
        print(f"{describe_count(done.removed, 'picture')} removed: {files} gone.")
    if done.unreadable:
        print(f"{describe_count(len(done.unreadable), 'file')} gave no picture; see {options.target / UNREADABLE}")


def parse_side(text: str) -> int:
    """A whole number above 0 that the memory has room for."""
    pixels = parse_positive_integer(text)
    if pixels > MAX_SIDE:
        raise argparse.ArgumentTypeError(f"{text} is more than {MAX_SIDE:,} pixels")
    return pixels
