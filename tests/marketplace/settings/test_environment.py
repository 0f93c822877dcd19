"""Whatever an operator writes into the environment, the answer is a value or one sentence that names the variable."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from django.core.exceptions import ImproperlyConfigured

from marketplace.settings import environment

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("text", ["x", "1x6", "nan", "inf", "1,5", "1_0", "\u0661", "."])
def test_what_is_no_number_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv("PURGE_DAYS", text)
    with pytest.raises(ImproperlyConfigured, match=f"PURGE_DAYS is '{text}'"):
        environment.read_number("PURGE_DAYS", 7)


@pytest.mark.parametrize(("text", "value"), [("", 7), (" 2.5 ", 2.5), ("0", 0), ("-1", -1)])
def test_a_number_is_read_and_an_empty_one_is_the_default(monkeypatch, text, value):
    monkeypatch.setenv("PURGE_DAYS", text)
    assert environment.read_number("PURGE_DAYS", 7) == value


@pytest.mark.parametrize("text", ["-0.1", "1.01", "2"])
def test_a_share_is_between_nothing_and_all(monkeypatch, text):
    monkeypatch.setenv("INDEX_MONITOR_SHARE", text)
    with pytest.raises(ImproperlyConfigured, match=f"INDEX_MONITOR_SHARE is {text}; it must be a number from 0 to 1"):
        environment.read_fraction("INDEX_MONITOR_SHARE", 0.01)


@pytest.mark.parametrize(("text", "value"), [("", 0.01), ("0", 0.0), ("1", 1.0)])
def test_a_share_may_be_nothing_or_all(monkeypatch, text, value):
    monkeypatch.setenv("INDEX_MONITOR_SHARE", text)
    assert environment.read_fraction("INDEX_MONITOR_SHARE", 0.01) == value


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "x"])
def test_a_count_is_whole_and_large_enough(monkeypatch, text):
    monkeypatch.setenv("EMBED_BATCH", text)
    with pytest.raises(ImproperlyConfigured, match="EMBED_BATCH"):
        environment.read_integer("EMBED_BATCH", 16)


def test_a_count_is_not_larger_than_it_may_be(monkeypatch):
    monkeypatch.setenv("EMBED_BATCH", "1001")
    with pytest.raises(ImproperlyConfigured, match="EMBED_BATCH is 1001; it must be a whole number from 1 to 1000"):
        environment.read_integer("EMBED_BATCH", 32, most=1000)
    assert environment.read_integer("EMBED_BATCH", 32) == 1001


def test_a_misspelled_flag_is_not_taken_for_off(monkeypatch):
    monkeypatch.setenv("HTTPS", "ture")
    with pytest.raises(ImproperlyConfigured, match="HTTPS is 'ture'"):
        environment.read_boolean("HTTPS")


@pytest.mark.parametrize(("text", "value"), [("", False), ("True", True), ("1", True), ("off", False)])
def test_a_flag_is_read(monkeypatch, text, value):
    monkeypatch.setenv("HTTPS", text)
    assert environment.read_boolean("HTTPS") is value


def test_unknown_weights_are_refused(monkeypatch):
    monkeypatch.setenv("EMBEDDER_WEIGHTS", "foo")
    with pytest.raises(ImproperlyConfigured, match="starter, imagenet or untrained"):
        environment.read_choice("EMBEDDER_WEIGHTS", "starter", "imagenet", "untrained")


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "mongodb://host/name",
        "mysql://host/name",
        "postgres://host:port/name",
        "postgres://me:a#b@host/name",
        "sqlite:////srv/a#b/db.sqlite3",
        "sqlite:////srv/a?b/db.sqlite3",
    ],
)
def test_a_database_that_is_none_of_ours_is_refused_without_repeating_its_password(url):
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL must look like") as refused:
        environment.parse_database_url(url)
    assert url not in str(refused.value)


def test_databases_are_read():
    assert environment.parse_database_url("postgres://me:pw@db:5433/shop")["PORT"] == 5433
    assert environment.parse_database_url("postgres://me@/shop?host=/run/pg")["OPTIONS"] == {"host": "/run/pg"}
    assert environment.parse_database_url("sqlite:////srv/a.sqlite3")["NAME"] == "/srv/a.sqlite3"
    odd = "/srv/a#b +c? 100%25/Sité.sqlite3"
    assert environment.parse_database_url(f"sqlite:///{quote(odd)}")["NAME"] == odd
    assert environment.parse_database_url("sqlite:////srv/a+b.sqlite3")["NAME"] == "/srv/a+b.sqlite3"


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "redis://host/x",
        "redis://host/1_0",
        "redis://host/-1",
        "unix:///x.sock?db=\u0661",
        "redis://host:port/0",
        "http://host/0",
        "unix:///srv/a#b/x.sock",
        "unix:///x.sock?db=x",
    ],
)
def test_a_broker_that_is_none_of_ours_is_refused(url):
    with pytest.raises(ImproperlyConfigured, match="REDIS_URL must look like"):
        environment.derive_cache_url(url)


@pytest.mark.parametrize(
    ("url", "cache", "celery"),
    [
        ("redis://host:6379", "redis://host:6379/1", "redis://host:6379"),
        ("rediss://:pw@host/3", "rediss://:pw@host/4", "rediss://:pw@host/3"),
        ("unix:///run/v.sock", "unix:///run/v.sock?db=1", "redis+socket:///run/v.sock?virtual_host=0"),
        ("unix://:pw@/v.sock?db=4", "unix://:pw@/v.sock?db=5", "redis+socket://:pw@/v.sock?virtual_host=4"),
    ],
)
def test_the_cache_lies_beside_the_broker(url, cache, celery):
    assert environment.derive_cache_url(url) == cache
    assert environment.derive_celery_url(url) == celery


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"EMBED_BATCH": "x"}, "Cannot start: EMBED_BATCH is 'x'; it must be a number."),
        ({"DATABASE_URL": "postgres://me@127.0.0.1:1/shop"}, "The database does not answer: connection failed"),
    ],
)
def test_manage_says_in_a_sentence_why_it_cannot_start(changed, sentence):
    done = subprocess.run(
        [sys.executable, "manage.py", "models", "list"],
        cwd=ROOT,
        env=os.environ | changed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert "Traceback" not in done.stderr
