"""One lock-out for every door that takes a password, which holds while the cache is away."""

import sqlite3
import threading
import time
from datetime import timedelta

import pytest
from axes.models import AccessAttempt, AccessLog
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.settings import api_settings
from rest_framework.test import APIClient

from listings.limits import log_ins
from listings.limits.log_ins import forget_old_tries
from tests.factories import api, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bare_pages", "plain_passwords")]

PAGE, ADMIN, TOKEN, CHANGE = "/sign-in/", "/admin/login/", "/api/v1/token/", "/admin/password_change/"
DOORS = [PAGE, ADMIN, TOKEN]
RIGHT, WRONG = "correct horse", "battery staple"
HOME, ELSEWHERE = "10.1.1.1", "10.2.2.2"
TOO_MANY = 429


class CountingHasher(MD5PasswordHasher):
    """A fast one, which tells how many passwords were looked at."""

    algorithm = "counting"
    looked_at = computed = 0

    def encode(self, password, salt):
        type(self).computed += 1
        return super().encode(password, salt)

    def verify(self, password, encoded):
        type(self).looked_at += 1
        return super().verify(password, encoded)


@pytest.fixture
def plain_passwords(settings, monkeypatch):
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    CountingHasher.looked_at = 0
    monkeypatch.setitem(api_settings.DEFAULT_THROTTLE_RATES, "token", None)


@pytest.fixture
def mira(plain_passwords):
    return make_user("mira", staff=True, password=RIGHT)


def log_in(door, password=WRONG, name="mira", address=HOME, client=None):
    client = client or (APIClient() if door == TOKEN else Client(raise_request_exception=False))
    return client.post(door, {"username": name, "password": password}, REMOTE_ADDR=address)


def lets_in(door, **tried):
    response = log_in(door, RIGHT, **tried)
    return response.status_code == 302 if door != TOKEN else response.status_code == 200 and "token" in response.json()


@pytest.mark.usefixtures("mira")
@pytest.mark.parametrize("door", DOORS)
def test_a_sixth_password_is_not_looked_at_even_if_it_is_the_right_one(door):
    refused = [log_in(door).status_code for _ in range(5)]
    assert set(refused) == ({400} if door == TOKEN else {200})
    looked_at = CountingHasher.looked_at
    response = log_in(door, RIGHT)
    assert response.status_code == TOO_MANY
    assert 0 < int(response["Retry-After"]) <= 15 * 60
    assert "Too many passwords were tried. Wait 15 minutes, then try again." in response.content.decode()
    assert "Expected available" not in response.content.decode(), "said twice"
    assert CountingHasher.looked_at == looked_at
    assert lets_in(door, address=ELSEWHERE)


@pytest.mark.usefixtures("mira")
def test_all_doors_count_together():
    for door in (PAGE, PAGE, ADMIN, ADMIN, TOKEN):
        log_in(door)
    assert [log_in(door, RIGHT).status_code for door in DOORS] == [TOO_MANY] * 3


@pytest.mark.usefixtures("mira")
def test_the_page_keeps_the_name_and_forgets_the_password():
    for _ in range(5):
        log_in(PAGE)
    page = log_in(PAGE).content.decode()
    assert 'value="mira"' in page
    assert WRONG not in page


@pytest.mark.usefixtures("mira")
@pytest.mark.parametrize("door", DOORS)
def test_a_name_that_nobody_has_is_answered_and_locked_like_one_that_somebody_has(door):
    answers, computed = [], []
    for name in ("mira", "nobody"):
        before = CountingHasher.computed
        responses = [log_in(door, name=name, address=f"10.0.0.{len(name)}") for _ in range(7)]
        pages = [response.content.decode().replace(name, "NAME") for response in responses]
        answers.append([(response.status_code, len(page)) for response, page in zip(responses, pages, strict=True)])
        computed.append(CountingHasher.computed - before)
    assert answers[0] == answers[1]
    # Also in the time they take: a password is computed for both, and for neither once it is locked.
    assert computed == [5, 5]


@pytest.mark.usefixtures("mira")
@pytest.mark.parametrize("door", DOORS)
def test_the_right_password_begins_the_count_anew(door):
    for _ in range(2):
        assert [log_in(door).status_code for _ in range(4)].count(TOO_MANY) == 0
        assert lets_in(door)


@pytest.mark.usefixtures("mira")
def test_an_account_of_ones_own_buys_no_tries_at_others(settings):
    settings.LOG_IN_TRIES = {**settings.LOG_IN_TRIES, "address": 6}
    make_user("mallory", password=RIGHT)
    for number in range(6):
        log_in(TOKEN, name=f"person{number}")
    assert log_in(TOKEN, RIGHT, name="mallory").status_code == TOO_MANY
    assert log_in(TOKEN, RIGHT, name="mallory", address=ELSEWHERE).status_code == 200
    assert log_in(TOKEN).status_code == TOO_MANY


@pytest.mark.usefixtures("mira")
def test_a_name_tried_from_everywhere_is_locked_but_where_its_owner_logs_in(settings):
    settings.LOG_IN_TRIES = {**settings.LOG_IN_TRIES, "name": 4}
    assert lets_in(PAGE, address=HOME)
    for number in range(4):
        assert log_in(TOKEN, address=f"10.9.0.{number}").status_code == 400
    assert log_in(TOKEN, RIGHT, address=ELSEWHERE).status_code == TOO_MANY
    assert lets_in(TOKEN, address=HOME)


@pytest.mark.usefixtures("mira")
@pytest.mark.parametrize("door", DOORS)
def test_it_holds_while_the_cache_hangs(door, silent_server, use_cache):
    use_cache(silent_server)
    statuses = [log_in(door).status_code for _ in range(14)]
    assert statuses.count(TOO_MANY) == 9


@pytest.mark.usefixtures("mira")
@pytest.mark.parametrize("door", DOORS)
def test_nobody_logs_in_while_tries_cannot_be_counted(door):
    def refuse(execute, sql, params, many, context):
        if "axes_accessattempt" in sql:
            raise OperationalError("disk I/O error")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        response = log_in(door, RIGHT)
    assert response.status_code == 503
    assert "does not answer" in response.content.decode()
    assert CountingHasher.looked_at == 0


@pytest.mark.usefixtures("mira")
def test_tries_while_it_is_locked_lock_it_for_no_longer():
    for _ in range(5):
        log_in(TOKEN)
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=14))
    assert int(log_in(TOKEN)["Retry-After"]) <= 60
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert log_in(TOKEN).status_code == 400
    assert AccessAttempt.objects.get().failures_since_start == 1


@pytest.mark.usefixtures("mira")
@pytest.mark.parametrize("kind", ["address", "name"])
def test_the_rest_of_a_name_or_an_address_ends_when_its_oldest_tries_count_no_more(settings, kind):
    settings.LOG_IN_TRIES = {**settings.LOG_IN_TRIES, kind: 3}
    for number, minutes in enumerate((14, 10, 5)):
        other = {"name": f"person{number}"} if kind == "address" else {"address": f"10.9.0.{number}"}
        log_in(TOKEN, **other)
        AccessAttempt.objects.filter(attempt_time__gte=timezone.now() - timedelta(minutes=1)).update(
            attempt_time=timezone.now() - timedelta(minutes=minutes)
        )
    assert 0 < int(log_in(TOKEN)["Retry-After"]) <= 60
    oldest = AccessAttempt.objects.earliest("attempt_time")
    AccessAttempt.objects.filter(pk=oldest.pk).update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert lets_in(TOKEN)


@pytest.mark.usefixtures("mira")
def test_a_clock_that_was_set_back_locks_nobody():
    for _ in range(5):
        log_in(TOKEN)
    AccessAttempt.objects.update(attempt_time=timezone.now() + timedelta(hours=2))
    assert lets_in(TOKEN)


@pytest.mark.django_db(transaction=True)
def test_of_twenty_tries_at_once_at_most_five_are_looked_at(mira):
    barrier, statuses = threading.Barrier(20), []

    def attempt():
        barrier.wait()
        statuses.append(log_in(TOKEN).status_code)
        connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 20
    assert statuses.count(400) == CountingHasher.looked_at <= 5
    assert statuses.count(TOO_MANY) == 20 - CountingHasher.looked_at


def test_who_is_in_asks_for_no_counters(mira):
    client = Client()
    client.force_login(mira)
    with CaptureQueriesContext(connection) as captured:
        client.get("/")
        api(mira).get("/api/v1/listings/")
        client.get("/admin/")
    assert not [query["sql"] for query in captured if "axes" in query["sql"]]


def test_staff_sees_tries_and_unlocks_them(mira):
    admin = Client()
    admin.force_login(mira)
    for _ in range(5):
        log_in(PAGE)
    row = AccessAttempt.objects.get()
    assert "mira" in admin.get("/admin/axes/accessattempt/").content.decode()
    page = f"/admin/axes/accessattempt/{row.pk}/"
    assert 'name="_save"' not in admin.get(f"{page}change/").content.decode()
    assert admin.post(f"{page}change/", {"failures_since_start": 0}).status_code == 403
    assert admin.post(f"{page}delete/", {"post": "yes"}).status_code == 302
    assert lets_in(PAGE)


@pytest.mark.usefixtures("mira")
def test_a_command_unlocks_a_name(capsys):
    for _ in range(5):
        log_in(PAGE)
    call_command("axes_reset_username", "mira")
    assert lets_in(PAGE)


def test_the_password_that_a_change_asks_for_is_counted_too(mira):
    client = Client()
    client.force_login(mira)
    new = {"new_password1": "a long new secret", "new_password2": "a long new secret"}

    def change(old):
        return client.post(CHANGE, {"old_password": old, **new}, REMOTE_ADDR=HOME).status_code

    assert [change(WRONG) for _ in range(5)] == [200] * 5
    assert change(RIGHT) == TOO_MANY
    AccessAttempt.objects.all().delete()
    assert change(RIGHT) == 302
    assert AccessAttempt.objects.get().failures_since_start == 0


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="elsewhere nobody else holds this row")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("door", [ADMIN, CHANGE])
def test_no_door_waits_long_for_a_lock_that_another_program_holds(door, mira, monkeypatch):
    monkeypatch.setattr(log_ins, "LONGEST_WAIT_MS", 50)
    client = Client(raise_request_exception=False)
    client.force_login(mira)
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    try:
        response = client.post(door, {"username": "mira", "password": RIGHT, "old_password": RIGHT})
    finally:
        other.close()
    assert response.status_code == 503
    assert time.monotonic() - began < 5


def test_what_counts_no_more_is_thrown_away(mira):
    assert lets_in(PAGE)
    log_in(PAGE, name="stranger")
    AccessAttempt.objects.filter(username="mira").update(attempt_time=timezone.now() - timedelta(hours=1))
    AccessLog.objects.create(username="old", ip_address=HOME)
    AccessLog.objects.filter(username="old").update(attempt_time=timezone.now() - timedelta(days=31))
    forget_old_tries()
    assert [row.username for row in AccessAttempt.objects.all()] == ["stranger"]
    assert [row.username for row in AccessLog.objects.all()] == ["mira"]


@pytest.mark.parametrize("name", ["x" * 300, "m\u0131ra\u202e"])
def test_any_name_can_be_counted(name):
    assert [log_in(PAGE, name=name).status_code for _ in range(6)] == [200] * 5 + [TOO_MANY]
