"""Items of the demo before other backgrounds and in near colours: does the item outweigh what is around it?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from random import Random
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from listings.demo.drawing import BACKGROUNDS, COLOURS, KINDS, draw_photo
from listings.demo.photos import draw_planned_photo
from listings.demo.plan import LISTINGS, plan_catalogue
from ml.evaluation.metrics import Labelled, judge_queries
from ml.images import make_clean_picture
from ml.inference.embedder import Embedder

from .lab import find_near_colours
from .ranking import Trial, measure_share_won

APART = 20.0  # the distance (CIE76) between a colour and those near it
BACKGROUND = 0.5  # of the pixels, at least, have to change with the background
VARIANTS = 2
DAY = datetime(2026, 1, 1, tzinfo=UTC)


def measure_demo(embedder: Embedder) -> dict[str, Any]:
    """Whether colour outweighs background, and whether kinds find each other."""
    hard, trials = measure_share_won(embedder, tqdm(_draw_trials(moved=False), desc="colours", disable=None))
    even, _ = measure_share_won(embedder, tqdm(_draw_trials(moved=True), desc="colours, all moved", disable=None))
    return {
        "same item, other background, before the same item in each near colour": hard,
        "the same, the near colours before that other background too": even,
        "trials": trials,
        "kind precision@10": _measure_kind_precision(embedder),
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


def _measure_kind_precision(embedder: Embedder) -> float:
    """Of the demo catalogue as it is shipped: the share of a photo's ten nearest, of other listings, of its kind."""
    listings = list(plan_catalogue(LISTINGS, DAY))
    pictures, kinds, groups = [], [], []
    for number, listing in enumerate(tqdm(listings, desc="kinds", disable=None)):
        for photo in listing.photos:
            pictures.append(embedder.prepare(make_clean_picture(draw_planned_photo(photo))))
            kinds.append(list(KINDS).index(photo.kind))
            groups.append(number)
    vectors = embedder.embed(np.stack(pictures))
    judged = judge_queries(Labelled(vectors, np.array(kinds), np.array(groups)))
    return round(float(judged.precision_at(10).mean()), 3)
