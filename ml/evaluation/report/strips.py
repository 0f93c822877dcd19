"""Queries beside what they found: the best of each class, and the worst."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.evaluation.evaluate import Evaluation
from ml.folders.photo_set import PhotoSet

from .thumbnails import make_thumbnail

Ints = npt.NDArray[np.int64]

# Pictures of strips are stored inside the page, so these numbers limit its size however many pictures were judged.
HITS, MISSES = 8, 16
NEIGHBOURS = 8


@dataclass(frozen=True)
class StripPicture:
    """A picture of a strip, framed by its kind: `query`, `right` or `wrong`. Without a URI its file is gone."""

    kind: str
    label: str
    name: str
    uri: str | None


def choose_hits(evaluation: Evaluation) -> Ints:
    """Queries whose first result is right, highest mAP@R first, as many classes as possible."""
    judged = evaluation.judged
    right = np.flatnonzero(judged.hits[:, 0])
    return _choose_across_classes(right[np.argsort(-judged.map_at_r[right], kind="stable")], judged.targets, HITS)


def choose_misses(evaluation: Evaluation) -> Ints:
    """Queries whose first result is wrong, lowest mAP@R first, those with more to find before others."""
    judged = evaluation.judged
    wrong = np.flatnonzero((judged.relevant > 0) & ~judged.hits[:, 0])
    order = np.lexsort((-judged.relevant[wrong], judged.map_at_r[wrong]))
    return _choose_across_classes(wrong[order], judged.targets, MISSES)


def make_strip(evaluation: Evaluation, query: int) -> list[StripPicture]:
    """The query, then its first results: right where the class is right."""
    pictures, judged = evaluation.pictures, evaluation.judged
    queries, searched = pictures.queries.photos, pictures.searched_pictures.photos
    found = [row for row in judged.found[query, :NEIGHBOURS].tolist() if row >= 0]
    return [
        _make_strip_picture(queries, query, "query"),
        *(
            _make_strip_picture(searched, row, "right" if is_right else "wrong")
            for row, is_right in zip(found, judged.hits[query].tolist(), strict=False)
        ),
    ]


def _choose_across_classes(best_first: Ints, targets: Ints, most: int) -> Ints:
    """The first `most`, every class once before any class twice."""
    seen: Counter[int] = Counter()
    turns = []
    for target in targets[best_first].tolist():
        turns.append(seen[target])
        seen[target] += 1
    return best_first[np.argsort(turns, kind="stable")[:most]]


def _make_strip_picture(photos: PhotoSet, row: int, kind: str) -> StripPicture:
    path = photos.images[row]
    return StripPicture(kind, photos.labels[row], path.name, make_thumbnail(path))
