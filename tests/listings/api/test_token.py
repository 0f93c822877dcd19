"""The token: how it is got, and what it opens."""

import pytest
from rest_framework.test import APIClient

from tests.factories import make_user

pytestmark = pytest.mark.django_db

TOKEN = "/api/v1/token/"


@pytest.fixture
def seller():
    return make_user("sue", password="correct horse")


def ask(**sent):
    return APIClient().post(TOKEN, sent)


def test_a_token_opens_the_account_and_stays_the_same(seller):
    first = ask(username="sue", password="correct horse")
    assert first.status_code == 200
    assert list(first.json()) == ["token"]
    assert ask(username="sue", password="correct horse").json() == first.json()
    client = APIClient(HTTP_AUTHORIZATION=f"Token {first.json()['token']}")
    assert client.post("/api/v1/listings/", {"title": "Chair"}).json()["seller"]["id"] == seller.pk


def test_a_wrong_password_an_unknown_name_and_a_closed_account_read_alike(seller):
    refused = [ask(username="sue", password="x"), ask(username="nobody", password="correct horse")]
    seller.is_active = False
    seller.save()
    refused.append(ask(username="sue", password="correct horse"))
    assert {(response.status_code, response.content) for response in refused} == {
        (400, b'{"detail":"No active account has this name and password.","code":"wrong_credentials"}')
    }


@pytest.mark.parametrize(
    ("sent", "fields"),
    [
        ({}, ["username", "password"]),
        ({"username": "sue"}, ["password"]),
        ({"username": "", "password": "x"}, ["username"]),
        ({"username": "a\x00", "password": "x"}, ["username"]),
        ({"username": "sue", "password": "\x00"}, ["password"]),
        ({"username": "sue", "password": "x" * 129}, ["password"]),
        ({"username": ["sue"], "password": {}}, ["username", "password"]),
    ],
)
def test_incomplete_credentials_are_refused_by_field(sent, fields):
    response = ask(**sent)
    assert response.status_code == 400
    assert list(response.json()["fields"]) == fields


def test_a_token_is_given_even_to_a_caller_who_sends_an_old_one(seller):
    client = APIClient(HTTP_AUTHORIZATION="Token stale")
    assert client.post(TOKEN, {"username": "sue", "password": "correct horse"}).status_code == 200


@pytest.mark.parametrize("header", ["Token", "Token stale", "Token a b", "Token \xe9", "Bearer x", "Basic eDp5"])
def test_a_header_that_is_no_token_of_ours_opens_nothing(header):
    response = APIClient(HTTP_AUTHORIZATION=header).post("/api/v1/listings/", {"title": "Chair"})
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Token"


def test_spaces_around_a_password_belong_to_it():
    make_user("tim", password=" spaced ")
    assert ask(username="tim", password=" spaced ").status_code == 200
    assert ask(username="tim", password="spaced").status_code == 400
