import hashlib
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listings.demo.drawing import BACKGROUNDS, COLOURS, KINDS, PATTERNS, VIEWS, View, draw_photo
from listings.demo.photos import encode_planned_photo
from listings.demo.plan import plan_catalogue

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SMALL = View(size=(160, 200))


def pixels(*words) -> np.ndarray:
    return np.asarray(draw_photo(*words), dtype=np.int16)


def difference(one: tuple, other: tuple) -> float:
    """Mean absolute difference, in levels of 255."""
    return float(np.abs(pixels(*one) - pixels(*other)).mean())


def test_the_same_words_give_the_same_bytes_in_another_process():
    script = (
        "import hashlib; from listings.demo.photos import encode_planned_photo; "
        "from listings.demo.plan import plan_catalogue; "
        "from datetime import datetime, UTC;"
        "print([hashlib.sha256(encode_planned_photo(p)).hexdigest() "
        "for l in plan_catalogue(8, datetime.now(UTC)) for p in l.photos[:1]])"
    )
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    here = [
        hashlib.sha256(encode_planned_photo(photo)).hexdigest()
        for listing in plan_catalogue(8, NOON)
        for photo in listing.photos[:1]
    ]
    assert str(here) == other


@pytest.mark.parametrize("kind", KINDS)
def test_each_word_changes_the_picture(kind):
    words = [kind, 1, "teal", "plain", "studio", SMALL]
    others = {1: 2, 2: "mustard", 3: "checked", 4: "garden", 5: View(size=(160, 200), mirrored=True, turn=4)}
    for place, word in others.items():
        changed = [*words[:place], word, *words[place + 1 :]]
        assert difference(tuple(words), tuple(changed)) > 0.15


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_keeps_its_outline_in_another_colour_and_place(kind):
    """Where one item's two colours differ is where the item is; that place does not move with the scene."""
    for variant in range(3):
        masks = []
        for scene in ("studio", "brick"):
            red = pixels(kind, variant, (230, 20, 20), "plain", scene, SMALL)
            blue = pixels(kind, variant, (20, 20, 230), "plain", scene, SMALL)
            masks.append(np.abs(red - blue).max(axis=2) > 24)
        assert 0.004 < masks[0].mean() < 0.6
        assert (masks[0] != masks[1]).mean() < 0.01


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(KINDS)),
    st.integers(0, 10_000),
    st.sampled_from(sorted(COLOURS)),
    st.sampled_from(PATTERNS),
    st.sampled_from(BACKGROUNDS),
    st.sampled_from(sorted(VIEWS)),
)
def test_every_combination_of_words_can_be_drawn(kind, variant, colour, pattern, background, view):
    image = draw_photo(kind, variant, colour, pattern, background, view)
    assert (image.mode, image.size) == ("RGB", VIEWS[view].size)
    assert np.asarray(image).std() > 5


@pytest.mark.parametrize("place", [0, 2, 3, 4, 5])
def test_an_unknown_word_is_named(place):
    words: list[Any] = ["mug", 1, "teal", "plain", "studio", "front"]
    words[place] = "nonsense"
    with pytest.raises(KeyError, match="nonsense"):
        draw_photo(*words)


def test_the_plan_holds_at_least_200_listings_in_8_kinds_with_one_to_three_photos_each():
    listings = list(plan_catalogue(208, NOON))
    assert len({listing.id for listing in listings}) == 208
    assert Counter(listing.photos[0].kind for listing in listings) == dict.fromkeys(KINDS, 26)
    assert {len(listing.photos) for listing in listings} == {1, 2, 3}
    for word, choices in (("colour", COLOURS), ("pattern", PATTERNS), ("background", BACKGROUNDS)):
        assert {getattr(photo, word) for listing in listings for photo in listing.photos} == set(choices)
    assert all(timedelta(0) < NOON - listing.created_at <= timedelta(days=60) for listing in listings)
    assert {len(listing.category.split(" / ")) for listing in listings} == {3}


def test_the_plan_is_the_same_on_another_day_but_for_its_dates():
    first, second = (list(plan_catalogue(40, day)) for day in (NOON, NOON + timedelta(days=3)))
    assert [listing.photos for listing in first] == [listing.photos for listing in second]
    assert {b.created_at - a.created_at for a, b in zip(first, second, strict=True)} == {timedelta(days=3)}


def test_photos_of_one_listing_show_the_same_item_in_different_places():
    for listing in plan_catalogue(64, NOON):
        items = {(photo.kind, photo.variant, photo.colour, photo.pattern) for photo in listing.photos}
        assert len(items) == 1
        assert len({photo.background for photo in listing.photos}) == len(listing.photos)
