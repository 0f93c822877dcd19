"""A database that does not answer is a 503 everywhere, in JSON over REST; a bug is a 500 that says little."""

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.test import Client, RequestFactory
from rest_framework.test import APIClient

from marketplace.errors import server_error
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def database_down():
    """Every statement fails as it does when the server is gone."""

    def refuse(execute, sql, params, many, context):
        raise OperationalError("server closed the connection unexpectedly")

    with connection.execute_wrapper(refuse):
        yield


@pytest.fixture
def client():
    return APIClient(raise_request_exception=False)


@pytest.mark.parametrize("path", ["/api/v1/listings/", "/api/v1/listings/1/"])
def test_reading_without_a_database_is_a_503(client, database_down, path):
    response = client.get(path)
    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert "database" in response.json()["detail"]


def test_writing_without_a_database_is_a_503(client, database_down):
    client.force_authenticate(make_user_without_database())
    assert client.post("/api/v1/listings/", {"title": "Chair"}).status_code == 503
    assert client.post("/api/v1/token/", {"username": "a", "password": "b"}).status_code == 503


def make_user_without_database():
    from django.contrib.auth.models import User

    return User(pk=1, username="sue")


def test_a_token_that_cannot_be_looked_up_is_a_503_and_not_a_401(client, database_down):
    assert client.get("/api/v1/listings/", HTTP_AUTHORIZATION="Token abc").status_code == 503


def test_pages_without_a_database_are_a_503_too(client, database_down):
    answer = client.get("/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "<h1>We are back in a moment</h1>" in answer.content.decode()
    assert client.get("/admin/login/", HTTP_COOKIE="sessionid=abc").status_code == 503


def test_liveness_needs_no_database(client, database_down):
    client.cookies["sessionid"] = "abc"
    assert client.get("/health/live").json() == {"status": "ok"}


def test_nothing_is_half_written_when_the_database_goes(client, django_user_model):
    seller = make_user()
    listing = make_listing(seller)
    client.force_authenticate(seller)

    def refuse_writes(execute, sql, params, many, context):
        if sql.lstrip().startswith("UPDATE"):
            raise InterfaceError("connection already closed")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse_writes):
        assert client.patch(f"/api/v1/listings/{listing.pk}/", {"title": "New"}).status_code == 503
    before = listing.title
    listing.refresh_from_db()
    assert listing.title == before


@pytest.mark.parametrize(("path", "kind"), [("/api/v1/x", "application/json"), ("/x", "text/html")])
def test_a_bug_is_a_500_that_says_little(path, kind):
    try:
        raise ZeroDivisionError("the secret reason")
    except ZeroDivisionError:
        response = server_error(RequestFactory().get(path))
    assert response.status_code == 500
    assert response["Content-Type"].startswith(kind)
    assert b"secret" not in response.content


def test_pages_say_what_may_be_loaded():
    policy = Client().get("/admin/login/")["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'")
    assert "unsafe" not in policy
    docs = Client().get("/api/docs/")["Content-Security-Policy"]
    assert "script-src" not in docs
    assert "style-src 'self' 'unsafe-inline'" in docs
