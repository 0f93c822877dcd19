"""Two paths through the code, traced: an upload until its vector is stored, and a query for similar listings.

The fewer modules a path enters, the fewer a reader opens. A module is entered when the body of a function, method or
property of it runs, on any thread; migrations and what runs only while modules are imported do not count. The site is
at work: one photo was uploaded and embedded before, and one query answered, a moment ago, so that the ranker is known.
"""

from __future__ import annotations

import inspect
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from listings.api.tokens import issue_token
from listings.models import Listing
from recommender.index import compact, get_index
from recommender.models import Embedding
from tests.factories import draw_photo, make_listing
from tests.recommender import conftest
from tests.recommender.queue_rows import ROOT
from workers import embedding, lifecycle

PACKAGES = ("marketplace", "listings", "recommender", "workers", "ml")
MOST_UPLOAD, MOST_QUERY = 24, 22
DOCUMENT = ROOT / "docs" / "architecture.md"

empty_storage, fresh_index, untrained = conftest.empty_storage, conftest.fresh_index, conftest.untrained

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_storage")]


class Trace:
    """The modules of the project that were entered while it was `recording`, in the order of their first entry."""

    def __init__(self) -> None:
        self.modules: dict[str, None] = {}
        self._is_recording = False

    @contextmanager
    def recording(self) -> Iterator[None]:
        self._is_recording = True
        try:
            yield
        finally:
            self._is_recording = False

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if not self._is_recording or event != "call":
            return
        code = frame.f_code
        # Bodies of modules and classes have no locals of their own; names of lambdas and comprehensions are in angles.
        if code.co_name.startswith("<") or not code.co_flags & inspect.CO_NEWLOCALS:
            return
        name = code.co_filename.removeprefix(f"{ROOT}/")
        if name.startswith(tuple(f"{package}/" for package in PACKAGES)) and "/migrations/" not in name:
            self.modules.setdefault(name)


@pytest.fixture
def trace() -> Iterator[Trace]:
    """A trace that sees this thread, and every thread that starts from now on."""
    trace = Trace()
    threading.setprofile(trace.profile)
    sys.setprofile(trace.profile)
    yield trace
    sys.setprofile(None)
    threading.setprofile(None)


@pytest.fixture
def at_work(trace, untrained, monkeypatch) -> Listing:
    """A listing that is found by its photo. The worker's threads start after the trace, so it sees them."""
    monkeypatch.setattr(embedding, "worker", lifecycle.Worker())
    monkeypatch.setattr("recommender.search.ranking.ranker.REREAD_SECONDS", 3600)
    listings = [make_listing() for _ in range(2)]
    for number, listing in enumerate(listings):
        upload(listing, number, seller_client(listing))
    embedding.embed_pending_photos()
    compact(force=True)
    get_index().refresh()
    query(listings[0])
    return listings[0]


def seller_client(listing: Listing) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {issue_token(listing.seller)}")
    return client


def upload(listing: Listing, seed: int, client: APIClient) -> None:
    photo = SimpleUploadedFile("photo.jpg", draw_photo(seed), "image/jpeg")
    response = client.post(f"/api/v1/listings/{listing.pk}/images/", {"images": [photo]}, format="multipart")
    assert response.status_code == 201, response.content


def query(listing: Listing) -> None:
    response = APIClient().get(f"/api/v1/listings/{listing.pk}/similar/")
    assert response.status_code == 200, response.content
    assert response.json()["results"]


def documented(path: str) -> list[str]:
    """The modules that the document names for a path, in its order."""
    section = DOCUMENT.read_text().split("\n## Two paths through the code\n")[1].split("\n## ")[0]
    paragraph = next(part for part in section.split("\n\n") if part.startswith(f"**{path}"))
    return re.findall(r"`([\w/]+\.py)`", paragraph)


def test_an_upload_enters_few_modules_until_its_vector_is_stored(trace, at_work):
    late = make_listing()
    client = seller_client(late)
    with trace.recording():
        upload(late, 9, client)
        embedding.embed_pending_photos()
    assert Embedding.objects.filter(image__listing=late, vector__isnull=False).exists()
    print(*trace.modules, sep="\n")
    assert len(trace.modules) <= MOST_UPLOAD
    assert documented("Upload to vector") == list(trace.modules)


def test_a_query_for_similar_listings_enters_few_modules(trace, at_work):
    with trace.recording():
        query(at_work)
    print(*trace.modules, sep="\n")
    assert len(trace.modules) <= MOST_QUERY
    assert documented("Query to answer") == list(trace.modules)


def test_the_trace_sees_functions_and_threads_and_not_the_bodies_of_modules_and_classes(trace):
    from ml.inference.cores import count_usable_cores

    code = compile("class Body:\n    pass\n[one for one in range(2)]\n", str(ROOT / "ml" / "made_up.py"), "exec")
    with trace.recording():
        exec(code, {})  # noqa: S102 - the line above
        assert not trace.modules
        thread = threading.Thread(target=count_usable_cores)
        thread.start()
        thread.join()
    assert list(trace.modules) == ["ml/inference/cores.py"]
