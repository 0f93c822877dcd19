"""The token: how it is got, and what it opens."""

import hashlib
import importlib
import sqlite3
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework.settings import api_settings
from rest_framework.test import APIClient

from listings import migrations
from listings.api import tokens
from listings.api.tokens import forget_expired_tokens
from listings.models import AccessToken
from tests.factories import make_user

pytestmark = pytest.mark.django_db

TOKEN, TOKENS = "/api/v1/token/", "/api/v1/tokens/"


@pytest.fixture(autouse=True)
def _fast_and_often(settings, monkeypatch):
    settings.PASSWORD_HASHERS = [
        f"django.contrib.auth.hashers.{name}" for name in ("MD5PasswordHasher", "PBKDF2PasswordHasher")
    ]
    monkeypatch.setitem(api_settings.DEFAULT_THROTTLE_RATES, "token", None)


@pytest.fixture
def seller():
    return make_user("sue", password="correct horse")


def ask(**sent):
    return APIClient().post(TOKEN, sent)


def client_of(token):
    return APIClient(HTTP_AUTHORIZATION=f"Token {token}")


def token_of(**sent):
    return ask(**{"username": "sue", "password": "correct horse", **sent}).json()["token"]


def opens(token):
    return client_of(token).get(TOKENS).status_code == 200


def test_a_token_opens_the_account_and_is_stored_nowhere(seller, capfd):
    response = ask(username="sue", password="correct horse")
    assert response.status_code == 200
    assert list(response.json()) == ["token"]
    token = response.json()["token"]
    assert client_of(token).post("/api/v1/listings/", {"title": "Chair"}).json()["seller"]["id"] == seller.pk
    row = AccessToken.objects.get()
    assert len(token) == 64
    assert token not in " ".join(map(str, vars(row).values()))
    assert row.digest == hashlib.sha256(token.encode()).hexdigest()
    assert token not in "".join(capfd.readouterr())


@pytest.mark.usefixtures("seller")
def test_each_log_in_has_a_token_of_its_own_which_ends_alone():
    first, second = token_of(), token_of()
    assert first != second
    assert client_of(first).delete(TOKEN).status_code == 204
    assert not opens(first)
    assert opens(second)
    refusal = client_of(first).delete(TOKEN)
    assert (refusal.status_code, refusal["WWW-Authenticate"]) == (401, "Token")
    assert "POST your name and password" in refusal.json()["detail"]


@pytest.mark.usefixtures("seller")
def test_somebody_lists_and_ends_their_own_tokens_and_no_others():
    make_user("tim", password="correct horse")
    mine, lost, his = token_of(), token_of(), token_of(username="tim")
    listed = client_of(mine).get(TOKENS).json()
    assert {one["beginning"]: one["is_current"] for one in listed} == {mine[:8]: True, lost[:8]: False}
    assert mine not in client_of(mine).get(TOKENS).content.decode()
    ids = {one["beginning"]: one["id"] for one in listed}
    assert client_of(his).delete(f"{TOKENS}{ids[lost[:8]]}/").status_code == 404
    assert client_of(mine).delete(f"{TOKENS}{ids[lost[:8]]}/").status_code == 204
    assert [opens(token) for token in (mine, lost, his)] == [True, False, True]


@pytest.mark.usefixtures("seller")
def test_a_token_expires_when_it_was_not_used_for_ninety_days():
    used, forgotten = token_of(), token_of()
    day = timedelta(days=1)
    AccessToken.objects.update(used_at=timezone.now() - 89 * day, created_at=timezone.now() - 500 * day)
    assert opens(used)
    AccessToken.objects.filter(beginning=forgotten[:8]).update(used_at=timezone.now() - 90 * day)
    assert not opens(forgotten)
    forget_expired_tokens()
    assert AccessToken.objects.get().beginning == used[:8]


@pytest.mark.usefixtures("seller")
def test_the_last_use_is_written_once_a_minute_and_costs_others_one_query(django_assert_num_queries):
    token = token_of()
    AccessToken.objects.update(used_at=timezone.now() - timedelta(minutes=2))
    with django_assert_num_queries(3):
        client_of(token).get(TOKENS)
    used_at = AccessToken.objects.get().used_at
    assert timezone.now() - used_at < timedelta(minutes=1)
    with django_assert_num_queries(2):
        client_of(token).get(TOKENS)
    assert AccessToken.objects.get().used_at == used_at


@pytest.mark.usefixtures("seller")
def test_a_last_use_that_lies_ahead_is_put_right_by_the_next_one():
    token, day, now = token_of(), timedelta(days=1), timezone.now()
    AccessToken.objects.update(used_at=now + 400 * day)
    assert opens(token)
    assert now <= AccessToken.objects.get().used_at <= timezone.now()
    # A clock that says a time before the token was made is the one that is wrong.
    ahead = now + 200 * day
    AccessToken.objects.update(created_at=now + 100 * day, used_at=ahead)
    assert opens(token)
    assert AccessToken.objects.get().used_at == ahead


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="elsewhere nobody else holds this row")
@pytest.mark.django_db(transaction=True)
def test_reading_goes_on_while_another_program_holds_the_lock_of_sqlite():
    """The last use is not worth a thread for the 20 s for which a save waits."""
    make_user("sue", password="correct horse")
    token = token_of()
    AccessToken.objects.update(used_at=timezone.now() - timedelta(minutes=2))
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    try:
        assert opens(token)
    finally:
        other.close()
    assert time.monotonic() - began < 5
    assert opens(token)
    assert AccessToken.objects.get().used_at > timezone.now() - timedelta(minutes=1)


def change_password(seller):
    seller.set_password("another horse")
    seller.save()


def close_account(seller):
    seller.is_active = False
    seller.save()


def close_account_past_django(seller):
    type(seller).objects.filter(pk=seller.pk).update(is_active=False)


@pytest.mark.parametrize("end", [change_password, close_account, close_account_past_django])
def test_a_new_password_and_a_closed_account_end_tokens_and_sessions(seller, end):
    token, browser = token_of(), Client()
    browser.force_login(seller)
    assert browser.get("/my/").status_code == 200
    end(seller)
    assert not opens(token)
    assert browser.get("/my/").status_code == 302
    forget_expired_tokens()
    assert not AccessToken.objects.exists(), "would open the account when it is opened again"


@pytest.mark.usefixtures("seller")
def test_a_password_that_is_only_hashed_anew_ends_none(settings):
    settings.PASSWORD_HASHERS = [*reversed(settings.PASSWORD_HASHERS)]
    token = token_of()
    assert token_of()
    assert opens(token)


@pytest.mark.usefixtures("seller")
def test_a_client_that_asks_each_time_does_not_fill_the_table(monkeypatch):
    monkeypatch.setattr(tokens, "MOST_TOKENS", 2)
    given = [token_of() for _ in range(4)]
    assert [opens(token) for token in given] == [False, False, True, True]


def test_staff_sees_tokens_and_ends_them_and_reads_none(seller):
    token, browser = token_of(), Client()
    browser.force_login(make_user(staff=True))
    row = AccessToken.objects.get()
    page = f"/admin/listings/accesstoken/{row.pk}/"
    pages = [browser.get(address).content.decode() for address in ("/admin/listings/accesstoken/", f"{page}change/")]
    assert all(row.beginning in page for page in pages)
    assert not [page for page in pages if token in page or row.digest in page or 'name="_save"' in page]
    assert browser.post(f"{page}delete/", {"post": "yes"}).status_code == 302
    assert not opens(token)


def test_plain_tokens_of_older_versions_go_on_working_and_are_kept_nowhere(seller):
    plain, of_closed_account = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b", "f" * 40
    closed = make_user()
    close_account_past_django(closed)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE authtoken_token (key varchar(40), created timestamp, user_id integer)")
        for token, person in ((plain, seller), (of_closed_account, closed)):
            cursor.execute("INSERT INTO authtoken_token VALUES (%s, %s, %s)", [token, timezone.now(), person.pk])
    migration = next(
        importlib.import_module(f"listings.migrations.{file.stem}")
        for file in Path(migrations.__path__[0]).glob("*_access_tokens.py")
    )
    migration.hash_plain_tokens(apps, connection.schema_editor())
    type(seller).objects.update(is_active=True)
    assert [opens(token) for token in (plain, of_closed_account)] == [True, False]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM authtoken_token")
        assert cursor.fetchone() == (0,)


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
