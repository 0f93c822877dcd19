"""Rules between settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.core.checks import run_checks

from marketplace.checks import broken_rules
from ml.images.decoder_process import CLOCK_SECONDS

ROOT = Path(__file__).resolve().parents[2]


def values(**changed: float) -> SimpleNamespace:
    visibility = changed.pop("visibility_timeout", 900)
    return SimpleNamespace(
        **{
            "EMBED_SLICE_SECONDS": 20,
            "EMBED_LEASE_SECONDS": 60,
            "WORKER_STOP_GRACE_SECONDS": 30,
            "CELERY_TASK_TIME_LIMIT": 300,
            "CELERY_TASK_SOFT_TIME_LIMIT": 240,
            "REDIS_TIMEOUT": 0.3,
            "CELERY_BROKER_TRANSPORT_OPTIONS": {"visibility_timeout": visibility},
            **changed,
        }
    )


def test_the_settings_as_shipped_break_no_rule():
    assert list(broken_rules(settings)) == []
    assert [error for error in run_checks() if error.id.startswith("marketplace")] == []
    # A lease has three quarters of its time left when a worker turns to a photo, which is opened and then decoded.
    assert 2 * CLOCK_SECONDS < settings.EMBED_LEASE_SECONDS * 3 / 4


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"EMBED_SLICE_SECONDS": 30}, ["EMBED_SLICE_SECONDS", "WORKER_STOP_GRACE_SECONDS"]),
        ({"EMBED_LEASE_SECONDS": 20}, ["EMBED_SLICE_SECONDS", "EMBED_LEASE_SECONDS"]),
        ({"visibility_timeout": 300}, ["CELERY_TASK_TIME_LIMIT", "visibility_timeout"]),
        ({"CELERY_TASK_SOFT_TIME_LIMIT": 300}, ["CELERY_TASK_SOFT_TIME_LIMIT", "CELERY_TASK_TIME_LIMIT"]),
        ({"REDIS_TIMEOUT": 0.6}, ["REDIS_TIMEOUT"]),
    ],
)
def test_each_broken_rule_is_one_sentence_naming_both_settings(changed, names):
    (sentence,) = broken_rules(values(**changed))
    assert all(name in sentence for name in names)


def test_manage_check_refuses_settings_that_break_a_rule():
    done = run([sys.executable, "manage.py", "check"], EMBED_SLICE_SECONDS="45")
    assert done.returncode == 1
    assert "WORKER_STOP_GRACE_SECONDS" in done.stderr


def test_a_worker_refuses_to_start_with_settings_that_break_a_rule():
    command = [sys.executable, "-m", "celery", "-A", "marketplace", "worker", "--pool=solo", "--queues=embedding"]
    done = run(command, EMBED_LEASE_SECONDS="10")
    assert done.returncode != 0
    assert "EMBED_LEASE_SECONDS" in done.stderr + done.stdout


def run(command: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, timeout=30, check=False
    )


BEHIND_TLS = """
import django
django.setup()
from django.core.management import call_command
from django.test import Client
call_command("check", deploy=True, fail_level="WARNING")
away = Client().get("/sell/?a=1", HTTP_HOST="localhost")
assert (away.status_code, away["Location"]) == (301, "https://localhost/sell/?a=1"), away
inside = Client().get("/health/live", HTTP_HOST="localhost", HTTP_X_FORWARDED_PROTO="https")
assert inside["Strict-Transport-Security"] == "max-age=3600", inside.headers
probe = Client().get("/health/live", HTTP_HOST="localhost")
assert (probe.status_code, "Strict-Transport-Security" in probe) == (200, False)
"""


def test_with_https_nothing_is_left_to_warn_of_and_everybody_is_led_there():
    environ = {**os.environ, "HTTPS": "true", "SECRET_KEY": "k9x4-" * 11, "DEBUG": ""}
    environ["DJANGO_SETTINGS_MODULE"] = "marketplace.settings"
    done = subprocess.run(
        [sys.executable, "-c", BEHIND_TLS], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout
