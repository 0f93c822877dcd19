"""Addresses and selections that no page of the admin leads to are refused, not handed on to the database."""

import pytest
from django.contrib import admin
from django.urls import reverse

from listings.models import Listing
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.django_db

MADE_UP = {"q": "\0", "p": "\0", "id__exact": "\0", "\0": "1", "id__in": "9" * 30, "id__exact ": "1\0"}
COMPARED = {"id__in": f"1,-{'9' * 30}", "id__range": "1", "id__regex": "[", "id__year": "0", "id__contained_by": "1"}
IDS = ["\0", "x", "9" * 30, "-1", ""]
PAGES = ["add/?title=a%00", "%00/change/", "1/history/?p=%00", "1/delete/?_to_field=%00", "add/?_to_field=%00"]


@pytest.fixture
def staff(client):
    client.force_login(make_user(staff=True))
    return client


def changelist(model) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model.__name__)
def test_a_list_is_not_asked_for_what_no_column_holds(staff, model):
    site = admin.site._registry[model]
    filters = [one if isinstance(one, str) else getattr(one, "parameter_name", "id") for one in site.list_filter]
    asked = [
        *MADE_UP.items(),
        *COMPARED.items(),
        *((name, value) for name in filters for value in ("\0", f"-{'9' * 30}")),
    ]
    assert {staff.get(changelist(model), {name: value}).status_code for name, value in asked} == {400}
    assert {staff.get(changelist(model) + page).status_code for page in PAGES} <= {400, 404}
    assert staff.get(changelist(model), {"q": "9" * 30}).status_code == 200


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model.__name__)
def test_an_action_is_not_carried_out_on_what_is_no_id(staff, model):
    sent = [staff.post(changelist(model), {"action": "delete_selected", "_selected_action": id_}) for id_ in IDS]
    assert {answer.status_code for answer in sent} == {400}


@pytest.mark.parametrize("text", ["\0", "9" * 30, f"-{'9' * 30}"])
@pytest.mark.parametrize(("page", "field"), [("listings_listing", "seller"), ("listings_category", "parent")])
def test_a_form_is_not_sent_with_what_it_does_not_offer(staff, page, field, text):
    assert staff.post(reverse(f"admin:{page}_add"), {"name": "x", "title": "x", field: text}).status_code in (200, 400)


@pytest.mark.parametrize("name", ["status__exact", "category__id__exact", "category__isnull", "created_at__gte"])
def test_a_list_is_asked_for_what_its_links_ask(staff, name):
    assert (
        staff.get(changelist(Listing), {name: "2026-01-01 00:00+00:00" if "created" in name else "1"}).status_code
        == 200
    )


def test_what_people_choose_is_still_done(staff):
    listing = make_listing()
    path = reverse("admin:listings_listing_changelist")
    staff.post(path, {"action": "mark_sold", "_selected_action": [listing.pk]})
    listing.refresh_from_db()
    assert listing.status == "sold"


def test_a_search_while_a_category_is_chosen_takes_no_made_up_text(staff):
    said = {"term": "\0", "app_label": "listings", "model_name": "listing", "field_name": "category"}
    assert staff.get("/admin/autocomplete/", said).status_code == 400
