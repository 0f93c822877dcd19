import re
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils.safestring import SafeString

from listings import slots
from listings.models import Listing, ListingImage
from tests.factories import (
    draw_plain_photo,
    make_category,
    make_image,
    make_listing,
    make_ready_image,
    make_user,
    photo_file,
)
from tests.listings.admin.pages import ADD, LIST, change, form, shown

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bare_pages")]


@pytest.fixture
def moderator(client):
    """Staff who may change listings but is no superuser."""
    person = make_user()
    person.is_staff = True
    person.save()
    person.user_permissions.set(Permission.objects.filter(content_type__app_label="listings"))
    client.force_login(person)
    return person


@pytest.mark.parametrize("person", [None, "seller"])
def test_the_admin_is_for_staff(client, person):
    if person:
        client.force_login(make_user())
    assert client.get(LIST).status_code == 302


@pytest.mark.usefixtures("staff")
@pytest.mark.django_db(transaction=True)
def test_a_listing_is_added_with_several_photos_at_once(client):
    fields = form(make_user(), price="12.50", category=make_category("Home / Chairs").pk)
    response = client.post(ADD, {**fields, "photos": [photo_file(1), photo_file(2)]}, follow=True)
    assert response.status_code == 200
    listing = Listing.objects.get()
    assert (listing.title, listing.price) == ("Chair", Decimal("12.50"))
    assert [(image.position, image.state) for image in listing.images.all()] == [(0, "new"), (1, "new")]


@pytest.mark.usefixtures("staff")
@pytest.mark.django_db(transaction=True)
def test_photos_are_added_behind_those_present_which_can_be_reordered_and_deleted(client):
    listing = make_listing(title="Chair")
    first, second = make_ready_image(listing), make_ready_image(listing)
    fields = form(listing.seller, [(first, 5), (second, 1)], **{"images-1-DELETE": "on"})
    client.post(change(listing), {**fields, "photos": [photo_file(1)]})
    assert [(image.pk == first.pk, image.position) for image in listing.images.all()] == [(True, 5), (False, 6)]
    assert not ListingImage.objects.filter(pk=second.pk).exists()


@pytest.mark.usefixtures("staff")
@pytest.mark.parametrize("place", ["1_0", "\u0661", "-1", "1.5", "x", "32767", "99999999"])
def test_a_place_is_a_number_behind_which_another_photo_fits(client, place):
    listing = make_listing()
    photo = make_ready_image(listing)
    assert client.post(change(listing), form(listing.seller, [(photo, place)])).status_code == 200
    photo.refresh_from_db()
    assert photo.position == 0


@pytest.mark.usefixtures("staff")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"just words", "The file is not a photo."),
        (draw_plain_photo(), "The photo is one colour all over, so nothing can be seen in it. Send another one."),
    ],
)
def test_a_file_that_is_no_photo_is_an_error_on_the_field_and_nothing_is_saved(client, data, reason):
    bad = SimpleUploadedFile("notes.txt", data)
    response = client.post(ADD, {**form(make_user()), "photos": [photo_file(1), bad]})
    assert response.context["adminform"].form.errors["photos"] == [f"notes.txt: {reason}"]
    assert not Listing.objects.exists()


@pytest.mark.usefixtures("staff")
@pytest.mark.parametrize("typed", ["12,50", "1_0", "1e3", "\N{FULLWIDTH DIGIT ONE}2", "nan"])
@pytest.mark.parametrize("name", ["price", "latitude"])
def test_a_number_that_cannot_be_read_is_an_error_and_stays_as_it_was_typed(client, name, typed):
    response = client.post(ADD, {**form(make_user(), longitude="1"), name: typed})
    (message,) = response.context["adminform"].form.errors[name]
    assert re.match("Write (the price|degrees) as a number", message)
    (field,) = re.findall(f'<input [^>]*name="{name}"[^>]*>', response.content.decode())
    assert f'value="{typed}"' in field
    assert 'type="text"' in field
    assert not Listing.objects.exists()


@pytest.mark.usefixtures("staff")
def test_more_photos_than_a_listing_may_have_are_an_error_on_the_field(client, settings):
    settings.PHOTOS_PER_LISTING = 2
    listing = make_listing()
    image = make_ready_image(listing)
    fields = form(listing.seller, [(image, 0)])
    response = client.post(change(listing), {**fields, "photos": [photo_file(1), photo_file(2)]})
    assert response.context["adminform"].form.errors["photos"] == [
        "A listing has at most 2 photos: it has room for 1 more."
    ]


@pytest.mark.usefixtures("staff")
def test_a_photo_that_a_full_listing_has_is_no_error(client, settings):
    settings.PHOTOS_PER_LISTING = 1
    listing = make_listing()
    image = make_ready_image(listing, 7)
    response = client.post(change(listing), {**form(listing.seller, [(image, 0)]), "photos": [photo_file(7)]})
    assert response.status_code == 302
    assert listing.images.count() == 1


@pytest.mark.usefixtures("staff")
def test_a_removed_listing_takes_no_photos(client):
    fields = form(make_user(), status="removed")
    response = client.post(ADD, {**fields, "photos": [photo_file(1)]})
    assert "A removed listing takes no photos" in str(response.context["adminform"].form.errors["photos"])


@pytest.mark.usefixtures("staff")
def test_only_edited_columns_are_written(client, monkeypatch):
    """A seller's price and a worker's state, stored while the form was open, survive."""
    listing = make_listing(title="Stool", price=5)
    image = make_image(listing)
    fields = form(listing.seller, [(image, 3)], price="5.00", description="New text")

    def meanwhile(sender, instance, **kwargs):
        Listing.objects.filter(pk=listing.pk).update(price=9)
        ListingImage.objects.filter(pk=image.pk).update(state="ready")

    from django.db.models.signals import pre_save

    pre_save.connect(meanwhile, sender=Listing)
    try:
        client.post(change(listing), fields)
    finally:
        pre_save.disconnect(meanwhile, sender=Listing)
    listing.refresh_from_db()
    image.refresh_from_db()
    assert (listing.title, listing.description, listing.price) == ("Chair", "New text", 9)
    assert (image.position, image.state) == (3, "ready")


@pytest.mark.usefixtures("staff")
def test_a_photos_bytes_are_not_editable_but_staff_may_download_them(client):
    listing = make_listing()
    image = make_image(listing, state="rejected", reason="The file ends too early.")
    page = client.get(change(listing)).content.decode()
    assert 'name="images-0-original"' not in page
    assert reverse("original", args=[image.pk]) in page
    assert "The file ends too early." in page
    assert "Rejected" in page


@pytest.mark.usefixtures("staff")
def test_the_similar_panel_and_the_banner_come_from_another_room(client):
    listing = make_listing()
    slots.register_filler("admin_similar_panel", lambda request, listing: SafeString(f"<p>panel of {listing.pk}</p>"))
    slots.register_filler("site_banner", lambda request: SafeString("<p>untrained</p>"))
    page = client.get(change(listing)).content.decode()
    assert f"<p>panel of {listing.pk}</p>" in page
    assert "<p>untrained</p>" in page
    assert "panel of" not in client.get(ADD).content.decode()
    client.logout()
    assert "<p>untrained</p>" in client.get("/admin/login/").content.decode()


@pytest.mark.usefixtures("staff")
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"status__exact": "sold"}, ["Sold"]),
        ({"photo": "rejected"}, ["Refused"]),
        ({"photos": "yes"}, ["Ready", "Refused"]),
        ({"photos": "no"}, ["Sold"]),
        ({"price": "none"}, ["Refused"]),
        ({"price": "free"}, ["Ready"]),
        ({"price": "stated"}, ["Sold"]),
        ({"root": "none"}, ["Refused", "Sold"]),
        ({"photo": "nonsense"}, ["Ready", "Refused", "Sold"]),
        ({"root": "nonsense"}, ["Ready", "Refused", "Sold"]),
        ({"root": "999999"}, []),
        ({"q": "REFUSED"}, ["Refused"]),
        ({"q": "ext-7"}, ["Sold"]),
        ({"q": "mira"}, ["Ready"]),
        ({"q": "velvet"}, ["Sold"]),
    ],
)
def test_the_list_is_filtered_and_searched(client, asked, found):
    make_listing(title="Sold", status="sold", price=4, external_id="ext-7", description="Soft velvet")
    refused = make_listing(title="Refused")
    make_image(refused, state="rejected")
    make_image(refused, state="rejected")
    ready = make_listing(make_user("mira"), title="Ready", price=0, category="Home / Chairs")
    make_ready_image(ready)
    assert sorted(shown(client.get(LIST, asked))) == found


@pytest.mark.usefixtures("staff")
def test_a_root_category_includes_everything_below_it(client):
    listing = make_listing(title="Deep", category="Home / Chairs / Stools")
    make_listing(title="Elsewhere", category="Garden")
    root = listing.category.parent.parent
    assert shown(client.get(LIST, {"root": root.pk})) == ["Deep"]


@pytest.mark.usefixtures("staff")
def test_the_list_costs_as_many_queries_for_many_listings_as_for_few(client, django_assert_max_num_queries):
    for number in range(30):
        make_ready_image(make_listing(category=f"Home / {number}"))
    with django_assert_max_num_queries(8) as counted:
        client.get(LIST)
    few = len(counted)
    for number in range(15):
        make_ready_image(make_listing(category=f"Garden / {number}"))
    with django_assert_max_num_queries(few):
        client.get(LIST)


@pytest.mark.usefixtures("staff")
def test_a_search_counts_no_further_than_people_page(client, monkeypatch):
    monkeypatch.setattr("listings.admin.filters.MOST_COUNTED", 3)
    for _ in range(5):
        make_listing()
    assert client.get(LIST).context["cl"].result_count == 3


@pytest.mark.usefixtures("moderator")
def test_a_moderator_changes_listings_but_does_not_destroy_them(client):
    listing = make_listing()
    assert client.get(change(listing)).status_code == 200
    assert client.post(reverse("admin:listings_listing_delete", args=[listing.pk]), {"post": "yes"}).status_code == 403
    client.post(LIST, {"action": "delete_selected", "_selected_action": [listing.pk], "post": "yes"})
    assert Listing.objects.filter(pk=listing.pk).exists()


@pytest.mark.usefixtures("staff")
def test_a_superuser_may_destroy_a_listing(client):
    listing = make_listing()
    make_ready_image(listing)
    client.post(reverse("admin:listings_listing_delete", args=[listing.pk]), {"post": "yes"})
    assert not Listing.objects.exists()


def test_a_new_listing_is_the_staff_members_own_unless_another_seller_is_chosen(client, staff):
    assert client.get(ADD).context["adminform"].form.initial["seller"] == staff.pk


def test_words_are_found_in_other_scripts_too(client, staff):
    make_listing(title="Красный стул")
    make_listing(title="Oak chair")
    page = client.get(LIST, {"q": "красный"}).content.decode()
    assert "Красный стул" in page
    assert "Oak chair" not in page
