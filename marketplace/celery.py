"""The Celery application. Task modules are found by name; importing them loads no torch, FAISS or OpenVINO."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")

app = Celery("marketplace")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.imports = ("workers.embedding", "workers.indexing", "workers.maintenance")
