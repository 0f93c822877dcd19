"""Rates on the shared cache that fail open: a cache that is down or slow costs a request a moment, once in a while.

Each check is one round trip that counts in windows of fixed length. After trouble a process does not ask the cache for
`PAUSE_SECONDS`, then lets one request try again. Use: `throttle_scope = "search"` on a view of the API,
`throttle_request(request, "search")` in a page.
"""

from __future__ import annotations

import functools
import ipaddress
import math
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import redis
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from redis.backoff import NoBackoff
from redis.retry import Retry
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from listings.permissions import is_unlimited

if TYPE_CHECKING:
    # At run time this import would be circular, because APIView loads the throttles that the settings name.
    from rest_framework.views import APIView

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 5.0
PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
# Stands for callers whose address nobody knows, such as those of a proxy that speaks to a socket and names nobody.
NO_ADDRESS = "::"
# From so many seconds on people are told minutes.
LONG_WAIT = 100
TOO_MANY = 429


class Breaker:
    """Open after trouble; then one caller a pause finds out whether it is over."""

    def __init__(self, pause: float) -> None:
        self.pause = pause
        self._retry_at = 0.0
        self._lock = threading.Lock()

    def admit_call(self) -> bool:
        if not self._retry_at:
            return True
        with self._lock:
            if time.monotonic() < self._retry_at:
                return False
            # Set before the cache has answered, so that only one caller in each pause waits for one that is still down.
            self._retry_at = time.monotonic() + self.pause
            return True

    def record_success(self) -> None:
        self._retry_at = 0.0

    def record_failure(self) -> None:
        self._retry_at = time.monotonic() + self.pause


breaker = Breaker(PAUSE_SECONDS)


@functools.cache
def _redis_client(url: str) -> redis.Redis:
    """A connection without a greeting: at most three waits (connect, select, count) before the first answer."""
    timeout = settings.REDIS_TIMEOUT
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=timeout / 3,
        socket_timeout=timeout / 3,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
    )


def count_hit(key: str, seconds: int) -> int | None:
    """How often this key was hit in its window, this time included; None while the cache does not answer."""
    if not breaker.admit_call():
        return None
    try:
        # Kept in a variable: of two clients that two threads make at once functools keeps one, and the other, to which
        # nothing else would refer, would close its connection while it is in use.
        client = _redis_client(str(settings.CACHES["default"]["LOCATION"]))
        # The key names its window, so expiry only cleans up and the two commands need no transaction.
        with client.pipeline(transaction=False) as pipe:
            pipe.incr(key)
            pipe.expire(key, seconds)
            hits: int = pipe.execute()[0]
    except (redis.RedisError, OSError) as exc:
        breaker.record_failure()
        log.warning("throttle_cache_unavailable", error=str(exc), retry_in_seconds=PAUSE_SECONDS)
        return None
    breaker.record_success()
    return hits


def are_hits_counted() -> bool:
    """Whether the cache answers, or else rates hold nobody back."""
    return count_hit("throttle:health", 60) is not None


def caller_address(request: HttpRequest) -> str:
    """The address that a caller is counted by: the one that the trusted proxies name, of IPv6 its network of 64 bits,
    because a single connection is given at least so many addresses."""
    address = _read_address(BaseThrottle().get_ident(cast("Request", request)) or "")
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.IPv6Address(int(address) >> 64 << 64))
    return str(address or NO_ADDRESS)


def _read_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(text)
    # Some proxies add the port.
    with suppress(ValueError):
        return ipaddress.ip_address(urlsplit(f"//{text}").hostname or "")
    return None


def parse_rate(rate: str) -> tuple[int, int]:
    """ "60/min" as (60, 60)."""
    count, period = rate.split("/")
    return int(count), PERIODS[period.strip()[0]]


class FailOpenThrottle(BaseThrottle):
    """Counts one caller's requests in a scope; a scope without a rate, and moderators, are not limited."""

    def get_scope(self, request: Request, view: APIView) -> str | None:
        raise NotImplementedError

    def allow_request(self, request: Request, view: APIView) -> bool:
        scope = self.get_scope(request, view)
        rate = api_settings.DEFAULT_THROTTLE_RATES[scope] if scope else None
        if not rate or self._is_exempt(request):
            return True
        # A window of fixed length needs one number for each caller, which every process can count up in one step.
        allowed, seconds = parse_rate(str(rate))
        now = time.time()
        hits = count_hit(f"throttle:{scope}:{self._identify_caller(request)}:{int(now // seconds)}", seconds)
        self._left = seconds - now % seconds
        return hits is None or hits <= allowed

    def wait(self) -> float:
        return self._left

    def _is_exempt(self, request: Request) -> bool:
        return bool(request.user and request.user.is_authenticated and is_unlimited(request.user))

    def _identify_caller(self, request: Request) -> str:
        user: Any = request.user
        return f"user-{user.pk}" if user and user.is_authenticated else f"ip-{caller_address(request)}"


class CallerThrottle(FailOpenThrottle):
    """Everything one caller does: by account, else by address."""

    def get_scope(self, request: Request, view: APIView) -> str:
        return "user" if request.user and request.user.is_authenticated else "anon"


class ScopedThrottle(FailOpenThrottle):
    """What a view names in `throttle_scope`."""

    def get_scope(self, request: Request, view: APIView) -> str | None:
        return getattr(view, "throttle_scope", None)


class PageThrottle(FailOpenThrottle):
    """The same for a page, which names its scope itself."""

    def __init__(self, scope: str) -> None:
        self.scope = scope

    def get_scope(self, request: Request, view: APIView) -> str:
        return self.scope


class AddressThrottle(PageThrottle):
    """For what is asked before it is known who asks: by address and for everybody, whoever is signed in meanwhile."""

    def _is_exempt(self, request: Request) -> bool:
        return False

    def _identify_caller(self, request: Request) -> str:
        return f"ip-{caller_address(request)}"


def throttle_request(request: HttpRequest, scope: str) -> int:
    """Count this request of a page: the seconds to wait where its caller has used up the scope's rate, pages and API
    taken together, else 0."""
    return _count_request(request, PageThrottle(scope))


def throttle_address(request: HttpRequest, scope: str) -> int:
    """The same for an address, whoever asks from there."""
    return _count_request(request, AddressThrottle(scope))


def _count_request(request: HttpRequest, throttle: PageThrottle) -> int:
    # The casts do no harm, because a throttle reads only the user and the address, which a plain request has too.
    is_allowed = throttle.allow_request(cast("Request", request), cast("APIView", None))
    return 0 if is_allowed else math.ceil(throttle.wait())


def throttle_form(request: HttpRequest, *scopes: str) -> int:
    """The same for a form that does several things at once: the longest time to wait."""
    return max(throttle_request(request, scope) for scope in scopes)


def mark_too_often(response: HttpResponse, seconds: int) -> HttpResponse:
    """Make this the answer to a caller who has to wait so long."""
    response.status_code = TOO_MANY
    response["Retry-After"] = str(seconds)
    return response


def explain_wait(seconds: int) -> str:
    return f"That was very often. Wait {describe_wait(seconds)}, then send it again."


def describe_wait(seconds: int) -> str:
    count, unit = (seconds, "second") if seconds < LONG_WAIT else (math.ceil(seconds / 60), "minute")
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
