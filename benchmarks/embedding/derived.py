"""Embeds photos as a worker does, but without database and broker, so that what those cost can be seen.

Two threads decode photos and make their derivatives, while the model infers what they have prepared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ml import images
from ml.inference.embedder import Embedder

DECODERS = 2
BATCH = 32
MOST_WAITING = 2  # batches that are with the model while another one is prepared


def map_clean_pictures(paths: Sequence[Path], use: Callable[[Image.Image], Any]) -> Iterator[Any]:
    """Call `use` with the clean picture of each photo, and yield what it returns, in the order of the photos."""
    with ThreadPoolExecutor(DECODERS) as threads:
        yield from threads.map(lambda path: use(images.make_derivatives(path.read_bytes())[0]), paths)


def embed_photos(paths: Sequence[Path], embedder: Embedder) -> None:
    """Embed each photo in batches, a few of them ahead, so that the model never waits for the next."""
    prepared = map_clean_pictures(paths, embedder.prepare)
    waiting = []
    while batch := list(islice(prepared, BATCH)):
        waiting.append(embedder.submit(np.stack(batch)))
        if len(waiting) > MOST_WAITING:
            waiting.pop(0).result()
    for future in waiting:
        future.result()
