"""Picture files to vectors, prepared as the site prepares what it indexes; decoding runs beside inference."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from ml.images import CLEAN_SIDE, PhotoRefused, decode_file, make_clean_picture
from ml.inference.arrays import Vectors, is_indexable, resize_and_crop
from ml.inference.embedder import MAX_BATCH

Prepared = npt.NDArray[Any]
Made = TypeVar("Made")

THREADS = 2
UNUSABLE = "The model computes no usable vector for this picture."
AHEAD = 2 * MAX_BATCH  # pictures decoded ahead, so that the model seldom waits for a full batch


class PictureEmbedder(Protocol):
    """What turns *clean* pictures into vectors: `ml.inference.embedder.Embedder`, or something it is compared with."""

    version: str
    dim: int

    def prepare(self, image: Image.Image) -> Prepared:
        """One picture as one row of a batch; called from several threads."""

    def embed(self, batch: Prepared) -> Vectors:
        """float32[N, dim], each row of length 1."""


class UnreadablePicture(NamedTuple):
    """A file that gave no vector, and the sentence why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Extraction:
    """N vectors of the pictures that could be read, and why the others could not.

    Attributes:
        vectors: float32[N, dim], rows of length 1.
        kept: int64[N], their positions among the paths, ascending.
    """

    vectors: Vectors
    kept: npt.NDArray[np.int64]
    refused: list[UnreadablePicture]


def extract_vectors(paths: Sequence[Path], embedder: PictureEmbedder, *, title: str = "vectors") -> Extraction:
    """Decode and embed every picture; what cannot be read is left out and listed, and the others go on."""
    vectors = np.zeros((len(paths), embedder.dim), np.float32)
    usable = np.zeros(len(paths), bool)
    reasons: dict[int, str] = {}
    with tqdm(total=len(paths), desc=title, unit=" pictures", disable=None) as progress:
        for batch in _embed_batches(_stack_batches(decode_and_prepare_files(paths, embedder.prepare)), embedder):
            reasons |= batch.reasons
            if batch.positions:
                vectors[batch.positions], usable[batch.positions] = batch.vectors, is_indexable(batch.vectors)
            progress.update(len(batch.positions) + len(batch.reasons))
    refused = [UnreadablePicture(paths[i], reasons.get(i, UNUSABLE)) for i in np.flatnonzero(~usable).tolist()]
    return Extraction(vectors if usable.all() else vectors[usable], np.flatnonzero(usable), refused)


def read_prepared_pictures(paths: Sequence[Path], size: int, at_most: int) -> npt.NDArray[np.uint8]:
    """uint8[N, size, size, 3]: the first pictures that can be read, as a network of that size takes them."""
    found = (
        picture
        for picture in decode_and_prepare_files(paths, lambda image: resize_and_crop(image, size))
        if not isinstance(picture, str)
    )
    pictures = list(islice(found, at_most))
    return np.stack(pictures) if pictures else np.empty((0, size, size, 3), np.uint8)


def decode_and_prepare_files(paths: Sequence[Path], prepare: Callable[[Image.Image], Made]) -> Iterator[Made | str]:
    """In the order of `paths`: what `prepare` makes of a *clean* picture, or the reason why there is none.

    Files are decoded, and `prepare` called, in `THREADS` threads that stay a little ahead of whoever takes the results.
    """
    remaining = iter(paths)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="decoder") as decoders:
        waiting = deque(decoders.submit(_decode_and_prepare_file, path, prepare) for path in islice(remaining, AHEAD))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(decoders.submit(_decode_and_prepare_file, path, prepare) for path in islice(remaining, 1))


@dataclass
class _Batch:
    """Up to MAX_BATCH pictures on their way: where each stands, or why there is none."""

    positions: list[int]
    pictures: Prepared | None
    reasons: dict[int, str]
    vectors: Vectors = field(default_factory=lambda: np.empty((0, 0), np.float32))


def _stack_batches(prepared: Iterator[Prepared | str]) -> Iterator[_Batch]:
    numbered = enumerate(prepared)
    while outcomes := dict(islice(numbered, MAX_BATCH)):
        reasons = {i: outcome for i, outcome in outcomes.items() if isinstance(outcome, str)}
        pictures = [outcome for outcome in outcomes.values() if not isinstance(outcome, str)]
        positions = [i for i in outcomes if i not in reasons]
        yield _Batch(positions, np.stack(pictures) if pictures else None, reasons)


def _embed_batches(batches: Iterator[_Batch], embedder: PictureEmbedder) -> Iterator[_Batch]:
    """Each batch with its vectors, in order; the next is decoded and stacked while one is embedded."""

    def embed(batch: _Batch) -> _Batch:
        if batch.pictures is not None:
            # The pixels are dropped here: they are far larger than the vectors, and the batch may wait to be taken.
            batch.vectors, batch.pictures = embedder.embed(batch.pictures), None
        return batch

    with ThreadPoolExecutor(1, thread_name_prefix="embedding") as thread:
        waiting = deque(thread.submit(embed, batch) for batch in islice(batches, 2))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(thread.submit(embed, batch) for batch in islice(batches, 1))


def _decode_and_prepare_file(path: Path, prepare: Callable[[Image.Image], Made]) -> Made | str:
    try:
        return prepare(make_clean_picture(decode_file(path, CLEAN_SIDE)))
    except PhotoRefused as refusal:
        return refusal.reason
    except OSError as exc:
        return f"The file cannot be read: {exc.strerror}."
