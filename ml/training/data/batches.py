"""Which pictures an epoch shows, in which order, and their views, which threads prepare while the network learns.

Everything is drawn from the seed, the epoch and the place in the epoch, so that an epoch that is repeated after a kill
is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from .augmentation import Augmentation, augment_pictures
from .photo_pixels import Photos

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

AHEAD = 2  # batches that each thread has ready, so that a quick step need not wait for pictures


def draw_balanced_order(targets: Ints, emphasis: Floats, length: int, balance: float, rng: np.random.Generator) -> Ints:
    """Draw int64[length] positions of pictures to show, whose classes are int64[N] `targets`.

    A class c of n pictures gets a share in proportion to emphasis[c] * n ** (1 - balance): with `balance` 0 classes are
    shown as often as the data has them, with 1 all equally often. Within a class every picture is shown before any is
    shown again.
    """
    classes, counts = np.unique(targets, return_counts=True)
    weights = emphasis[classes] * counts ** (1.0 - balance)
    # Rounded up or down at random, so that a class whose share is a fraction of a picture is shown in some epochs.
    shares = np.floor(length * weights / weights.sum() + rng.random(len(classes))).astype(int)
    drawn = [
        _draw_rounds(np.flatnonzero(targets == name), share, rng) for name, share in zip(classes, shares, strict=True)
    ]
    order = np.concatenate(drawn)
    rng.shuffle(order)
    return np.resize(order, length)


def _draw_rounds(members: Ints, share: int, rng: np.random.Generator) -> Ints:
    rounds = [rng.permutation(members) for _ in range(-(-share // len(members)))]
    return np.concatenate(rounds)[:share] if rounds else members[:0]


class Batches:
    """One epoch: pairs of tensors uint8[B, size, size, 3] and int64[B]. A last batch that is not full is left out."""

    def __init__(
        self, photos: Photos, order: Ints, *, batch: int, size: int, how: Augmentation, seed: int, threads: int = 1
    ) -> None:
        self._photos, self._order = photos, order
        self._batch, self._size, self._how, self._seed, self._threads = batch, size, how, seed, threads

    def __len__(self) -> int:
        return len(self._order) // self._batch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="batches")
        try:
            waiting: list[Future[tuple[Tensor, Tensor]]] = []
            for number in range(len(self)):
                waiting.append(pool.submit(self._make_batch, number))
                if len(waiting) > AHEAD * self._threads:
                    yield waiting.pop(0).result()
            for future in waiting:
                yield future.result()
        finally:
            # An epoch may end by the clock, and nobody takes the batches that would still be made.
            pool.shutdown(cancel_futures=True)

    def _make_batch(self, number: int) -> tuple[Tensor, Tensor]:
        """Prepare one batch, drawing from a generator of its own: whichever thread does it, the batch is the same."""
        positions = self._order[number * self._batch : (number + 1) * self._batch]
        rng = np.random.default_rng((self._seed, number))
        pictures = [self._photos.pixels.array(position) for position in positions]
        masks = None if self._photos.masks is None else [Image.fromarray(self._photos.masks[i]) for i in positions]
        views = augment_pictures(pictures, self._size, self._how, rng, masks)
        return torch.from_numpy(views), torch.from_numpy(self._photos.targets[positions])
