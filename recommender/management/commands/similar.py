"""Ask the index from a terminal: what looks like this listing, or like this file?"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from django.contrib.auth.models import User
from django.core.files import File
from django.core.management.base import BaseCommand, CommandError

from listings.models import Listing
from ml.catalogue.counts import describe_count
from ml.images import PhotoRefused
from recommender.errors import ModelNotReady
from recommender.index import IndexNotReady, get_index
from recommender.models import LONGEST_ID
from recommender.search.retrieval import (
    Answer,
    NoPhoto,
    PhotoWaiting,
    SearchRequest,
    find_similar_listings,
    search_by_photo,
)

TITLE_WIDTH = 40
# Whoever has a shell may see every listing, so the search is made for a superuser who is never saved.
OPERATOR = User(is_staff=True, is_superuser=True)


class Command(BaseCommand):
    help = "Print the listings most similar to a listing (its id) or to a photo (its file)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("query", metavar="IMAGE_OR_LISTING", help="a listing's id, or the path of a photo")
        parser.add_argument("--limit", type=int, default=10)

    def handle(self, *args: object, query: str, limit: int, **options: object) -> None:
        if limit < 1:
            raise CommandError(f"--limit is {limit}; ask for at least one listing.")
        try:
            answer = _find_answer(query, SearchRequest(viewer=OPERATOR, limit=limit))
        except (IndexNotReady, ModelNotReady, NoPhoto, PhotoWaiting) as exc:
            raise CommandError(str(exc)) from exc
        except PhotoRefused as exc:
            raise CommandError(f"{query}: {exc.reason}") from exc
        self._print_answer(answer)

    def _print_answer(self, answer: Answer) -> None:
        state = answer.state
        searched = describe_count(state.rows, "photo")
        self.stdout.write(f"model {state.model_version}, ranker {answer.ranker}, {searched} searched")
        if answer.note:
            self.stdout.write(answer.note)
            return
        self.stdout.write(f"{'listing':>9}  {'score':>6}  {'cosine':>6}  {'title':{TITLE_WIDTH}}  why")
        for result in answer.results:
            why = ", ".join(reason["text"] for name, reason in result.reasons.items() if name != "similarity")
            title = f"{result.listing.title[:TITLE_WIDTH]:{TITLE_WIDTH}}"
            self.stdout.write(
                f"{result.listing.pk:>9}  {result.score:>6.3f}  {result.similarity:>6.3f}  {title}  {why}"
            )
        if not answer.results:
            self.stdout.write("No other active listing is in the index yet.")


def _find_answer(query: str, request: SearchRequest) -> Answer:
    path = Path(query)
    if query.isdecimal() and len(query) <= LONGEST_ID and not path.exists():
        return find_similar_listings(get_index().get_state(), _load_listing(query), request)
    state = get_index().get_state()
    try:
        with path.open("rb") as file:
            return search_by_photo(state, File(file), request)
    except OSError as exc:
        raise CommandError(f"'{query}' is no listing's id, and no file that can be read: {exc.strerror}.") from exc


def _load_listing(pk: str) -> Listing:
    listing = Listing.objects.select_related("category").filter(pk=int(pk)).first()
    if listing is None:
        raise CommandError(f"There is no listing {pk}.")
    return listing
