import re

import pytest

from listings.models import Listing
from tests.factories import make_listing, make_ready_image
from tests.listings.admin.pages import LIST, said

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bare_pages", "staff")]


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("mark_sold", "active", "sold"),
        ("mark_active", "sold", "active"),
        ("mark_active", "removed", "active"),
        ("mark_removed", "active", "removed"),
    ],
)
def test_an_action_changes_the_chosen_listings_only(client, action, before, after):
    chosen, other = make_listing(status=before), make_listing(status=before)
    updated = chosen.updated_at
    response = client.post(LIST, {"action": action, "_selected_action": [chosen.pk], "post": "yes"}, follow=True)
    chosen.refresh_from_db()
    other.refresh_from_db()
    assert (chosen.status, other.status) == (after, before)
    assert chosen.updated_at > updated
    assert said(response) == [f"1 listing now {after}."]


def test_removing_many_asks_first_and_says_how_many_and_which(client, django_assert_max_num_queries):
    sellers = [make_listing(title=f"Chair {number:02}") for number in range(12)]
    make_listing(title="Chair of another day", status="removed")
    address = f"{LIST}?q=chair"
    fields = {"action": "mark_removed", "_selected_action": [sellers[0].pk], "select_across": "1"}
    with django_assert_max_num_queries(9):
        asked = client.post(address, fields)
    page = asked.content.decode()
    assert "Remove 12 listings?" in page
    assert "Chair 11" in page
    assert "Chair 02" in page
    assert "Chair 01" not in page
    assert "2 more" in page
    assert not Listing.objects.filter(status="removed", title__in=["Chair 00", "Chair 11"]).exists()
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.split("<form")[-1]))
    assert said(client.post(address, hidden, follow=True)) == ["12 listings now removed."]
    assert Listing.objects.filter(status="removed").count() == 13


def test_an_action_works_on_a_searched_and_filtered_list(client):
    listing = make_listing(title="Chair", category="Home / Chairs")
    make_ready_image(listing)
    address = f"{LIST}?q=chair&photos=yes&root={listing.category.parent_id}"
    client.post(address, {"action": "mark_sold", "_selected_action": [listing.pk], "select_across": "1"})
    listing.refresh_from_db()
    assert listing.status == "sold"
