"""Which pictures an epoch shows, in which order, and their views, which threads prepare while the network learns.

Everything is drawn from the seed, the epoch and the place in the epoch, so that an epoch that is repeated after a kill
is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from .augmentation import Augmentation, augment_pictures
from .lessons import Lessons
from .photo_pixels import Photos

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

AHEAD = 2  # batches that each thread has ready, so that a quick step need not wait for pictures


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        views: uint8[B, size, size, 3].
        targets: int64[B, label sets], the class of each picture in each set, or `UNLABELLED`.
        taught: float32[B, T], what teachers say of each view, rows of length 1, or of zeros where none was asked; None
            where nobody teaches.
    """

    views: Tensor
    targets: Tensor
    taught: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        taught = None if self.taught is None else self.taught.to(device)
        return Batch(self.views.to(device), self.targets.to(device), taught)


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


@dataclass(frozen=True)
class Batches:
    """One epoch. A last batch that is not full is left out.

    Attributes:
        order: int64[M], positions of the pictures to show.
        size: of the square views, in pixels.
        threads: that prepare batches.
    """

    photos: Photos
    order: Ints
    batch: int
    size: int
    how: Augmentation
    seed: int
    threads: int = 1
    lessons: Lessons | None = None

    def __len__(self) -> int:
        return len(self.order) // self.batch

    def __iter__(self) -> Iterator[Batch]:
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="batches")
        try:
            waiting: list[Future[Batch]] = []
            for number in range(len(self)):
                waiting.append(pool.submit(self._make_batch, number))
                if len(waiting) > AHEAD * self.threads:
                    yield waiting.pop(0).result()
            for future in waiting:
                yield future.result()
        finally:
            # An epoch may end by the clock, and nobody takes the batches that would still be made.
            pool.shutdown(cancel_futures=True)

    def _make_batch(self, number: int) -> Batch:
        """Prepare one batch, drawing from a generator of its own: whichever thread does it, the batch is the same."""
        positions = self.order[number * self.batch : (number + 1) * self.batch]
        rng = np.random.default_rng((self.seed, number))
        pictures = [self.photos.pixels.array(position) for position in positions]
        masks = None if self.photos.masks is None else [Image.fromarray(self.photos.masks[i]) for i in positions]
        seen = None if self.lessons is None else [self.lessons.view(position) for position in positions]
        views = augment_pictures(pictures, self.size, self.how, rng, masks, seen)
        taught = None if self.lessons is None else torch.from_numpy(self.lessons.vectors(positions))
        return Batch(torch.from_numpy(views), torch.from_numpy(self.photos.learned_targets(positions)), taught)
