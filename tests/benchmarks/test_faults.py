"""The benchmark of faults counts what is lost, doubled, stale and late: each is told where it is so, and only there."""

from __future__ import annotations

import pytest

from benchmarks.faults.episode import Outcome
from benchmarks.faults.finding import split_by_price
from benchmarks.faults.ledger import compare_saves
from benchmarks.faults.notebook import Save
from benchmarks.faults.table import format_table
from benchmarks.faults.watching import find_longest_gap
from listings.models import ListingImage
from recommender.models import Embedding, EmbeddingModel
from tests.factories import make_image, make_listing, make_ready_image


@pytest.fixture
def saved(db):
    """A listing whose photo has its files and its vector, and what its saver was promised."""
    EmbeddingModel.objects.create(
        version="fake", arch="fake", dim=2, checkpoint="/none", sha256="0" * 64, state=EmbeddingModel.State.ACTIVE
    )
    listing = make_listing(title="Saved under fire 1")
    image = make_ready_image(listing)
    Embedding.objects.filter(image=image).update(state="done", vector=b"\0" * 4)
    promise = {"title": listing.title, "listing": listing.pk, "sha256": image.sha256}
    return image, {**promise, "acknowledged": True, "found": True, "removed": False}


def test_a_save_that_is_there_once_is_neither_lost_nor_doubled(saved):
    assert compare_saves([saved[1]]) == {"lost": [], "doubled": []}


LOSSES = {
    "has no row": lambda image: image.listing.delete(),
    "has no photo": lambda image: image.delete(),
    "has no file original": lambda image: image.original.storage.delete(image.original.name),
    "has no file thumb_file": lambda image: image.thumb_file.storage.delete(image.thumb_file.name),
    "is new": lambda image: ListingImage.objects.filter(pk=image.pk).update(state="new"),
    "is pending": lambda image: Embedding.objects.update(state="pending", vector=None),
    "has no embedding": lambda image: Embedding.objects.all().delete(),
}


@pytest.mark.parametrize("said", LOSSES)
def test_each_part_that_is_missing_is_told(saved, said):
    image, promise = saved
    LOSSES[said](image)
    lost = compare_saves([promise])["lost"]
    assert len(lost) == 1
    assert said in lost[0]
    assert compare_saves([{**promise, "acknowledged": False}])["lost"] == []


def test_a_save_that_is_not_found_or_comes_back_after_its_removal_is_told(saved):
    promise = saved[1]
    assert "not found" in compare_saves([{**promise, "found": False}])["lost"][0]
    assert "was removed and is active" in compare_saves([{**promise, "removed": True}])["lost"][0]


def test_two_listings_and_two_photos_of_one_save_are_told(saved):
    image, promise = saved
    make_image(image.listing, sha256=image.sha256)
    assert "its photo 2 times" in compare_saves([{**promise, "acknowledged": False}])["doubled"][0]
    make_listing(title=image.listing.title)
    assert "2 listings" in compare_saves([{**promise, "acknowledged": False}])["doubled"][0]


def test_the_longest_gap_counts_from_the_beginning_and_to_the_end():
    assert find_longest_gap([1.0, 2.0, 9.0], 0.0, 10.0) == 7.0
    assert find_longest_gap([5.0], 0.0, 7.0) == 5.0
    assert find_longest_gap([], 0.0, 3.0) == 3.0


def test_saves_are_looked_for_in_groups_that_one_answer_holds():
    saves = [Save(number, "REST", "", b"", "", 0.0) for number in (250, 1, 100, 101, 200)]
    assert [[save.number for save in some] for some in split_by_price(saves)] == [[1, 100], [101, 200], [250]]


def test_the_table_sums_counts_and_keeps_the_worst_time():
    rounds = [
        Outcome(fault="kill", saved=3, lost=["a"], gap=1.0, back=2.0, failed={"visits": {"503": 1}}),
        Outcome(fault="kill", saved=4, doubled=["b"], gap=0.5, back=7.0, failed={"saves": {"503": 2}}),
    ]
    assert format_table(rounds).splitlines()[1].split() == [
        *("kill", "2", "7", "1", "1", "0", "0", "1.0", "s", "7.0", "s", "0.0", "s", "3", "x", "503"),
    ]
