"""Values of the environment, read strictly: what makes no sense raises ImproperlyConfigured with one sentence."""

from __future__ import annotations

import math
import re
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()

NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
DATABASES = ("postgres", "postgresql", "sqlite")
BROKERS = ("redis", "rediss", "unix")
IN_NAMES = "; in names and passwords write # as %23, ? as %3F and % as %25."


def read_number(name: str, default: float) -> float:
    text = env.str(name, "").strip() or str(default)
    # float() alone would read `1_0` as ten, and the digits of every script.
    value = float(text) if NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise ImproperlyConfigured(f"{name} is '{text}'; it must be a number.")
    return value


def read_positive_number(name: str, default: float) -> float:
    value = read_number(name, default)
    if value <= 0:
        raise ImproperlyConfigured(f"{name} is {value:g}; it must be greater than zero.")
    return value


def read_fraction(name: str, default: float) -> float:
    value = read_number(name, default)
    if not 0 <= value <= 1:
        raise ImproperlyConfigured(f"{name} is {value:g}; it must be a number from 0 to 1.")
    return value


def read_integer(name: str, default: int, least: int = 1, most: float = math.inf) -> int:
    value = read_number(name, default)
    if not least <= value <= most or value != int(value):
        limit = "" if most == math.inf else f" to {most}"
        raise ImproperlyConfigured(f"{name} is {value:g}; it must be a whole number from {least}{limit}.")
    return int(value)


def read_boolean(name: str) -> bool:
    text = env.str(name, "").strip().lower()
    if text and text not in WORDS:
        raise ImproperlyConfigured(f"{name} is '{text}'; write true or false.")
    return WORDS.get(text, False)


def read_choice(name: str, *choices: str) -> str:
    """One of these words, or nothing."""
    text = env.str(name, "")
    if text and text not in choices:
        raise ImproperlyConfigured(
            f"{name} is '{text}'; write {', '.join(choices[:-1])} or {choices[-1]}, or leave it empty."
        )
    return text


def read_throttle_rate(name: str, default: str) -> str | None:
    """ "count/period" of s, min, h or d; "none" lifts it."""
    value = env.str(name, "").strip() or default
    if value.lower() == "none":
        return None
    if not re.fullmatch(r"[1-9][0-9]*/(s|sec|m|min|h|hour|d|day)", value):
        raise ImproperlyConfigured(f"{name} is '{value}'; write a rate such as 60/min, or none.")
    return value


def parse_database_url(url: str) -> dict[str, Any]:
    """Django's configuration of DATABASE_URL. The address may hold a password, so no message repeats it."""
    try:
        parts = urlsplit(url)
        # What follows an unquoted # or ? would be cut off the name of the file, and another file taken without a word.
        cut_off = parts.fragment or (parts.scheme == "sqlite" and parts.query)
        if parts.scheme in DATABASES and not cut_off:
            # The library reads a plus sign as a space, as in forms; in a path it is a plus sign.
            return dict(env.db_url_config(url.replace("+", "%2B")))
    # A port that is no number raises too, and the error repeats a part of the address: the sentence below replaces it.
    except ValueError:
        pass
    raise ImproperlyConfigured(
        f"DATABASE_URL must look like postgres://user:password@host:5432/name or sqlite:///file{IN_NAMES}"
    )


def derive_cache_url(broker: str) -> str:
    """The cache's address: beside the broker's database, never in it, because caches are flushed."""
    parts, number = split_broker_url(broker)
    if parts.scheme == "unix":
        return f"unix://{parts.netloc}{parts.path}?db={number + 1}"
    return parts._replace(path=f"/{number + 1}").geturl()


def derive_celery_url(broker: str) -> str:
    """The broker's address as Celery writes it, which has words of its own for a socket and its database."""
    parts, number = split_broker_url(broker)
    if parts.scheme == "unix":
        return f"redis+socket://{parts.netloc}{parts.path}?virtual_host={number}"
    return broker


def split_broker_url(url: str) -> tuple[SplitResult, int]:
    """The parts of REDIS_URL, and the number of its database."""
    try:
        parts = urlsplit(url)
        text = parse_qs(parts.query).get("db", ["0"])[0] if parts.scheme == "unix" else parts.path.strip("/")
        # int() alone would read `1_0` as ten, and -1 is no database.
        is_number = re.fullmatch("[0-9]*", text) is not None
        number = int(text or 0)
        valid = is_number and parts.scheme in BROKERS and not parts.fragment and (parts.port is None or parts.port > 0)
    # int() and `parts.port` raise where the database or the port in the address is no number.
    except ValueError:
        valid = False
    if not valid:
        raise ImproperlyConfigured(
            f"REDIS_URL must look like redis://host:6379/0 or unix:///path/of/the.sock{IN_NAMES}"
        )
    return parts, number
