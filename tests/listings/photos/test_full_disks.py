"""A full disk is a 507 that names what is full, in every door; what was typed is kept, no half file is."""

import errno
import logging
import uuid
from pathlib import Path

import pytest
from django.core.files.storage import FileSystemStorage
from django.core.management import CommandError, call_command
from django.test import Client

from listings.models import Listing, ListingImage
from tests.factories import api, make_listing, make_user, photo_file
from tests.recommender import conftest
from tests.recommender.index import catalogue

pytestmark = pytest.mark.django_db(transaction=True)

fresh_index = conftest.fresh_index

DISK, FOLDER = "The disk for photos is full", "The disk for files on their way is full"


@pytest.fixture
def originals(settings):
    return settings.ORIGINALS_ROOT


@pytest.fixture
def full_originals(monkeypatch, originals):
    """Half of a file is written, then there is no room."""

    def write_half(self, name, content):
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.read(10))
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    before = {path for path in originals.rglob("*") if path.is_file()}
    monkeypatch.setattr(FileSystemStorage, "_save", write_half)
    yield
    assert {path for path in originals.rglob("*") if path.is_file()} == before, "half a file is left"
    assert not ListingImage.objects.exists()


@pytest.fixture
def full_temporary_folder(monkeypatch):
    """Every temporary file is the one that takes nothing."""

    def open_full(*args, **kwargs):
        return Path("/dev/full").open("wb+", buffering=0)

    monkeypatch.setattr("django.core.files.temp.NamedTemporaryFile", open_full)


@pytest.fixture
def no_temporary_folder(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("django.core.files.temp.NamedTemporaryFile", refuse)


def sign_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text_of(response) -> str:
    return response.content.decode()


@pytest.mark.parametrize(
    ("fault", "status", "code", "said"),
    [
        ("full_originals", 507, "storage_full", DISK),
        ("full_temporary_folder", 507, "storage_full", FOLDER),
        ("no_temporary_folder", 503, "storage_unavailable", "The disk for files on their way takes no changes now"),
    ],
)
def test_over_rest(request, fault, status, code, said, caplog):
    request.getfixturevalue(fault)
    listing = make_listing()
    client = api(listing.seller)
    for _ in range(3):
        photos = {"images": [photo_file(1)]}
        answer = client.post(f"/api/v1/listings/{listing.pk}/images/", photos, format="multipart")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert said in answer.json()["detail"]
        assert answer["Retry-After"]
    records = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert {record.name for record in records} == {"marketplace.errors"}, "no bug was logged"


@pytest.mark.parametrize("address", ["/api/v1/search/image/", "/search/photo/"])
def test_search_by_photo(fresh_index, full_temporary_folder, monkeypatch, address):
    monkeypatch.setattr("recommender.search.photo_query.embedders.load_embedder", lambda model: None)
    catalogue.active_model()
    answer = api().post(address, {"image": photo_file(1)}, format="multipart")
    assert answer.status_code == 507
    assert FOLDER in text_of(answer)


def test_the_form_to_sell_comes_back_as_it_was_typed(full_temporary_folder):
    client, key = sign_in(make_user()), uuid.uuid4()
    sent = {"key": key, "title": "Chair that was typed", "price": "5", "photos": [photo_file(1)]}
    answer = client.post("/sell/", sent)
    assert answer.status_code == 507
    assert FOLDER in text_of(answer)
    assert "Nothing was saved." in text_of(answer)
    assert "Chair that was typed" in text_of(answer)
    assert str(key) in text_of(answer)
    assert not Listing.objects.exists()


def test_a_listing_whose_photos_find_no_room_is_saved_once_and_opened_to_add_them(full_originals):
    client, key = sign_in(make_user()), uuid.uuid4()
    for _ in range(2):
        sent = {"key": key, "title": "Chair that was typed", "price": "5", "photos": [photo_file(1)]}
        answer = client.post("/sell/", sent)
        assert answer.status_code == 507
        assert f"Your listing is saved. {DISK}" in text_of(answer)
        assert "Chair that was typed" in text_of(answer)
    # What is sent from here, other photos as well, goes to the listing that is there.
    assert f'action="/my/listings/{Listing.objects.get().pk}/"' in text_of(answer)


def test_the_form_to_sell_stores_the_photos_when_there_is_room_again(request, monkeypatch):
    client, key = sign_in(make_user()), uuid.uuid4()

    def send():
        return client.post("/sell/", {"key": key, "title": "Chair", "price": "5", "photos": [photo_file(1)]})

    with monkeypatch.context() as patch:
        patch.setattr(FileSystemStorage, "_save", lambda *_: (_ for _ in ()).throw(OSError(errno.EDQUOT, "quota")))
        assert send().status_code == 507
    assert send().status_code == 302
    assert Listing.objects.get().images.count() == 1


@pytest.mark.parametrize(("fault", "said"), [("full_temporary_folder", FOLDER), ("full_originals", DISK)])
def test_the_form_of_a_listing_keeps_what_was_typed(request, fault, said):
    request.getfixturevalue(fault)
    listing = make_listing(title="Before")
    sent = {"title": "Typed anew", "price": "5", "photos": [photo_file(1)]}
    answer = sign_in(listing.seller).post(f"/my/listings/{listing.pk}/", sent)
    assert answer.status_code == 507
    assert said in text_of(answer)
    assert "Typed anew" in text_of(answer)


@pytest.mark.parametrize(("fault", "said"), [("full_temporary_folder", FOLDER), ("full_originals", DISK)])
def test_the_admin_names_what_is_full(request, fault, said):
    request.getfixturevalue(fault)
    staff, seller = make_user(staff=True), make_user()
    sent = {"title": "Typed by staff", "seller": seller.pk, "status": "active", "photos": [photo_file(1)]}
    management = {"images-TOTAL_FORMS": 0, "images-INITIAL_FORMS": 0}
    answer = sign_in(staff).post("/admin/listings/listing/add/", sent | management, follow=True)
    assert answer.status_code == 200
    assert said in text_of(answer)
    assert "Typed by staff" in text_of(answer)


def test_the_import_names_what_is_full_and_goes_on_later(tmp_path, full_originals):
    (tmp_path / "products.csv").write_text("id,product_name,category,seller\np1,Chair,Home,sue\n")
    (tmp_path / "images.csv").write_text("id,product_id\ni1,p1\n")
    (tmp_path / "i1.jpg").write_bytes(photo_file(1).read())
    files = [str(tmp_path / "products.csv"), str(tmp_path / "images.csv")]
    options = [f"--images={tmp_path}", f"--report={tmp_path / 'report.csv'}"]
    with pytest.raises(CommandError, match=r"ORIGINALS_ROOT is full .* run the same command again"):
        call_command("import_catalogue", *files, *options)
