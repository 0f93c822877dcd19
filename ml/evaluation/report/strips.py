"""Queries beside what they found: the best of each class, and the worst."""

from __future__ import annotations

from collections import Counter
from html import escape

import numpy as np
import numpy.typing as npt

from ml.evaluation.evaluate import Evaluation
from ml.folders.photo_set import PhotoSet

from .thumbnails import thumbnail

Ints = npt.NDArray[np.int64]

HITS, MISSES = 8, 16
NEIGHBOURS = 8


def hits(evaluation: Evaluation) -> Ints:
    """Queries whose first result is right, highest mAP@R first, as many classes as possible."""
    judged = evaluation.judged
    right = np.flatnonzero(judged.hits[:, 0])
    return _varied(right[np.argsort(-judged.map_at_r[right], kind="stable")], judged.targets, HITS)


def misses(evaluation: Evaluation) -> Ints:
    """Queries whose first result is wrong, lowest mAP@R first, those with more to find before others."""
    judged = evaluation.judged
    wrong = np.flatnonzero((judged.relevant > 0) & ~judged.hits[:, 0])
    order = np.lexsort((-judged.relevant[wrong], judged.map_at_r[wrong]))
    return _varied(wrong[order], judged.targets, MISSES)


def strip(evaluation: Evaluation, query: int) -> str:
    """The query, then its first results framed in green where the class is right and in red where it is not."""
    pictures, judged = evaluation.pictures, evaluation.judged
    queries, searched = pictures.queries.photos, pictures.searched.photos
    found = [row for row in judged.found[query, :NEIGHBOURS].tolist() if row >= 0]
    results = [
        _figure(searched, row, "right" if right else "wrong")
        for row, right in zip(found, judged.hits[query].tolist(), strict=False)
    ]
    return f'<div class="strip">{_figure(queries, query, "query")}{"".join(results)}</div>'


def _varied(best_first: Ints, targets: Ints, most: int) -> Ints:
    """The first `most`, every class once before any class twice."""
    seen: Counter[int] = Counter()
    turns = []
    for name in targets[best_first].tolist():
        turns.append(seen[name])
        seen[name] += 1
    return best_first[np.argsort(turns, kind="stable")[:most]]


def _figure(photos: PhotoSet, row: int, kind: str) -> str:
    label, name = escape(photos.labels[row]), escape(photos.images[row].name)
    uri = thumbnail(photos.images[row])
    picture = f'<img src="{uri}" alt="{label}" title="{name}">' if uri else f'<span class="lost" title="{name}"></span>'
    return f'<figure class="{kind}">{picture}<figcaption>{label}</figcaption></figure>'
