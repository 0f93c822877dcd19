"""How well a network finds pictures of the same class, while it trains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ml.errors import MlError
from ml.evaluation.metrics import NO_GROUP, Judged, Labelled, judge_queries, macro_average
from ml.training.data.photo_pixels import Photos

from .extraction import extract_vectors


class NotFiniteError(MlError):
    """The vectors of a network are no longer finite numbers."""


@dataclass(frozen=True)
class Judgement:
    """What each of N pictures finds among the others, without those of its own group.

    `vectors` are float32[N, dim], rows of length 1.
    """

    photos: Photos
    vectors: npt.NDArray[np.float32]
    judged: Judged

    @property
    def figures(self) -> dict[str, float]:
        """R@1 and mAP@R, 0 to 1: means over classes of the means in each class.

        Pictures that have nothing to find do not count.
        """
        targets = self.photos.targets
        return {
            "recall_at_1": macro_average(self.judged.recall_at(1), targets),
            "map_at_r": macro_average(self.judged.map_at_r, targets),
        }

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """int64[C, C]: how many pictures of the row's class found one of the column's class first."""
        counts = np.zeros((len(self.photos.classes),) * 2, np.int64)
        known = self.judged.relevant > 0
        np.add.at(counts, (self.photos.targets[known], self.photos.targets[self.judged.found[known, 0]]), 1)
        return counts


def judge_network(network: nn.Module, photos: Photos, size: int, device: torch.device) -> Judgement:
    """Search among `photos` with each of them, at `size` pixels.

    Raises:
        NotFiniteError: the network gives vectors that are not finite, as after training at too high a rate.
    """
    vectors = extract_vectors(network, photos.pixels, size, device)
    if not np.isfinite(vectors).all():
        raise NotFiniteError("The network's vectors are no longer finite; train with a lower rate.")
    return Judgement(photos, vectors, judge_queries(Labelled(vectors, photos.targets, photos.groups)))


def can_be_judged(photos: Photos) -> bool:
    """Return whether any picture has another one of its class and, where there are groups, of another group."""
    # A picture without a group may find every other, so it gets a number that no other picture and no group has.
    alone = np.arange(len(photos.targets)) + len(photos.targets)
    own = alone if photos.groups is None else np.where(photos.groups == NO_GROUP, alone, photos.groups)
    pairs = np.unique(np.stack((photos.targets, own)), axis=1)
    return bool(np.unique(pairs[0], return_counts=True)[1].max() > 1)
