import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import connection

from listings.models import ImportedPhoto, Listing, ListingImage
from tests.listings.catalogue import Catalogue

ROWS = 2100


def database_url() -> str:
    """The test database as the environment of another process names it."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{quote(name)}"
    head, _, query = os.environ["DATABASE_URL"].partition("?")
    return f"{head.rpartition('/')[0]}/{name}{'?' + query if query else ''}"


@pytest.fixture
def catalogue(tmp_path):
    catalogue = Catalogue(tmp_path)
    catalogue.write(
        [{"id": f"p{number}"} for number in range(ROWS // 3)],
        [{"id": f"photo{number}", "product_id": f"p{number // 3}"} for number in range(ROWS)],
    )
    for number in range(3):
        catalogue.add_file(f"photo{number}.jpg")
    for number in range(3, ROWS):
        (catalogue.images / f"photo{number}.jpg").hardlink_to(catalogue.images / f"photo{number % 3}.jpg")
    return catalogue


@pytest.mark.django_db(transaction=True)
def test_an_import_killed_half_way_is_completed_by_running_it_again(catalogue):
    process = subprocess.Popen(
        [sys.executable, "manage.py", "import_catalogue", *catalogue.arguments],
        cwd=Path(__file__).resolve().parents[3],
        env=os.environ | {"DATABASE_URL": database_url()},
        stdout=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while not ImportedPhoto.objects.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert 0 < ListingImage.objects.count() < ROWS
    catalogue.run()
    assert Listing.objects.count() == ROWS // 3
    places = list(ListingImage.objects.values_list("listing__external_id", "position"))
    assert sorted(places) == sorted((f"p{number // 3}", number % 3) for number in range(ROWS))
    assert ImportedPhoto.objects.count() == ROWS
    assert all(image.original.storage.exists(image.original.name) for image in ListingImage.objects.all())
    assert catalogue.findings() == []
