"""The pictures of an evaluation as every embedder sees them: the same ones, in the same order, numbered alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.errors import MlError
from ml.folders.extraction import PictureEmbedder, UnreadablePicture, extract_vectors
from ml.folders.photo_set import PhotoSet
from ml.inference.arrays import Vectors

from .metrics import NO_GROUP, Labelled

Ints = npt.NDArray[np.int64]


class EvaluationError(MlError):
    """The pictures given cannot be judged on; the message says why."""


@dataclass(frozen=True)
class EmbeddedPictures:
    """The N readable pictures of a set, and float32[N, dim] by each embedder's name."""

    photos: PhotoSet
    vectors: dict[str, Vectors]
    refused: list[UnreadablePicture]


def embed_pictures(photos: PhotoSet, embedders: Mapping[str, PictureEmbedder]) -> EmbeddedPictures:
    """The pictures that every embedder could take.

    Raises:
        EvaluationError: there are none, or a file is listed twice and would find itself.
    """
    _refuse_repeated_pictures(photos)
    found = {name: extract_vectors(photos.images, embedder, title=name) for name, embedder in embedders.items()}
    keep = np.ones(len(photos), bool)
    for extraction in found.values():
        keep &= np.isin(np.arange(len(photos)), extraction.kept)
    reasons = {path: reason for extraction in reversed(found.values()) for path, reason in extraction.refused}
    if not keep.any():
        path, reason = next(iter(reasons.items()))
        raise EvaluationError(f"None of {len(photos)} pictures can be read; the first, {path}: {reason}")
    vectors = {name: extraction.vectors[keep[extraction.kept]] for name, extraction in found.items()}
    refused = [UnreadablePicture(path, reason) for path, reason in reasons.items()]
    return EmbeddedPictures(photos.subset(np.flatnonzero(keep)), vectors, refused)


def _refuse_repeated_pictures(photos: PhotoSet) -> None:
    seen: dict[Path, Path] = {}
    for path in photos.images:
        real = path.resolve()
        if real in seen:
            also = "" if seen[real] == path else f", also as {seen[real]}"
            raise EvaluationError(f"{path} is listed twice{also}; list it once, because no picture may find itself.")
        seen[real] = path


@dataclass(frozen=True)
class NumberedPictures:
    """Queries and gallery with the same numbers for classes and groups; `own` as `judge_queries` takes it."""

    queries: EmbeddedPictures
    gallery: EmbeddedPictures | None
    classes: list[str]
    own: Ints | None

    @property
    def searched_pictures(self) -> EmbeddedPictures:
        """What is searched: the gallery, or the queries themselves."""
        return self.queries if self.gallery is None else self.gallery

    def label_vectors(self, name: str) -> tuple[Labelled, Labelled | None]:
        """Queries and gallery as the embedder of this name sees them."""
        numbers = _number_groups(self.queries.photos.groups, self.searched_pictures.photos.groups)
        queries = self._label_embedded_pictures(self.queries, name, numbers)
        return queries, None if self.gallery is None else self._label_embedded_pictures(self.gallery, name, numbers)

    def _label_embedded_pictures(
        self, embedded: EmbeddedPictures, name: str, numbers: Mapping[str, int] | None
    ) -> Labelled:
        groups = None
        if numbers is not None and embedded.photos.groups is not None:
            groups = np.array([numbers[group] for group in embedded.photos.groups], np.int64)
        return Labelled(embedded.vectors[name], embedded.photos.targets(self.classes), groups)


def pair_queries_with_gallery(queries: EmbeddedPictures, gallery: EmbeddedPictures | None) -> NumberedPictures:
    """Give the classes of both one list of numbers, and find which row of the gallery is a query's own file."""
    classes = set(queries.photos.labels) | set(() if gallery is None else gallery.photos.labels)
    own = None
    if gallery is not None:
        rows = {path.resolve(): row for row, path in enumerate(gallery.photos.images)}
        own = np.array([rows.get(path.resolve(), -1) for path in queries.photos.images], np.int64)
    return NumberedPictures(queries, gallery, sorted(classes), own)


def _number_groups(*groups: Sequence[str] | None) -> dict[str, int] | None:
    """A number for each group; an empty name is no group."""
    if any(names is None for names in groups):
        return None
    every = sorted({name for names in groups for name in names or () if name})
    return {"": NO_GROUP} | {name: number for number, name in enumerate(every)}
