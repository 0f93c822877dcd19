"""Addresses in answers are those that Django would give, for any storage."""

import pytest
from django.core.files.storage import FileSystemStorage
from django.db.models.fields.files import FieldFile
from django.test import RequestFactory

from listings.api.serializers import Links
from listings.models import ListingImage


class Signed(FileSystemStorage):
    def url(self, name):
        return f"https://cdn.example/{name}?signed"


STORAGES = {
    "path": FileSystemStorage(base_url="/media/"),
    "other host": FileSystemStorage(base_url="https://cdn.example/media/"),
    "same scheme": FileSystemStorage(base_url="//cdn.example/media/"),
    "signed": Signed(),
}


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES.keys())
@pytest.mark.parametrize("name", ["thumb/ab/cdef.jpg", "thumb/with space & ümlaut?.jpg"])
@pytest.mark.parametrize("script", ["", "/shop"])
def test_a_file_has_the_address_that_its_storage_gives(storage, name, script, settings):
    settings.ALLOWED_HOSTS = ["shop.example"]
    request = RequestFactory().get("/api/v1/", headers={"host": "shop.example"}, secure=True, SCRIPT_NAME=script)
    file = FieldFile(ListingImage(), ListingImage._meta.get_field("thumb_file"), name)
    file.storage = storage
    assert Links(request).file_url(file) == request.build_absolute_uri(file.url)


def test_no_file_has_no_address():
    image = ListingImage()
    assert Links(RequestFactory().get("/")).file_url(image.thumb_file) is None
