"""Pictures of odd kinds, made here after what cameras, editors and browsers do. `write_made_pictures` writes them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.ml.images.made.containers import avifs, heics
from tests.ml.images.made.gif import gifs
from tests.ml.images.made.jpeg import jpegs
from tests.ml.images.made.picture import Made
from tests.ml.images.made.png import pngs
from tests.ml.images.made.webp import webps

__all__ = ["Made", "make_pictures", "write_made_pictures"]


@cache
def make_pictures() -> dict[str, Made]:
    """Every made picture by the name of its file."""
    return jpegs() | pngs() | gifs() | webps() | avifs() | heics()


def write_made_pictures(folder: Path) -> dict[str, Made]:
    """Write them all into `folder`, for programs that read files. Returns what each must look like."""
    for name, made in make_pictures().items():
        (folder / name).write_bytes(made.data)
    return make_pictures()
