"""What a stream of changes costs on disk, and in recall."""

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from listings.models import Listing, ListingImage
from recommender import feed
from recommender.index import Filter, Index, find_nearest_listings
from recommender.index.ann.recall import recall_of_listings
from recommender.index.compaction.compactor import compact, rebuild
from recommender.index.storage import segment
from recommender.index.storage.snapshot import segment_directory
from recommender.models import IndexSnapshot
from tests.recommender.index.served import segment_names, structure_kinds


def store(model, vectors, photos=1):
    """Listings with so many photos each, one for each of these vectors (float[n, dim]), in a few statements."""
    seller = User.objects.get_or_create(username="seller")[0]
    with transaction.atomic():
        listings = Listing.objects.bulk_create(
            Listing(seller=seller, title="a thing", price=10) for _ in vectors[::photos]
        )
        images = ListingImage.objects.bulk_create(
            ListingImage(listing=listing, sha256=f"{listing.pk:060d}{number:04d}")
            for listing in listings
            for number in range(photos)
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                "UPDATE recommender_embedding SET state = 'done', vector = %s WHERE image_id = %s AND model_id = %s",
                [
                    (vector.astype(np.float16).tobytes(), image.pk, model.pk)
                    for vector, image in zip(vectors, images, strict=True)
                ],
            )
        feed.append_vector_changes([listing.pk for listing in listings], model.pk)


def clusters(seed, count, rows, dim, spread=0.35):
    """float32[rows, dim], L2-normalised, around `count` centres."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((count, dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = centres[random.integers(0, count, rows)]
    vectors = vectors + spread / dim**0.5 * random.standard_normal((rows, dim)) * 2
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("rows", [5_000, pytest.param(20_000, marks=pytest.mark.soak)])
def test_an_import_writes_at_most_six_times_what_is_left(model, monkeypatch, rows):
    written = []
    real = segment.write_segment

    def measured(directory, *args, **options):
        manifest = real(directory, *args, **options)
        written.append(size(directory))
        return manifest

    monkeypatch.setattr(segment, "write_segment", measured)
    vectors = clusters(1, 50, rows, model.dim)
    for first in range(0, len(vectors), 500):
        store(model, vectors[first : first + 500], photos=4)
        assert "flushed" in compact(force=True).actions
    assert len(written) >= rows / 500
    assert IndexSnapshot.objects.last().rows == rows
    assert len(segment_names()) <= 8
    assert sum(written) <= 6 * sum(size(segment_directory(name)) for name in segment_names())


def size(directory):
    return sum(path.stat().st_size for path in directory.iterdir())


@pytest.fixture
def wide(model):
    model.dim = 32
    model.save(update_fields=["dim"])
    return model


@pytest.mark.parametrize("rows", [4_000, pytest.param(12_000, marks=pytest.mark.soak)])
def test_recall_after_half_the_rows_were_replaced_by_new_kinds_is_what_a_rebuild_gives(wide, settings, rows):
    """300 queries, ten neighbours each: their mean recall is uncertain by about a third of the 0.01 allowed."""
    settings.INDEX_EXACT_ROWS = rows // 6
    store(wide, clusters(1, 40, rows, wide.dim))
    compact(force=True)
    old = list(Listing.objects.order_by("pk").values_list("pk", flat=True))
    doomed = np.random.default_rng(3).permutation(old)[: rows // 2]
    fresh = clusters(2, 40, rows // 2, wide.dim)
    for part in np.array_split(np.arange(rows // 2), 4):
        Listing.objects.filter(pk__in=doomed[part].tolist()).update(status="removed")
        store(wide, fresh[part])
        compact(force=True)
    assert len(segment_names()) == 2
    assert structure_kinds() == {"ivf"}
    queries = asked(np.concatenate([clusters(1, 40, rows, wide.dim)[:150], fresh[:150]]))
    churned = recall(queries)
    rebuild()
    assert structure_kinds() == {"ivf"}
    assert recall(queries) > 0.9
    assert churned >= recall(queries) - 0.01


def asked(vectors):
    """Like these, but none of them."""
    noise = np.random.default_rng(9).standard_normal(vectors.shape)
    vectors = vectors + 0.3 * noise / vectors.shape[1] ** 0.5
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def recall(queries):
    index = Index()
    index.refresh()
    state = index.get_state()
    answers = [
        [find_nearest_listings(state, query, 10, Filter(), exact=exact) for exact in (False, True)] for query in queries
    ]
    return np.mean([recall_of_listings(*pair) for pair in answers])
