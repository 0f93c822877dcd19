"""Calibrates models: what a cosine of theirs says about two photos, kept in a row of its own.

A curve is fitted on the site's own photos where there are enough: on their categories, else on which belong to one
listing. A site with fewer takes the curve that came with the weights, else one from drawings of the demo. What it was
fitted on is kept with it, because that is what the probability is of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np

from ml.inference.arrays import Vectors
from ml.inference.calibration import calibration, fitting
from ml.inference.calibration.files import read_calibration
from ml.inference.calibration.fitting import LabelledVectors, NotFitted
from ml.inference.calibration.pictures import embed_blanks
from ml.recipe import WEIGHTS
from recommender.embedding.embedder_cache import COMMAND_POLICY, EmbedderCache
from recommender.models import Calibration, EmbeddingModel

from .calibration_sample import SamplePhoto, collect_vectors, embed_drawings, list_sample_photos
from .training_photos import MANY_SELLERS

ENOUGH_PHOTOS = 200
REFERENCES = 100  # photos of the site, and as many drawings: by these it is seen what is usual
DRAWINGS = 208
SAID = {
    "labels": "photos of the site and their categories",
    "listings": "photos of the site and the listings they belong to, for want of categories",
    "shipped": "the photos that its makers judged it by, because the site has too few",
    "drawings": "drawings of the demo, because the site has too few photos",
}


def calibrate(model: EmbeddingModel) -> Calibration:
    """Fit the model's curve anew and keep it in place of the one there was.

    Raises:
        ModelNotReady: its files are missing or damaged.
        CalibrationError: the curve that came with its weights is damaged.
        NotFitted: the model tells nothing apart, not even drawings.
    """
    shipped = read_calibration(model.directory / WEIGHTS)
    photos = list_sample_photos()
    if len(photos) < ENOUGH_PHOTOS and shipped is not None:
        return _store_curve(model, shipped)
    embedder = EmbedderCache(COMMAND_POLICY).load_embedder(model)
    blanks = embed_blanks(embedder)
    if len(photos) >= ENOUGH_PHOTOS:
        photos, vectors = collect_vectors(photos, model, embedder)
        _, drawings = embed_drawings(min(REFERENCES, DRAWINGS), embedder)
        references = np.concatenate([_choose_references(photos, vectors), drawings])
        for basis, labelled in _list_labelled_photos(photos, vectors):
            with suppress(NotFitted):
                return _store_curve(model, fitting.fit_calibration(labelled, references, blanks, basis))
    if shipped is not None:
        return _store_curve(model, shipped)
    categories, drawings = embed_drawings(DRAWINGS, embedder)
    labelled = LabelledVectors(drawings, categories)
    return _store_curve(model, fitting.fit_calibration(labelled, drawings, blanks, "drawings"))


def needs_calibration(model: EmbeddingModel) -> bool:
    """Whether its cosines mean nothing yet; those of untrained weights never do."""
    return not model.is_untrained and not Calibration.objects.filter(model=model).exists()


def describe_calibration(row: Calibration) -> str:
    """A sentence on what the curve was fitted on, and how well."""
    judged = (
        "too few others to judge them by"
        if row.error is None
        else f"off by {row.error:.3f} on others (expected calibration error)"
    )
    return f"Its probabilities were fitted on {SAID[row.basis]}: {row.pairs:,} pairs, {judged}."


def _list_labelled_photos(
    photos: Sequence[SamplePhoto], vectors: Vectors
) -> Iterator[tuple[calibration.Basis, LabelledVectors]]:
    """What may be known of the photos, the best first: their kinds, else which show the same thing."""
    known = [place for place, photo in enumerate(photos) if photo.category]
    by_seller = len({photo.seller for photo in photos}) >= MANY_SELLERS
    yield (
        "labels",
        LabelledVectors(
            vectors[known],
            [photos[place].category for place in known],
            [str(photos[place].seller if by_seller else photos[place].listing) for place in known],
        ),
    )
    yield "listings", LabelledVectors(vectors, [str(photo.listing) for photo in photos])


def _choose_references(photos: Sequence[SamplePhoto], vectors: Vectors) -> Vectors:
    """The first photo of each listing, of 100 listings spread over all."""
    first: dict[int, int] = {}
    for place, photo in enumerate(photos):
        first.setdefault(photo.listing, place)
    places = list(first.values())
    spread = np.linspace(0, len(places) - 1, min(REFERENCES, len(places))).astype(int)
    return vectors[[places[each] for each in spread]]


def _store_curve(model: EmbeddingModel, curve: calibration.Calibration) -> Calibration:
    fields = {"data": curve.to_bytes(), "basis": curve.basis, "pairs": curve.pairs, "error": curve.error}
    return Calibration.objects.update_or_create(model=model, defaults=fields)[0]
