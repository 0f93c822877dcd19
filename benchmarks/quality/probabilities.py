"""Do probabilities say how often they are right, and do photos that show nothing find nothing?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from listings.demo.photos import draw_planned_photo
from listings.demo.plan import LISTINGS, plan_catalogue
from ml.exporting.model_source import find_weights
from ml.folders.extraction import extract_vectors
from ml.folders.photo_set import PhotoSet
from ml.inference.arrays import Vectors
from ml.inference.calibration.blank_pictures import KINDS, draw_blank_picture
from ml.inference.calibration.calibration import Calibration
from ml.inference.calibration.files import read_calibration
from ml.inference.calibration.pictures import embed_pictures
from ml.inference.calibration.reliability import measure_reliability
from ml.inference.embedder import Embedder
from ml.starter.data import read_clothing_set
from scripts.calibrate_starter import DAY, fit_on_garments

BLANKS = 100  # of each kind
OTHER_SEEDS = 1_000  # the curve was fitted with lower ones
LEAST = 0.5  # the site's default
REFUSED = 0.05  # what is less likely cannot be meant


def measure_probabilities(embedder: Embedder, source: str, clothing: Path) -> dict[str, Any]:
    """The error of the curve that comes with a model, else of one fitted as the starter's is, on pairs one to one.

    Blank pictures of four kinds are searched for among the drawings of the demo, garments among all of both splits by
    other senders.
    """
    weights = find_weights(source)
    curve = (weights and read_calibration(weights)) or fit_on_garments(embedder, clothing)
    sets = {name: read_clothing_set(clothing, name) for name in ("unseen", "heldout")}
    vectors = {name: extract_vectors(photos.images, embedder).vectors for name, photos in sets.items()}
    both, labels, senders = _join(sets, vectors)
    errors = {
        name: _measure_error(curve, vectors[name], photos.labels, photos.groups or ()) for name, photos in sets.items()
    }
    demo = embed_pictures(
        (draw_planned_photo(photo) for listing in plan_catalogue(LISTINGS, DAY) for photo in listing.photos),
        embedder,
        "drawings",
    )
    reliability = measure_reliability(curve, both, labels, senders)
    return {
        "basis": curve.basis,
        "calibration error": {"both": None if reliability is None else reliability.error, **errors},
        "reliability": reliability and reliability.as_dict(),
        "blank pictures likely to be something": {kind: _count_found(curve, kind, embedder, demo) for kind in KINDS},
        "photos taken for blank": int(curve.find_blanks(np.concatenate([both, demo])).sum()),
        "garments that find their kind": _measure_found(curve, both, labels, senders),
    }


def _join(sets: dict[str, PhotoSet], vectors: dict[str, Vectors]) -> tuple[Vectors, list[str], list[str]]:
    labels = [label for photos in sets.values() for label in photos.labels]
    senders = [sender for photos in sets.values() for sender in photos.groups or ()]
    return np.concatenate(list(vectors.values())), labels, senders


def _measure_error(curve: Calibration, vectors: Vectors, labels: Any, senders: Any) -> float | None:
    found = measure_reliability(curve, vectors, labels, senders)
    return None if found is None else found.error


def _count_found(curve: Calibration, kind: str, embedder: Embedder, demo: Vectors) -> int:
    """How many of 100 blank pictures are as likely as 0.05 to be like any drawing."""
    drawn = (draw_blank_picture(kind, OTHER_SEEDS + number) for number in range(BLANKS))
    found = 0
    for vector in embed_pictures(drawn, embedder, kind):
        likely = curve.scale_query(vector[np.newaxis]).compute_probabilities(demo @ vector)
        found += int(likely.max() >= REFUSED)
    return found


def _measure_found(curve: Calibration, vectors: Vectors, labels: list[str], senders: list[str]) -> float:
    """The share of garments, with one of their kind by another sender, that find such a one at the default."""
    kinds, people = np.array(labels), np.array(senders)
    found = []
    for vector, kind, sender in zip(vectors, labels, senders, strict=True):
        alike = (kinds == kind) & (people != sender)
        if alike.any():
            best = float((vectors[alike] @ vector).max())
            found.append(float(curve.scale_query(vector[np.newaxis]).compute_probabilities(best)) >= LEAST)
    return round(float(np.mean(found)), 3)
