"""From query vectors to ranked answers.

The index gives more candidates than results are wanted, the ranker orders them, and the database confirms them. The
index may be a moment behind, but an answer never is: each listing is read again, and one that may no longer be shown
is replaced by the next candidate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from django.contrib.auth.models import AnonymousUser, User
from django.core.files.base import File
from django.db.models import Exists, OuterRef
from numpy.typing import NDArray

from listings.models import Category, Listing, ListingImage
from listings.querysets import ListingQuerySet, status_condition
from ml.images import MIN_SIDE, Box, PhotoRefused
from recommender.index import Candidates, Filter, find_nearest_listings, offer_search_to_recall_monitor
from recommender.models import Embedding, EmbeddingModel

from .photo_query import embed_photo
from .ranking.features import RankingQuery, compute_features, vector_distance
from .ranking.ranker import Ranker, Reason, active_ranker, compute_ranking, explain_score, scale_query

if TYPE_CHECKING:
    from recommender.index import State

CANDIDATES = 200
CANDIDATES_PER_RESULT = 5
# This many listings are read beyond the limit, so that a few that may no longer be shown cost no second query.
SPARE = 2
# Where too few candidates may be shown, the next round takes this many times as many, so that few rounds are enough.
WIDER = 4
MOST_READ = 2_000  # listings in one query, which brings each of them with its photos into memory


# Codes of photos that are pictures, but like which nothing looks: whatever such a search found would be chance.
NOTHING_ALIKE = "Nothing here looks like it."
NOTHING_RECOGNISED = "Nothing that is sold here can be recognised in the photo."
NOTHING_TO_FIND_BY = {
    "too_small": f"The photo has fewer than {MIN_SIDE} pixels on one side, so nothing can be found by it.",
    "one_colour": "The photo shows one colour only, so nothing can be found by it.",
}


class NoPhoto(Exception):
    """The listing has no photo to compare, and none is on its way; the message says why."""


class PhotoWaiting(Exception):
    """No photo of the listing has been embedded yet, but one will be."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What the caller wants: results that pass `filter` and `viewer` may see, at least this similar.

    `min_similarity` is a cosine; `min_probability`, that a result shows the same kind of thing, counts where the model
    is calibrated. Where none is that similar, so many `nearest` ones are wanted; `caller` is in whose turn a photo is
    decoded.
    """

    filter: Filter = field(default_factory=Filter)
    viewer: User | AnonymousUser = field(default_factory=AnonymousUser)
    limit: int = 20
    min_similarity: float = -1.0
    min_probability: float = 0.0
    nearest: int = 0
    caller: str = ""


@dataclass(frozen=True)
class Result:
    listing: Listing
    image_id: int
    score: float
    similarity: float
    probability: float | None
    explain: Callable[[], dict[str, Reason]] = field(repr=False, compare=False)

    @cached_property
    def reasons(self) -> dict[str, Reason]:
        """What each feature contributed. Most answers go out without, so this is computed when it is asked for."""
        return self.explain()

    @property
    def photo(self) -> ListingImage | None:
        """The photo that looks most alike, while it can be shown; else the listing's first one that can."""
        shown = [image for image in self.listing.photos if image.thumb_file]
        return next((image for image in shown if image.pk == self.image_id), next(iter(shown), None))


@dataclass(frozen=True, slots=True)
class Answer:
    """Results best first, the versions that made them, and how the index was searched (`Candidates.plan`).

    `note` is a sentence that says why there are none, where that is not for want of listings; `nearest` then has those
    that come next, as many as were asked for.
    """

    results: list[Result]
    ranker: str
    state: State
    plan: tuple[dict[str, object], ...] = ()
    note: str = ""
    nearest: list[Result] = field(default_factory=list)


def find_similar_listings(state: State, listing: Listing, request: SearchRequest) -> Answer:
    """Listings like this one, compared by all of its photos. Raises NoPhoto, PhotoWaiting."""
    query = RankingQuery(
        now=time.time(),
        category=listing.category.path if listing.category else None,
        price=None if listing.price is None else float(listing.price),
        point=request.filter.near or listing.point,
    )
    vectors = state.read_vectors(listing.pk).astype(np.float32)
    # The index may lack photos that are new, and somebody often looks at just those.
    if state.behind or not len(vectors):
        vectors = load_stored_vectors(listing, state.model_id)
    return _search_and_rank_in_rounds(state, vectors, state.model_id, request, query, {listing.pk})


def search_by_photo(state: State, photo: File, request: SearchRequest, box: Box | None = None) -> Answer:
    """Listings like an uploaded photo, or like the part of it in `box`, by the model that this state is of.

    Raises PhotoRefused, PartRefused, ModelNotReady, Busy.
    """
    model = EmbeddingModel.objects.get(pk=state.model_id)
    try:
        vectors = embed_photo(photo, model, box, caller=request.caller)
    except PhotoRefused as refusal:
        if refusal.code not in NOTHING_TO_FIND_BY:
            raise
        return Answer([], active_ranker().name, state, note=NOTHING_TO_FIND_BY[refusal.code])
    return search_by_vectors(state, vectors, model.pk, request)


def search_by_vectors(state: State, vectors: NDArray[np.float32], model_id: int, request: SearchRequest) -> Answer:
    """Listings like a photo that is no listing's. `vectors`: float32[m, dim] made by this model, L2-normalised.

    Raises ForeignVector where the model is not the state's.
    """
    query = RankingQuery(now=time.time(), point=request.filter.near)
    return _search_and_rank_in_rounds(state, vectors, model_id, request, query)


def load_stored_vectors(listing: Listing, model_id: int) -> NDArray[np.float32]:
    """float32[m, dim]: one model's vectors of a listing's photos, m > 0. Raises NoPhoto, PhotoWaiting."""
    rows = Embedding.objects.filter(model_id=model_id, image__listing=listing, vector__isnull=False)
    rows = rows.exclude(image__state=ListingImage.State.REJECTED).order_by("image__position", "image_id")
    stored = [np.frombuffer(vector, np.float16) for vector in rows.values_list("vector", flat=True) if vector]
    if not stored:
        raise _missing_vectors_error(listing, model_id)
    return np.stack(stored).astype(np.float32)


def _missing_vectors_error(listing: Listing, model_id: int) -> NoPhoto | PhotoWaiting:
    refused = Embedding.objects.filter(image=OuterRef("pk"), model_id=model_id, state=Embedding.State.REJECTED)
    states = listing.images.annotate(refused=Exists(refused)).values_list("state", "refused")
    photos = [state == ListingImage.State.REJECTED or refused for state, refused in states]
    if not photos:
        return NoPhoto("This listing has no photo, so nothing can look like it. Add one.")
    if all(photos):
        return NoPhoto("None of this listing's photos could be used. Each says why; add another one.")
    return PhotoWaiting("This listing's photo is being looked at. Ask again in a moment.")


def _search_and_rank_in_rounds(
    state: State,
    vectors: NDArray[np.float32],
    model_id: int,
    request: SearchRequest,
    query: RankingQuery,
    exclude: Collection[int] = (),
) -> Answer:
    """What is alike enough; where nothing is, a note that says so, and the nearest few that were asked for."""
    query = replace(query, scale=scale_query(model_id, vectors))
    answer, is_any_left_out = _collect_results_in_rounds(state, vectors, model_id, request, query, exclude)
    if answer.results or query.scale is None or not is_any_left_out:
        return answer
    note = NOTHING_RECOGNISED if query.scale.is_blank else NOTHING_ALIKE
    if not request.nearest:
        return replace(answer, note=note)
    wider = replace(request, min_probability=0.0, limit=request.nearest)
    nearest, _ = _collect_results_in_rounds(state, vectors, model_id, wider, query, exclude)
    return replace(answer, note=note, nearest=nearest.results)


def _collect_results_in_rounds(
    state: State,
    vectors: NDArray[np.float32],
    model_id: int,
    request: SearchRequest,
    query: RankingQuery,
    exclude: Collection[int],
) -> tuple[Answer, bool]:
    """Search in rounds, each wider than the one before, until there are enough results or nothing is left.

    Returns also whether something was found that is less likely than the request wants.
    """
    ranker = active_ranker()
    least = request.min_similarity
    if query.scale is not None:
        least = max(least, query.scale.find_least_cosine(request.min_probability))
    width = max(CANDIDATES, CANDIDATES_PER_RESULT * request.limit)
    results: list[Result] = []
    is_any_left_out = False
    plan: tuple[dict[str, object], ...] = ()
    seen = set(exclude)
    for round_number in count():
        found = find_nearest_listings(state, vectors, width, request.filter, seen, model_id=model_id)
        plan += found.plan
        if round_number == 0:
            offer_search_to_recall_monitor(state, vectors, width, request.filter, exclude, found)
            if len(found):
                # At which similarity photos stop looking alike depends on the model and the catalogue. The last
                # candidate of the first round sets it for all rounds, so that scores of different rounds compare.
                query = replace(query, farthest=float(vector_distance(found.similarity[-1:])[0]))
        close = found.select_entries(np.flatnonzero(found.similarity >= least))
        is_any_left_out |= bool((found.similarity[found.similarity < least] >= request.min_similarity).any())
        results.extend(_select_best_showable_results(close, request, query, ranker, request.limit - len(results)))
        # Fewer candidates than asked for mean that no other is similar enough and passes, however wide the next search.
        if len(results) >= request.limit or len(close) < width:
            break
        seen.update(found.listing.tolist())
        width *= WIDER
    results.sort(key=lambda result: (-result.score, result.listing.pk))
    return Answer(results, ranker.name, state, plan), is_any_left_out


def _select_best_showable_results(
    candidates: Candidates, request: SearchRequest, query: RankingQuery, ranker: Ranker, limit: int
) -> list[Result]:
    """The best `limit` candidates that the database confirms, best first."""
    if not len(candidates):
        return []
    categories = Category.objects.filter(pk__in=np.unique(candidates.category).tolist()).order_by()
    paths = dict(categories.values_list("pk", "path"))
    values = compute_features(candidates, query, paths)
    ranking = compute_ranking(values, ranker.weights, candidates.listing)
    return [
        Result(
            listing=listing,
            image_id=int(candidates.image[place]),
            score=float(ranking.score[place]),
            similarity=float(candidates.similarity[place]),
            probability=query.compute_probability(float(candidates.similarity[place])),
            explain=partial(explain_score, place, candidates, query, paths, values, ranking),
        )
        for place, listing in _read_first_showable_listings(candidates.listing, ranking.order, request, limit)
    ]


def _read_first_showable_listings(
    listing_ids: NDArray[np.int64], order: NDArray[np.int64], request: SearchRequest, limit: int
) -> Iterator[tuple[int, Listing]]:
    """(place, listing) of the first `limit` candidates in `order` that may be shown."""
    width = limit + SPARE
    while limit and len(order):
        places, order = order[:width], order[width:]
        width = min(width * WIDER, MOST_READ)
        rows = read_showable_listings(listing_ids[places].tolist(), request)
        for place in places.tolist():
            if limit and (listing := rows.get(int(listing_ids[place]))):
                limit -= 1
                yield place, listing


def read_showable_listings(listing_ids: list[int], request: SearchRequest) -> dict[int, Listing]:
    """The listings of these ids that the viewer may see and that pass, with category, seller and ready photos."""
    if not listing_ids:
        return {}
    rows = matching_listings(Listing.objects.visible_to(request.viewer), request.filter).filter(pk__in=listing_ids)
    return {row.pk: row for row in rows.order_by().with_details()}


def matching_listings(listings: ListingQuerySet, where: Filter) -> ListingQuerySet:
    """Those of some rows that pass the index's filter, in SQL."""
    return listings.filter(status_condition(*where.statuses)).matching(where)
