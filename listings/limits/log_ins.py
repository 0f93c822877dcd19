"""Passwords that are tried, counted in the database for every door that takes one: the page, the admin and `token/`.

The counters, and the commands that clear them, are those of django-axes. What differs here: a try is counted before its
password is looked at, or many at once would all pass; and a person who logs in clears the count of their own name and
address alone, or an attacker with an account would clear that of an address again and again. Without the database
nobody logs in, so the count fails closed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import wraps

import structlog
from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt, AccessLog
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Case, F, Q, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from rest_framework.request import Request

from .rates import TOO_MANY, caller_address, describe_wait, mark_too_often, throttle_address
from .waits import wait_briefly

log = structlog.get_logger(__name__)

# A name that nobody has may be longer than any that somebody has; it is counted by its beginning.
NAME_LENGTH = 150
# From where somebody has logged in so recently, others cannot lock them out by trying their name elsewhere.
KNOWN = timedelta(days=30)
# Counted apart, so that no row depends on the browser that somebody claims to use.
NO_AGENT = ""
LONGEST_WAIT_MS = 1_000


class CountingHandler(AxesDatabaseHandler):
    """What django-axes asks about a try to log in, and tells about its end."""

    def is_allowed(self, request: HttpRequest, credentials: Mapping[str, str] | None = None) -> bool:
        name = ((credentials or {}).get("username") or "")[:NAME_LENGTH]
        if seconds := throttle_address(request, "token") or count_try(name, caller_address(request)):
            request.axes_locked_out = True  # type: ignore[attr-defined]
            request.locked_seconds = seconds  # type: ignore[attr-defined]
        return not seconds

    def user_login_failed(self, sender: object, credentials: object, request: object = None, **kwargs: object) -> None:
        """It was counted before."""

    def user_logged_in(self, sender: object, request: HttpRequest, user: User, **kwargs: object) -> None:
        name, address = user.get_username(), caller_address(request)
        _forget_tries(name, address)
        known = AccessLog.objects.filter(username=name, ip_address=address)
        if not known.update(attempt_time=timezone.now()):
            AccessLog.objects.create(username=name, ip_address=address)

    def user_logged_out(self, sender: object, request: object, user: object, **kwargs: object) -> None:
        """Nothing is counted by it."""


def count_try(name: str, address: str) -> int:
    """Count one more password for this name from this address; the seconds to wait where it must not be looked at."""
    now = timezone.now()
    # Asked before as well, because tries while it is locked must not lock it for longer.
    if until := _locked_until(name, address, now):
        return math.ceil((until - now).total_seconds())
    # Refused soon where the count cannot be written: visitors could hold all threads with log-ins that wait.
    with wait_briefly(LONGEST_WAIT_MS):
        _add_try(name, address, now)
    # Asked after the row is written: of any number at once, those that count above the limit see that they do.
    until = _locked_until(name, address, now, counted=1)
    if until:
        log.warning("log_in_locked", address=address, until=until.isoformat())
    return math.ceil((until - now).total_seconds()) if until else 0


def _add_try(name: str, address: str, now: datetime) -> None:
    """Add one to the row of a name and an address, which begins anew when it was left alone for long enough."""
    row = {"username": name, "ip_address": address, "user_agent": NO_AGENT}
    AccessAttempt.objects.bulk_create([AccessAttempt(**row, failures_since_start=0)], ignore_conflicts=True)
    count = Case(When(attempt_time__range=_window(now), then=F("failures_since_start") + 1), default=Value(1))
    AccessAttempt.objects.filter(**row).update(failures_since_start=count, attempt_time=now)


def _forget_tries(name: str, address: str) -> None:
    AccessAttempt.objects.filter(username=name, ip_address=address).update(failures_since_start=0)


def _locked_until(name: str, address: str, now: datetime, counted: int = 0) -> datetime | None:
    """When this name may be tried again from this address; None at once. `counted` tries are this very one."""
    either = Q(username=name) | Q(ip_address=address)
    counting = AccessAttempt.objects.filter(either, attempt_time__range=_window(now), failures_since_start__gt=0)
    rows = list(counting.order_by("attempt_time"))
    of_name = [row for row in rows if row.username == name]
    of_address = [row for row in rows if row.ip_address == address]
    kinds = {"both": [row for row in of_name if row.ip_address == address], "address": of_address, "name": of_name}
    ends = {kind: _find_end(tries, settings.LOG_IN_TRIES[kind], counted) for kind, tries in kinds.items()}
    locked = {kind: end for kind, end in ends.items() if end}
    if locked.keys() == {"name"} and _is_known(name, address, now):
        return None
    return max(locked.values(), default=None)


def _find_end(rows: Sequence[AccessAttempt], most: int, counted: int) -> datetime | None:
    """When so many of these tries, the oldest first, count no more that another may be made; None at once."""
    left, end = sum(row.failures_since_start for row in rows) - counted, None
    for row in rows:
        if left < most:
            break
        left, end = left - row.failures_since_start, row.attempt_time + settings.LOG_IN_LOCK
    return end


def _is_known(name: str, address: str, now: datetime) -> bool:
    return AccessLog.objects.filter(username=name, ip_address=address, attempt_time__gte=now - KNOWN).exists()


def _window(now: datetime) -> tuple[datetime, datetime]:
    """Tries of this time count. Its end lies ahead, so that a clock that was set back locks nobody for longer."""
    return now - settings.LOG_IN_LOCK, now + settings.LOG_IN_LOCK


def forget_old_tries() -> None:
    now = timezone.now()
    AccessAttempt.objects.exclude(attempt_time__range=_window(now)).delete()
    AccessLog.objects.filter(attempt_time__lt=now - KNOWN).delete()


def find_lock(request: HttpRequest | Request) -> int:
    """The seconds to wait where the try that this request made was not looked at; 0 where it was."""
    return getattr(request, "locked_seconds", 0)


def say_when(seconds: int) -> str:
    return f"Too many passwords were tried. Wait {describe_wait(seconds)}, then try again."


def answer_locked_out(request: HttpRequest, response: HttpResponse, credentials: object = None) -> HttpResponse:
    """The page in place of a log-in form that does not say so itself."""
    if response.status_code == TOO_MANY:
        return response
    seconds = find_lock(request)
    return mark_too_often(render(request, "429.html", {"sentence": say_when(seconds)}), seconds)


def count_password_checks(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For a page that asks people who are signed in for their password again: it is no quieter place to guess it."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if request.method != "POST" or not isinstance(request.user, User):
            return view(request, *args, **kwargs)
        if seconds := count_try(request.user.get_username(), caller_address(request)):
            request.locked_seconds = seconds  # type: ignore[attr-defined]
            return answer_locked_out(request, HttpResponse())
        response = view(request, *args, **kwargs)
        # A page with a form that is refused has the form in its context; a password that was right leads elsewhere.
        form = (getattr(response, "context_data", None) or {}).get("form")
        if form is None or "old_password" not in form.errors:
            _forget_tries(request.user.get_username(), caller_address(request))
        return response

    return wrapper
