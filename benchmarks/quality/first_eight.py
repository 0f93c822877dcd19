"""What people see first: of 80 photos, how many of the first eight results show the same kind of garment?"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from ml.evaluation.histogram import HistogramEmbedder
from ml.evaluation.metrics import judge_queries
from ml.evaluation.pictures import embed_pictures, pair_queries_with_gallery
from ml.folders.extraction import PictureEmbedder
from ml.folders.photo_set import PhotoSet
from ml.starter.data import join_sets, read_clothing_set

from .intervals import bootstrap_mean

# Eight photos each, by `random.Random(1)`, of the ten kinds of `heldout` and `unseen` together that have most photos.
QUERIES = Path(__file__).parent / "tables" / "first_eight.csv"
FIRST = 8


def measure_first_eight(embedder: PictureEmbedder, clothing: Path) -> dict[str, Any]:
    """Precision of the first eight by pure similarity, among all other photos of both splits, worst kind first.

    Photos by a query's own sender are in the catalogue and count, as they do for people.
    """
    queries, catalogue = split_queries_from_catalogue(clothing)
    embedders: dict[str, PictureEmbedder] = {"model": embedder, "histogram": HistogramEmbedder()}
    pictures = pair_queries_with_gallery(embed_pictures(queries, embedders), embed_pictures(catalogue, embedders))
    shares = {
        name: judge_queries(*pictures.label_vectors(name), own=pictures.own).precision_at(FIRST) for name in embedders
    }
    kinds = np.array(pictures.queries.photos.labels)
    per_class = {kind: float(shares["model"][kinds == kind].mean()) for kind in sorted(set(kinds.tolist()))}
    return {
        "queries": len(kinds),
        "catalogue": len(pictures.searched_pictures.photos),
        "precision": bootstrap_mean(shares["model"]),
        "histogram": bootstrap_mean(shares["histogram"]),
        "worst kind": round(min(per_class.values()), 3),
        "per_class": {kind: round(per_class[kind], 3) for kind in sorted(per_class, key=per_class.__getitem__)},
    }


def split_queries_from_catalogue(clothing: Path) -> tuple[PhotoSet, PhotoSet]:
    """The photos listed in `QUERIES`, and all others of both splits."""
    photos = join_sets(read_clothing_set(clothing, "heldout"), read_clothing_set(clothing, "unseen"))
    with QUERIES.open(newline="", encoding="utf-8") as file:
        chosen = {row["image"] for row in csv.DictReader(file)}
    asked = np.array([path.name in chosen for path in photos.images])
    if asked.sum() != len(chosen):
        raise SystemExit(f"quality: {clothing} lacks {len(chosen) - asked.sum()} of the photos that {QUERIES} names.")
    return photos.subset(np.flatnonzero(asked)), photos.subset(np.flatnonzero(~asked))
