"""Pages for what goes wrong look like the site, say what to do, and need neither a database nor a request."""

import pytest
from django.core.exceptions import BadRequest
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.test import Client
from django.urls import path

from marketplace.urls import urlpatterns as site_urls
from tests.factories import make_user


def broken(request: HttpRequest):
    raise ZeroDivisionError


def senseless(request: HttpRequest):
    raise BadRequest


urlpatterns = [path("broken/", broken), path("senseless/", senseless), *site_urls]
handler500 = "marketplace.errors.server_error"


@pytest.mark.parametrize("name", ["400.html", "500.html"])
def test_pages_shown_without_a_request_render_from_nothing(name):
    page = render_to_string(name)
    assert "See all listings" in page
    assert "<h1>" in page


@pytest.mark.django_db
@pytest.mark.usefixtures("bare_pages")
@pytest.mark.parametrize(
    ("address", "status", "heading"),
    [
        ("/nowhere/", 404, "There is nothing here"),
        ("/senseless/", 400, "This request makes no sense to us"),
        ("/broken/", 500, "Something broke on our side"),
    ],
)
@pytest.mark.urls(__name__)
def test_an_error_is_a_page_of_the_site(address, status, heading):
    client = Client(raise_request_exception=False)
    response = client.get(address)
    assert response.status_code == status
    assert f"<h1>{heading}</h1>" in response.content.decode()


@pytest.mark.django_db
@pytest.mark.usefixtures("bare_pages")
@pytest.mark.urls(__name__)
def test_a_signed_in_person_sees_the_same_error_page():
    client = Client(raise_request_exception=False)
    client.force_login(make_user())
    assert client.get("/broken/").status_code == 500
