"""Log lines: one JSON object each, with the request's id, and the account where it is known anyway."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from rest_framework.test import APIClient

from marketplace.observing import logs
from tests.factories import make_user

ROOT = Path(__file__).resolve().parents[3]


def lines(caplog) -> list[dict]:
    return [record.msg for record in caplog.records if isinstance(record.msg, dict)]


@pytest.mark.django_db
def test_a_request_is_one_line_with_its_id_and_its_account(caplog):
    person = make_user()
    client = APIClient()
    client.force_login(person)
    client.get("/api/v1/listings/")
    (line,) = [line for line in lines(caplog) if line["event"] == "request_finished"]
    assert (line["request"], line["code"], line["user_id"]) == ("GET /api/v1/listings/", 200, person.pk)
    assert len(line["request_id"]) == 36
    caplog.clear()
    client.get("/health/live")
    (line,) = [line for line in lines(caplog) if line["event"] == "request_finished"]
    assert "user_id" not in line


@pytest.mark.parametrize(("level", "shown"), [("INFO", True), ("ERROR", False)])
def test_standard_and_structured_loggers_write_the_same_json_to_stderr(level, shown):
    code = (
        "import django, logging, structlog; django.setup()\n"
        "structlog.contextvars.bind_contextvars(request_id='r1')\n"
        "structlog.get_logger('a').info('structured', listing=7)\n"
        "logging.getLogger('b').warning('plain %s', 'words')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "marketplace.settings", "LOG_FORMAT": "json", "LOG_LEVEL": level},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["event"], line["logger"], line["request_id"]) for line in said] == (
        [("structured", "a", "r1"), ("plain words", "b", "r1")] if shown else []
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, r"^\S+ \[warning *\] plain words +\[b\]$"),
        ({"LOG_FORMAT": "json", "LOG_LEVEL": "INFO"}, '^{.*"event": "quiet"'),
    ],
)
def test_a_command_speaks_to_whoever_typed_it_unless_told_otherwise(changed, said):
    code = "import logging; logging.getLogger('b').info('quiet'); logging.getLogger('b').warning('plain words')"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LOG_", "DJANGO_"))}
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", code],
        cwd=ROOT,
        env=kept | changed,
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(said, done.stderr, re.MULTILINE), done.stderr
    assert ("quiet" in done.stderr) == bool(changed)


@pytest.mark.parametrize(
    ("log_format", "level", "name"), [("xml", "INFO", "LOG_FORMAT"), ("json", "LOUD", "LOG_LEVEL")]
)
def test_a_setting_that_makes_no_sense_stops_the_start(log_format, level, name):
    with pytest.raises(ImproperlyConfigured, match=name):
        logs.configure_logging(log_format, level)


def test_a_worker_keeps_our_logging_and_logs_task_ids():
    from celery.signals import setup_logging
    from django_structlog.celery.steps import DjangoStructLogInitStep

    from marketplace.celery import app, configure_worker_logging

    assert DjangoStructLogInitStep in app.steps["worker"]
    assert configure_worker_logging in [receiver() for _, receiver in setup_logging.receivers]


def test_a_library_that_loads_well_says_nothing():
    code = (
        "import logging.config; from marketplace.observing import logs; "
        "logging.config.dictConfig(logs.configure_logging('json', 'INFO')); import faiss"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
