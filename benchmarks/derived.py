"""Decoding as a worker does it: in two threads, clean picture and thumbnail made and encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

from ml import images

DECODERS = 2


def derived(paths: Sequence[Path], use: Callable[[Image.Image], Any]) -> Iterator[Any]:
    """What `use` makes of each clean picture, in order."""
    with ThreadPoolExecutor(DECODERS) as threads:
        yield from threads.map(lambda path: use(images.derive(path.read_bytes())[0]), paths)
