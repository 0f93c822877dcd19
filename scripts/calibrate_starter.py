"""Fits what cosines of the starter weights mean, and writes it beside them: python -m scripts.calibrate_starter FOLDER.

The pairs are of garments by people from whose photos no layer but the last learned. What is usual is seen by some of
these and by drawings of the demo, as it is on a small site.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import numpy as np

from listings.demo.photos import draw_planned_photo
from listings.demo.plan import plan_catalogue
from ml.exporting.model_source import load_model
from ml.folders.extraction import extract_vectors
from ml.inference.calibration.calibration import Calibration
from ml.inference.calibration.files import write_calibration
from ml.inference.calibration.fitting import LabelledVectors, fit_calibration
from ml.inference.calibration.pictures import embed_blanks, embed_pictures
from ml.inference.embedder import Embedder
from ml.network.weights import STARTER
from ml.starter.data import read_clothing_set

REFERENCES = 100  # garments, and as many drawings
DAY = datetime(2026, 1, 1, tzinfo=UTC)  # from which the demo counts; it changes no picture


def main() -> None:
    """Fit, write and say how well it fits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clothing", type=Path, help="folder with splits.csv and images/")
    options = parser.parse_args()
    found = fit_on_garments(load_model("starter"), options.clothing)
    write_calibration(STARTER, replace(found, basis="shipped"))
    print(f"{found.pairs} pairs, calibration error {found.error:.3f}, blank from a cosine of {found.blank_limit:.2f}")


def fit_on_garments(embedder: Embedder, clothing: Path) -> Calibration:
    """Return the curve of any model on the garments of the senders that the starter's training set aside."""
    photos = read_clothing_set(clothing, "train")
    senders = sorted(set(photos.groups or ()))
    aside = set(Random(3).sample(senders, round(len(senders) / 10)))  # noqa: S311 - the ones that training set aside
    photos = photos.subset(np.flatnonzero([sender in aside for sender in photos.groups or ()]))
    garments = extract_vectors(photos.images, embedder).vectors
    planned = [listing.photos[0] for listing in plan_catalogue(REFERENCES, DAY)]
    drawings = embed_pictures((draw_planned_photo(photo) for photo in planned), embedder, "drawings")
    references = np.concatenate([garments[:: len(garments) // REFERENCES][:REFERENCES], drawings])
    labelled = LabelledVectors(garments, photos.labels, photos.groups or ())
    return fit_calibration(labelled, references, embed_blanks(embedder), "labels")


if __name__ == "__main__":
    main()
