"""Which of the pictures that are searched with a model has learned from: on these its figures say nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.catalogue.counts import describe_count
from ml.folders.perceptual_hash import Hashes, find_near_pairs, hash_files
from ml.folders.photo_set import PhotoSet

from .pictures import EvaluationError

CHOICES = ("refuse", "drop", "keep")


@dataclass(frozen=True)
class Seen:
    """How many of the queries a model has learned from, None where nobody wrote down what it learned from."""

    model: str
    pictures: int | None
    dropped: bool

    def describe(self) -> str:
        """One sentence for the report."""
        if self.pictures is None:
            return f"Which photos {self.model} was trained on is not known, so they may be among these."
        if not self.pictures:
            return f"No picture searched with is among those that {self.model} is known to be trained on."
        then = "they were left out" if self.dropped else "they count"
        return f"{describe_count(self.pictures, 'picture')} searched with {self.model} was trained on: {then}."

    def as_dict(self) -> dict[str, Any]:
        """`{pictures, dropped}`."""
        return {"pictures": self.pictures, "dropped": self.dropped}


def settle_seen_pictures(
    queries: PhotoSet, trained: Mapping[str, Hashes | None], choice: str
) -> tuple[PhotoSet, list[Seen]]:
    """The queries to judge named models on, whose training photos have these hashes (None: unknown).

    Args:
        choice: of `CHOICES`: `drop` leaves out what any of the models was trained on, `keep` only counts it.

    Raises:
        EvaluationError: there are such pictures and the choice is to refuse them, or none is left.
    """
    if all(hashes is None for hashes in trained.values()):
        return queries, [Seen(name, None, False) for name in trained]
    hashed = hash_files(queries.images, title="hashes")
    rows = {
        name: None if hashes is None else hashed.kept[np.unique(find_near_pairs(hashed.hashes, hashes)[:, 0])]
        for name, hashes in trained.items()
    }
    if choice == "refuse":
        _refuse_seen_pictures(queries, rows)
    seen = [Seen(name, None if found is None else len(found), choice == "drop") for name, found in rows.items()]
    return (_drop_pictures(queries, rows) if choice == "drop" else queries), seen


def _refuse_seen_pictures(queries: PhotoSet, rows: Mapping[str, npt.NDArray[np.int64] | None]) -> None:
    for name, found in rows.items():
        if found is not None and len(found):
            first: Path = queries.images[found[0]]
            raise EvaluationError(
                f"{name} was trained on {len(found)} of these {describe_count(len(queries), 'picture')} or on copies "
                f"of them, {first} first, so its figures would say nothing. Name others, leave them out with "
                "--trained-photos drop, or count them all the same with --trained-photos keep."
            )


def _drop_pictures(queries: PhotoSet, rows: Mapping[str, npt.NDArray[np.int64] | None]) -> PhotoSet:
    keep = np.ones(len(queries), bool)
    for found in rows.values():
        if found is not None:
            keep[found] = False
    if not keep.any():
        raise EvaluationError(f"The models were trained on all {len(queries)} pictures; name others.")
    return queries.subset(np.flatnonzero(keep))
