"""The Celery application. Task modules are found by name; importing them loads no torch, FAISS or OpenVINO."""

import logging.config
import os

from celery import Celery
from celery.signals import setup_logging
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")

app = Celery("marketplace")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["worker"].add(DjangoStructLogInitStep)
app.conf.beat_scheduler = "workers.schedule:SteadyScheduler"
app.conf.imports = ("workers.embedding", "workers.indexing", "workers.maintenance", "workers.lifecycle")


@setup_logging.connect
def configure_worker_logging(**kwargs: object) -> None:
    """A worker's lines look like the web's; Celery would replace the handlers."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
