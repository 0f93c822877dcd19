"""Photos that take long to decode hold nobody else's up."""

from __future__ import annotations

import io
import threading
import time

import pytest
from django.db import connection
from PIL import Image

from listings.models import ListingImage
from recommender.embedding import photo_files
from recommender.embedding.photo_files import is_slow_to_decode
from recommender.models import Embedding
from tests.factories import draw_photo, make_image, make_listing, make_user
from tests.fakes import FakeEmbedder
from tests.ml.images.made.jpeg import film
from tests.recommender.queue_rows import embed, loop_with, make_model, states

LARGE = (200, 150)


class Stuck(FakeEmbedder):
    """Large photos are not prepared before somebody else's is embedded, which is saved now if it was not before."""

    def __init__(self) -> None:
        super().__init__()
        self.met: list[bool] = []
        self.lock = threading.Lock()

    def prepare(self, image):
        if image.size == LARGE:
            with self.lock:
                other = ListingImage.objects.exclude(listing__title="large").first() or save_photo("small")
            self.met.append(comes_true(Embedding.objects.filter(image=other, state="done").exists))
            connection.close()
        return super().prepare(image)


def comes_true(condition, seconds: float = 15) -> bool:
    until = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < until:
        time.sleep(0.02)
    return met


def save_photo(title: str, size: tuple[int, int] = (96, 72)) -> ListingImage:
    listing = make_listing(title=title, seller=make_user())
    return make_image(listing, data=draw_photo(listing.pk, size))


def save_large_photos(number: int) -> None:
    listing = make_listing(title="large", seller=make_user())
    for seed in range(number):
        make_image(listing, data=draw_photo(seed, LARGE))


@pytest.fixture
def _judged_by_size(monkeypatch, db):
    monkeypatch.setattr(photo_files, "SLOW_PIXELS", 100 * 100)
    monkeypatch.setattr(photo_files, "FEW_BYTES", 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("empty_storage", "_judged_by_size")
@pytest.mark.parametrize("is_there", [True, False], ids=["saved before", "saved meanwhile"])
def test_a_photo_does_not_wait_for_those_of_another_seller_that_take_long(is_there):
    make_model()
    save_large_photos(5)
    if is_there:
        save_photo("small")
    embedder = Stuck()
    tally = embed(embedder)
    assert embedder.met == [True] * 5
    assert (tally.done, tally.dropped, states()) == (6, 0, {"done": 6})


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("empty_storage", "_judged_by_size")
def test_after_a_time_slice_one_that_takes_long_goes_on_beside_others_and_the_rest_is_given_back_untried():
    make_model()
    save_large_photos(4)
    first = ListingImage.objects.earliest("pk").pk

    class StuckPastTheEnd(Stuck):
        def prepare(self, image):
            if image.size == LARGE:
                self.met.append(comes_true(Embedding.objects.filter(state="pending").exists))
                self.met.append(comes_true(lambda: activity.current_limit_and_photos[1]() == [first]))
            return super().prepare(image)

    embedder = StuckPastTheEnd()
    loop = loop_with(embedder)
    activity = loop.activity
    tally = loop.run_slice(0.5)
    assert embedder.met == [True] * 3
    assert (tally.done, states()) == (2, {"done": 2, "pending": 3})
    assert set(Embedding.objects.values_list("attempts", flat=True)) == {0}


def encode(size: tuple[int, int], format: str, **options: object) -> bytes:  # noqa: A002
    out = io.BytesIO()
    Image.new("RGB", size, "teal").save(out, format, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("size", "format", "options", "slow"),
    [
        ((4000, 3000), "JPEG", {}, False),
        ((4000, 3000), "JPEG", {"progressive": True}, False),
        ((3000, 2000), "PNG", {"compress_level": 1}, False),
        ((6000, 4000), "PNG", {"compress_level": 1}, True),
        ((640, 480), "AVIF", {"speed": 10}, False),
    ],
)
def test_what_takes_long_is_told_by_pixels_and_scans(size, format, options, slow):  # noqa: A002
    assert is_slow_to_decode(encode(size, format, **options)) is slow


def test_only_scans_of_the_picture_itself_take_long():
    data = encode((400, 300), "JPEG", progressive=True, comment=b"\xff\xda" * 300)
    data = data.replace((300).to_bytes(2) + (400).to_bytes(2), (3000).to_bytes(2) + (4000).to_bytes(2), 1)
    last = data[data.rindex(b"\xff\xda") : -2]
    assert not is_slow_to_decode(data + film(1_000_000))
    assert is_slow_to_decode(data[:-2] + 30 * last + data[-2:])


def test_a_large_avif_is_told_by_the_size_it_names():
    data = encode((640, 480), "AVIF", speed=10)
    assert is_slow_to_decode(data.replace(b"ispe\0\0\0\0" + (640).to_bytes(4), b"ispe\0\0\0\0" + (64_000).to_bytes(4)))


def test_what_is_no_picture_is_left_to_who_decodes_it():
    assert not is_slow_to_decode(b"\x89PNG nothing")
