"""Items of the demo before other backgrounds and in near colours: does the item outweigh what is around it?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from listings.demo.drawing import BACKGROUNDS, COLOURS, KINDS, draw_photo
from listings.demo.photos import draw_planned_photo
from listings.demo.plan import LISTINGS, plan_catalogue
from ml.evaluation.metrics import Labelled, judge_queries
from ml.images import make_clean_picture
from ml.inference.embedder import Embedder

from .colours import find_near_colours
from .intervals import bootstrap_mean
from .ranking import Trial, measure_share_won

APART = 20.0  # the distance (CIE76) between a colour and those near it
BACKGROUND = 0.5  # of the pixels, at least, have to change with the background
VARIANTS = 2
FIRST = 10
MOST = 40  # results that are looked at among one kind; no photo shares its colour with so many of it
DAY = datetime(2026, 1, 1, tzinfo=UTC)

Ints = npt.NDArray[np.int64]


def measure_demo(embedder: Embedder) -> dict[str, Any]:
    """Whether colour outweighs background, and whether kinds find each other."""
    hard, trials = measure_share_won(embedder, tqdm(_draw_trials(moved=False), desc="colours", disable=None))
    even, _ = measure_share_won(embedder, tqdm(_draw_trials(moved=True), desc="colours, all moved", disable=None))
    return {
        "same item, other background, before the same item in each near colour": hard,
        "the same, the near colours before that other background too": even,
        "trials": trials,
        **_measure_catalogue(embedder),
    }


def _draw_trials(*, moved: bool) -> Iterator[Trial]:
    """Draw a trial of every kind in every colour of the demo.

    The wrong answers have the background of the right one where they are `moved`, else they keep that of the query,
    which is the hard case: only the right answer looks different all around.
    """
    dice = Random(1)
    for kind, colour, variant in product(KINDS, COLOURS.values(), range(VARIANTS)):
        view, (one, other) = dice.choice(("front", "square", "far")), dice.sample(BACKGROUNDS, 2)
        query, right = (draw_photo(kind, variant, colour, "plain", behind, view) for behind in (one, other))
        if _share_of_changed_pixels(query, right) >= BACKGROUND:
            wrong = [
                draw_photo(kind, variant, near, "plain", other if moved else one, view)
                for near in find_near_colours(colour, APART)
            ]
            yield Trial(query, right, wrong)


def _share_of_changed_pixels(one: Image.Image, other: Image.Image) -> float:
    """The share of pixels that two pictures do not have in common: the background, where only that differs."""
    difference = np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).sum(axis=2)
    return float((difference > 12).mean())


def _measure_catalogue(embedder: Embedder) -> dict[str, Any]:
    """Of the demo catalogue as it is shipped: are a photo's nearest, of other listings, of its kind and of its colour?

    The ten nearest cannot all be of both: on average four photos of other listings share kind and colour with a photo.
    So colours are asked for among photos of its kind: as many nearest are looked at as share its colour there, and the
    share of these that do counts. The share of the first ten of all is told too, and what colour alone would reach.
    """
    photos = _draw_catalogue(embedder)
    kinds = judge_queries(Labelled(photos.vectors, photos.kinds, photos.listings)).precision_at(FIRST)
    colours = judge_queries(Labelled(photos.vectors, photos.colours, photos.listings))
    return {
        "photos": len(photos.kinds),
        "kind precision@10": bootstrap_mean(kinds),
        "colour precision among its kind": bootstrap_mean(measure_colours_among_kind(photos)),
        "colour precision@10 of all kinds": bootstrap_mean(colours.precision_at(FIRST)),
        "the same, by colour alone": round(float(np.minimum(colours.relevant, FIRST).mean()) / FIRST, 3),
    }


@dataclass(frozen=True)
class Catalogue:
    """N photos: float32[N, dim], and int64[N] numbers of their kinds, colours and listings."""

    vectors: npt.NDArray[np.float32]
    kinds: Ints
    colours: Ints
    listings: Ints


def _draw_catalogue(embedder: Embedder) -> Catalogue:
    listings = list(plan_catalogue(LISTINGS, DAY))
    photos = [(number, photo) for number, listing in enumerate(listings) for photo in listing.photos]
    pictures = [
        embedder.prepare(make_clean_picture(draw_planned_photo(photo)))
        for _, photo in tqdm(photos, desc="catalogue", disable=None)
    ]
    return Catalogue(
        embedder.embed(np.stack(pictures)),
        np.array([list(KINDS).index(photo.kind) for _, photo in photos]),
        np.array([list(COLOURS).index(photo.colour) for _, photo in photos]),
        np.array([number for number, _ in photos]),
    )


def measure_colours_among_kind(photos: Catalogue) -> npt.NDArray[np.float64]:
    """R-precision of each photo that has another listing's of its kind and colour to find, R times in all."""
    shares = []
    for kind in np.unique(photos.kinds):
        own = photos.kinds == kind
        judged = judge_queries(Labelled(photos.vectors[own], photos.colours[own], photos.listings[own]), depth=MOST)
        asked = judged.relevant > 0
        first = np.arange(judged.hits.shape[1]) < judged.relevant[:, None]
        shares.append((judged.hits & first).sum(axis=1)[asked] / judged.relevant[asked])
    return np.concatenate(shares)
