"""What happens around a request whatever it asks: bodies that come in other ways, addresses, ids, sizes of answers."""

import gzip
import io

import pytest
from django.test import Client
from django.urls import path
from rest_framework.test import APIClient

from listings.models import Listing
from marketplace.urls import urlpatterns as site_urls
from tests.factories import draw_photo, make_listing, make_ready_image, make_user

pytestmark = pytest.mark.django_db

LISTINGS = "/api/v1/listings/"


def broken(request):
    raise ZeroDivisionError


urlpatterns = [path("api/broken", broken), path("broken", broken), *site_urls]


@pytest.fixture
def staff():
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(make_user(staff=True))
    return client


class TestBodies:
    @pytest.mark.parametrize("address", [LISTINGS, "/api/v1/search/image/", "/sell/"])
    @pytest.mark.parametrize(
        ("headers", "status", "code"),
        [
            *(({"CONTENT_LENGTH": text}, 400, "malformed") for text in ("-5", "+5", " 5", "5 5", "\u0665", "x")),
            ({"HTTP_CONTENT_ENCODING": "gzip"}, 415, "unsupported_encoding"),
        ],
    )
    def test_a_body_that_would_be_passed_over_is_refused(self, staff, address, headers, status, code):
        response = staff.generic("POST", address, b'{"title": "Chair"}', content_type="application/json", **headers)
        assert response.status_code == status
        assert "Content-" in response.content.decode()
        if address != "/sell/":
            assert response.json()["code"] == code

    def test_an_encoding_that_changes_nothing_is_no_encoding(self, staff):
        assert staff.post(LISTINGS, {"title": "Chair"}, HTTP_CONTENT_ENCODING="identity").status_code == 201

    def test_a_method_in_a_header_is_passed_over(self, staff):
        listing = make_listing()
        url = f"{LISTINGS}{listing.pk}/"
        assert staff.generic("GET", url, b'{"price": 1}', HTTP_X_HTTP_METHOD_OVERRIDE="DELETE").status_code == 200
        listing.refresh_from_db()
        assert (listing.status, listing.price) == ("active", None)


class TestAddresses:
    def test_without_its_last_slash_a_call_does_the_same(self, staff):
        made = staff.post(LISTINGS[:-1], {"title": "No slash"})
        assert made.status_code == 201
        url = f"{LISTINGS}{made.json()['id']}"
        assert staff.patch(url, {"price": "77.00"}).json()["price"] == "77.00"
        photos = staff.post(f"{url}/images", {"images": io.BytesIO(draw_photo())}, format="multipart")
        assert photos.status_code == 201
        assert staff.put(url, {}).status_code == 405
        assert staff.delete(url).status_code == 204
        assert Listing.objects.get(title="No slash").status == "removed"

    def test_without_its_last_slash_a_page_takes_its_form(self):
        client, seller = Client(), make_user(staff=True)
        client.force_login(seller)
        listing = make_listing(seller)
        client.post(f"/my/listings/{listing.pk}/status", {"status": "sold"})
        client.post(f"/admin/listings/listing/{listing.pk}/delete", {"post": "yes"})
        assert not Listing.objects.exists()

    def test_reading_is_led_to_the_right_address_with_its_query(self, staff):
        response = staff.get(f"{LISTINGS[:-1]}?q=chair&limit=5")
        assert (response.status_code, response["Location"]) == (301, f"{LISTINGS}?q=chair&limit=5")

    @pytest.mark.parametrize("address", ["/api/v1/nothing", "/health/live", "/nothing"])
    def test_what_has_no_address_with_a_slash_gets_none(self, staff, address):
        assert staff.post(address).status_code in {404, 405}


@pytest.mark.parametrize("name", ["%E7%85%A7" * 255, "x" * 5000], ids=["percent-encoded", "long"])
@pytest.mark.parametrize("address", ["rest", "page"])
def test_a_photo_may_have_a_long_name(name, address):
    seller = make_user()
    listing, client = make_listing(seller), Client()
    client.force_login(seller)
    head = f"Content-Disposition: form-data; name=\"{{field}}\"; filename*=UTF-8''{name}.jpg\r\n\r\n"
    url, field = {
        "rest": (f"{LISTINGS}{listing.pk}/images/", "images"),
        "page": (f"/my/listings/{listing.pk}/photos/", "photos"),
    }[address]
    body = b"--B\r\n" + head.format(field=field).encode() + draw_photo() + b"\r\n--B--\r\n"
    response = client.generic("POST", url, body, content_type="multipart/form-data; boundary=B")
    assert response.status_code in {200, 201, 302}
    assert listing.images.count() == 1


def test_the_headers_of_a_part_have_a_limit(staff):
    url = f"{LISTINGS}{make_listing().pk}/images/"
    head = f'Content-Disposition: form-data; name="images"; filename="{"x" * 9000}.jpg"\r\n\r\n'
    body = b"--B\r\n" + head.encode() + draw_photo() + b"\r\n--B--\r\n"
    assert staff.generic("POST", url, body, content_type="multipart/form-data; boundary=B").status_code == 400


class TestRequestIds:
    @pytest.mark.urls(__name__)
    @pytest.mark.parametrize(
        "address",
        ["/", LISTINGS, "/api/nothing", "/nothing", "/health/live", "/metrics", "/api/broken", "/broken", "/static/no"],
    )
    def test_every_answer_carries_one(self, staff, address):
        assert staff.get(address, headers={"X-Request-ID": "A.b-c_9"})["X-Request-ID"] == "A.b-c_9"
        ids = {staff.get(address)["X-Request-ID"] for _ in range(2)}
        assert {len(one) for one in ids} == {36}
        assert len(ids) == 2

    def test_refusals_and_photos_carry_one_too(self, staff):
        image = make_ready_image(make_listing())
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(make_user())
        answers = [
            staff.get(image.thumb_file.url),
            staff.get(LISTINGS, headers={"Host": "evil.example"}),
            staff.post(LISTINGS, {}, CONTENT_LENGTH="-1"),
            strict.post("/sell/", {}),
        ]
        assert [answer.status_code for answer in answers] == [200, 400, 400, 403]
        assert all(answer["X-Request-ID"] for answer in answers)

    @pytest.mark.parametrize("sent", ["", " ", "a b", "a\x00", "a\r\nSet-Cookie: b", "é", "x" * 65, '{"a": 1}', "a\n"])
    def test_an_id_that_would_spoil_the_log_is_replaced(self, staff, sent):
        assert len(staff.get("/health/live", headers={"X-Request-ID": sent})["X-Request-ID"]) == 36

    def test_the_log_and_a_ranked_answer_name_the_same_id(self, staff, caplog):
        staff.get(LISTINGS, headers={"X-Request-ID": "mine"})
        lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
        assert [line["request_id"] for line in lines if line["event"] == "request_finished"] == ["mine"]


class TestCompression:
    @pytest.mark.parametrize("address", ["/", LISTINGS])
    def test_pages_and_json_are_compressed_for_those_who_can_read_it(self, staff, address):
        for number in range(5):
            make_listing(title=f"Chair {number}", description="Solid oak. " * 20)
        plain = staff.get(address)
        small = staff.get(address, headers={"Accept-Encoding": "gzip"})
        assert small["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in plain["Vary"]
        assert len(small.content) < len(plain.content) / 2
        if address == LISTINGS:
            assert gzip.decompress(small.content) == plain.content

    def test_photos_are_not(self, staff):
        image = make_ready_image(make_listing())
        response = staff.get(image.thumb_file.url, headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in response
        assert len(b"".join(response.streaming_content)) == int(response["Content-Length"])
