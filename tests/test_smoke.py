import pytest
from django.db import connection


@pytest.mark.django_db(transaction=True)
def test_triggers_queue_a_photo_and_feed_a_price_change(django_user_model):
    from listings.models import Listing, ListingImage
    from recommender.models import Embedding, EmbeddingModel, IndexChange

    EmbeddingModel.objects.create(version="m", arch="a", dim=4, checkpoint="m", sha256="0", state="active")
    listing = Listing.objects.create(seller=django_user_model.objects.create(username="s"), title="t")
    ListingImage.objects.create(listing=listing, sha256="0" * 64)
    assert Embedding.objects.values_list("state", "lane").get() == ("pending", 0)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE listings_listing SET price = 3")
    assert IndexChange.objects.values_list("listing_id", "model_id").get() == (listing.pk, None)
