"""Argument types that refuse nonsense in one sentence."""

from __future__ import annotations

import argparse
from pathlib import Path


def parse_positive_integer(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def parse_writable_path(text: str) -> Path:
    """A file to write, in a folder that is there."""
    path = Path(text)
    try:
        if path.is_dir():
            raise argparse.ArgumentTypeError(f"{path} is a folder; name a file")
        if not path.parent.is_dir():
            raise argparse.ArgumentTypeError(f"{path} cannot be written: there is no folder {path.parent}")
    except OSError as exc:
        raise argparse.ArgumentTypeError(f"{path} cannot be written: {exc.strerror}") from exc
    return path
