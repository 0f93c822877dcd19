"""Photos as a worker embeds them, without database and broker: decoded in two threads, derivatives made, inferred."""

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
MOST_WAITING = 2  # batches that the model has beside the one that is prepared


def map_clean_pictures(paths: Sequence[Path], use: Callable[[Image.Image], Any]) -> Iterator[Any]:
    """What `use` makes of each clean picture, in order."""
    with ThreadPoolExecutor(DECODERS) as threads:
        yield from threads.map(lambda path: use(images.make_derivatives(path.read_bytes())[0]), paths)


def embed_photos(paths: Sequence[Path], embedder: Embedder) -> None:
    """Embed each clean picture, in batches that follow one another in the model without a gap."""
    prepared = map_clean_pictures(paths, embedder.prepare)
    waiting = []
    while batch := list(islice(prepared, BATCH)):
        waiting.append(embedder.submit(np.stack(batch)))
        if len(waiting) > MOST_WAITING:
            waiting.pop(0).result()
    for future in waiting:
        future.result()
