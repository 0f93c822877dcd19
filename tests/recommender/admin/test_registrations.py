from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from listings.models import Listing, ListingImage
from recommender.models import Embedding, EmbeddingModel, Heartbeat, IndexHead, IndexSnapshot, RankerVersion
from tests.factories import make_user
from tests.recommender.shop import sell

READ_ONLY: tuple[type[Any], ...] = (EmbeddingModel, Embedding, IndexSnapshot, IndexHead, Heartbeat)


pytestmark = pytest.mark.usefixtures("plain_static")


@pytest.fixture
def staff(client, model):
    client.force_login(make_user(staff=True))
    return client


def page(name: str, model: type, *args) -> str:
    return reverse(f"admin:recommender_{model.__name__.lower()}_{name}", args=args)


def one_of_each(model: EmbeddingModel) -> dict[type, Any]:
    sell(model, 1.0, title="A lamp")
    snapshot = IndexSnapshot.objects.create(model=model, directory="000001", position="0", segments=[{}, {}])
    IndexHead.objects.update(snapshot=snapshot)
    Heartbeat.objects.create(name="embedding@host:1", kind="embedding", seen_at=timezone.now())
    return {kind: kind.objects.first() for kind in READ_ONLY}


def test_every_table_can_be_read_and_none_of_its_rows_edited(staff, model):
    for kind, row in one_of_each(model).items():
        listed = staff.get(page("changelist", kind))
        assert listed.status_code == 200
        shown = staff.get(page("change", kind, row.pk))
        assert shown.status_code == 200
        assert 'name="_save"' not in shown.content.decode()
        assert staff.get(page("add", kind)).status_code == 403
        assert staff.post(page("change", kind, row.pk), {}).status_code == 403
        assert staff.post(page("delete", kind, row.pk), {"post": "yes"}).status_code == 403


def test_staff_without_rights_sees_nothing(client, model):
    person = make_user()
    person.is_staff = True
    person.save()
    client.force_login(person)
    kinds: tuple[type, ...] = (*READ_ONLY, RankerVersion)
    assert {client.get(page("changelist", kind)).status_code for kind in kinds} == {403}


def test_the_serving_snapshot_is_marked(staff, model):
    one_of_each(model)
    IndexSnapshot.objects.create(model=model, directory="000002", position="0")
    html = staff.get(page("changelist", IndexSnapshot)).content.decode()
    assert (html.count("icon-yes"), html.count("icon-no")) == (1, 1)


def test_embeddings_are_listed_in_few_queries_that_never_read_vectors_or_count_everything(staff, model):
    def queries() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert staff.get(page("changelist", Embedding)).status_code == 200
        return [query["sql"] for query in captured]

    sell(model, 1.0)
    few = queries()
    for _ in range(5):
        sell(model, 0.5, 0.4)
    many = queries()
    assert len(many) == len(few)
    assert not any('"vector"' in sql for sql in many)
    counts = [sql for sql in many if "COUNT(" in sql and "recommender_embedding" in sql]
    assert counts
    assert all("LIMIT 10000" in sql for sql in counts)


@pytest.mark.parametrize("query", ["state__exact=done", "lane__exact=0", "model__id__exact=1", "state__exact=failed"])
def test_embeddings_are_filtered_by_state_lane_and_model(staff, model, query):
    sell(model, 1.0)
    assert staff.get(page("changelist", Embedding) + f"?{query}").status_code == 200


def test_embeddings_are_found_by_the_id_of_their_photo_or_listing(staff, model):
    def found(text) -> set[int]:
        response = staff.get(page("changelist", Embedding), {"q": text})
        return {embedding.pk for embedding in response.context["cl"].result_list}

    listing = sell(model, 1.0, 0.9)
    sell(model, 0.5)
    mine = Embedding.objects.filter(image__listing=listing)
    assert found(listing.pk) >= {embedding.pk for embedding in mine}
    assert mine[0].pk in found(mine[0].image_id)
    assert found("lamp") == found("9" * 40) == set()


def act(staff, url: str, action: str, *rows):
    return staff.post(url, {"action": action, "_selected_action": [row.pk for row in rows]}, follow=True)


def test_photos_are_embedded_again_from_the_list_of_embeddings(staff, model):
    listing, other = sell(model, 1.0, 0.9), sell(model, 0.5)
    chosen = Embedding.objects.filter(image__listing=listing)
    response = act(staff, page("changelist", Embedding), "requeue_photos_of_embeddings", *chosen)
    assert "2 embeddings are queued again" in response.content.decode()
    assert set(chosen.values_list("state", "lane")) == {("pending", Embedding.Lane.RETRY)}
    assert not chosen.filter(vector=None).exists()
    assert Embedding.objects.get(image__listing=other).state == "done"
    last = Embedding.objects.get(image__listing=other)
    response = act(staff, page("changelist", Embedding), "requeue_photos_of_embeddings", last)
    assert "1 embedding is queued again" in response.content.decode()


def test_photos_are_embedded_again_from_the_list_of_listings(staff, model):
    listing, other = sell(model, 1.0, 0.9), sell(model, 0.5)
    response = act(staff, reverse("admin:listings_listing_changelist"), "requeue_photos_of_listings", listing)
    assert "2 embeddings are queued again" in response.content.decode()
    assert set(Embedding.objects.filter(state="pending").values_list("image__listing", flat=True)) == {listing.pk}
    assert Embedding.objects.get(image__listing=other).state == "done"


def test_embedding_again_needs_the_right_to_change_photos(client, model):
    from django.contrib.auth.models import Permission

    reader = make_user()
    reader.is_staff = True
    reader.save()
    reader.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(reader)
    sell(model, 1.0)
    act(client, page("changelist", Embedding), "requeue_photos_of_embeddings", Embedding.objects.get())
    assert Embedding.objects.get().state == "done"


def test_photo_actions_are_offered_wherever_photos_are_listed():
    offered: list[Any] = [
        admin.site.get_model_admin(kind).actions for kind in (Listing, ListingImage) if admin.site.is_registered(kind)
    ]
    assert offered
    assert all(
        any("Embed again" in action.short_description for action in actions if callable(action)) for actions in offered
    )


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ('{"colour": 1}', "There is no feature called colour"),
        ('{"price": -1}', "must lie between 0 and 1000"),
        ('{"price": 0}', "At least one weight must be greater than zero"),
        ("[1]", "Weights are an object"),
        ("{", "Enter a valid JSON"),
        ("[" * 100_000, "Enter a valid JSON"),
        (r'{"similarity": "\ud800"}', "Enter a valid JSON"),
        ('{"price": ' + "9" * 5_000 + "}", "Enter a valid JSON"),
    ],
)
def test_weights_that_cannot_order_are_refused_beside_their_field(staff, weights, says):
    ranker = RankerVersion.objects.get()
    response = staff.post(page("change", RankerVersion, ranker.pk), {"name": "linear-1", "weights": weights})
    assert says in response.context["adminform"].errors["weights"][0]
    ranker.refresh_from_db()
    assert ranker.weights["similarity"] == 1.0


def test_a_new_ranker_orders_answers_once_it_is_chosen(staff):
    staff.post(page("add", RankerVersion), {"name": "mostly-price", "weights": '{"price": 1, "similarity": 0.5}'})
    ranker = RankerVersion.objects.get(name="mostly-price")
    assert (ranker.state, ranker.kind, ranker.features) == ("candidate", "linear", ["price", "similarity"])
    response = act(staff, page("changelist", RankerVersion), "activate_selected_ranker", ranker)
    assert "Answers are ordered by mostly-price now." in response.content.decode()
    assert dict(RankerVersion.objects.values_list("name", "state")) == {
        "linear-1": "retired",
        "mostly-price": "active",
    }


def test_an_unusable_ranker_or_two_at_once_cannot_be_chosen(staff):
    broken = RankerVersion.objects.create(name="broken", weights={})
    active = RankerVersion.objects.get(state="active")
    html = act(staff, page("changelist", RankerVersion), "activate_selected_ranker", broken).content.decode()
    assert "At least one weight must be greater than zero." in html
    html = act(staff, page("changelist", RankerVersion), "activate_selected_ranker", broken, active).content.decode()
    assert "Choose one ranker." in html
    gone = RankerVersion.objects.create(name="gone")
    RankerVersion.objects.filter(pk=gone.pk).delete()
    html = act(staff, page("changelist", RankerVersion), "activate_selected_ranker", gone).content.decode()
    assert "Choose one ranker." in html
    assert RankerVersion.objects.get(state="active") == active


def test_the_active_ranker_cannot_be_deleted(staff):
    active = RankerVersion.objects.get(state="active")
    assert staff.post(page("delete", RankerVersion, active.pk), {"post": "yes"}).status_code == 403
    act(staff, page("changelist", RankerVersion), "delete_selected", active)
    assert RankerVersion.objects.filter(pk=active.pk).exists()


@pytest.mark.parametrize("kind", [Listing, ListingImage])
@pytest.mark.parametrize("by_action", [False, True])
def test_what_is_embedded_can_be_deleted_with_its_embedding(staff, model, kind, by_action):
    listing = sell(model, 1.0)
    row = kind.objects.get()
    name = f"admin:listings_{kind.__name__.lower()}"
    assert "permission" not in staff.get(reverse(f"{name}_delete", args=[row.pk])).content.decode()
    if by_action:
        form = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        staff.post(reverse(f"{name}_changelist"), form)
    else:
        staff.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"})
    assert not listing.images.exists()
    assert not Embedding.objects.exists()
