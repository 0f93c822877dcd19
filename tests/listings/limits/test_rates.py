"""Rates hold across processes, and a cache that is down or slow never holds a request up."""

import threading
import time

import pytest
from django.conf import settings as site
from rest_framework.settings import api_settings

from listings.limits import rates as limits
from tests.factories import api, make_user, photo_file

pytestmark = pytest.mark.django_db

LISTINGS = "/api/v1/listings/"


def get(person=None, **extra):
    return api(person).get(LISTINGS, **extra)


def test_a_visitor_over_the_rate_is_told_when_to_come_back(rates):
    rates(anon="2/h")
    assert [get().status_code for _ in range(3)] == [200, 200, 429]
    response = get()
    assert 0 < int(response["Retry-After"]) <= 3600
    assert "detail" in response.json()


def test_callers_are_counted_apart(rates):
    rates(anon="1/h", user="1/h")
    ann, ben = make_user(), make_user()
    assert [get(person).status_code for person in (None, ann, ben)] == [200, 200, 200]
    assert [get(person).status_code for person in (None, ann, ben)] == [429, 429, 429]
    assert get(REMOTE_ADDR="10.0.0.9").status_code == 200


def test_a_caller_cannot_choose_another_address_by_a_header(rates):
    rates(anon="1/h")
    assert get(HTTP_X_FORWARDED_FOR="1.1.1.1").status_code == 200
    assert get(HTTP_X_FORWARDED_FOR="2.2.2.2").status_code == 429


def test_tokens_and_uploads_have_rates_of_their_own(rates):
    rates(token="1/h", upload="1/h")
    wrong = {"username": "a", "password": "b"}
    assert [api().post("/api/v1/token/", wrong).status_code for _ in range(2)] == [400, 429]
    seller = make_user()
    listing = api(seller).post(LISTINGS, {"title": "Chair"}).json()["id"]
    statuses = [
        api(seller).post(f"{LISTINGS}{listing}/images/", {"images": photo_file(1)}, format="multipart").status_code
        for _ in range(2)
    ]
    assert statuses == [201, 429]


def test_staff_is_not_limited_but_guessing_passwords_is(rates, client):
    rates(user="1/h", search="1/h", token="1/h")
    staff, shopper = make_user(staff=True), make_user()
    assert {get(staff).status_code for _ in range(5)} == {200}
    wrong = {"username": staff.username, "password": "b"}
    # By address alone, whoever is signed in there.
    statuses = []
    for person in (staff, staff, shopper):
        client.force_login(person)
        statuses.append(client.post("/admin/login/", wrong).status_code)
    assert statuses == [200, 429, 429]
    assert api().post("/api/v1/token/", wrong).status_code == 429


def test_a_scope_without_a_rate_is_not_limited(rates):
    rates(anon=None)
    assert {get().status_code for _ in range(5)} == {200}


def test_counts_expire_with_their_window(broker):
    assert limits.count_hit("throttle:test", 60) == 1
    assert limits.count_hit("throttle:test", 60) == 2
    (key,) = broker_keys(broker)
    assert 0 < key <= 60


def broker_keys(broker) -> list[int]:
    import redis

    client = redis.Redis.from_url(str(site.CACHES["default"]["LOCATION"]))
    return [client.ttl(key) for key in client.keys("throttle:*")]


@pytest.mark.parametrize("kind", ["dead_server", "silent_server"])
def test_without_a_cache_requests_pass_and_wait_a_moment_only_once(kind, request, settings, use_cache, rates):
    rates(anon="1/h")
    get()  # loads the views
    use_cache(request.getfixturevalue(kind))
    started = time.monotonic()
    assert get().status_code == 200
    first = time.monotonic() - started
    started = time.monotonic()
    assert {get().status_code for _ in range(5)} == {200}
    rest = time.monotonic() - started
    assert first < settings.REDIS_TIMEOUT + 0.3
    assert rest < 0.5


def test_a_silent_cache_is_given_up_in_time(silent_server, settings, use_cache):
    use_cache(silent_server)
    started = time.monotonic()
    assert limits.count_hit("throttle:x", 60) is None
    assert time.monotonic() - started <= settings.REDIS_TIMEOUT


def test_rates_hold_again_once_the_cache_is_back(dead_server, settings, rates, monkeypatch):
    rates(anon="1/h")
    monkeypatch.setattr(limits.breaker, "pause", 0.05)
    alive = settings.CACHES
    settings.CACHES = {"default": {**alive["default"], "LOCATION": dead_server}}
    assert {get().status_code for _ in range(3)} == {200}
    settings.CACHES = alive
    time.sleep(0.06)
    assert [get().status_code for _ in range(2)] == [200, 429]


def test_one_request_a_pause_asks_a_cache_in_trouble():
    breaker = limits.Breaker(pause=0.1)
    assert breaker.admit_call()
    breaker.record_failure()
    assert not breaker.admit_call()
    time.sleep(0.11)
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda: answers.append(breaker.admit_call())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 7 + [True]
    breaker.record_success()
    assert breaker.admit_call()


@pytest.mark.parametrize(("rate", "meaning"), [("60/min", (60, 60)), ("5/s", (5, 1)), ("9/hour", (9, 3600))])
def test_a_rate_is_read_as_count_and_seconds(rate, meaning):
    assert limits.parse_rate(rate) == meaning


def test_the_first_requests_of_a_process_may_come_at_the_same_time():
    """Each may make a client of its own; none may lose its connection to the garbage collector."""
    faults = []

    def hit(barrier: threading.Barrier) -> None:
        barrier.wait()
        try:
            limits.count_hit("throttle:together", 60)
        except ValueError as exc:
            faults.append(exc)

    for _ in range(40):
        limits._redis_client.cache_clear()
        barrier = threading.Barrier(8)
        callers = [threading.Thread(target=hit, args=(barrier,)) for _ in range(8)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert faults == []


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "counted"),
    [
        (0, "10.0.0.1", "1.1.1.1", "10.0.0.1"),
        (1, "10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        (1, "10.0.0.1", "1.1.1.1:4711", "1.1.1.1"),
        (1, "", "[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2::"),
        (0, "2001:db8:1:2:ffff::9", None, "2001:db8:1:2::"),
        (0, "::ffff:10.0.0.7", None, "10.0.0.7"),
        (0, "", None, "::"),
        (2, "10.0.0.1", "[", "::"),
        (1, "10.0.0.1", "unknown", "::"),
    ],
)
def test_callers_are_counted_by_the_address_that_trusted_proxies_name(
    rf, monkeypatch, proxies, peer, forwarded, counted
):
    monkeypatch.setattr(api_settings, "NUM_PROXIES", proxies)
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    assert limits.caller_address(rf.get("/", REMOTE_ADDR=peer, **headers)) == counted
