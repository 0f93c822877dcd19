"""Write the table of permissions into SECURITY.md: `.venv/bin/python -m tests.listings.permissions`."""

import os

os.environ.setdefault("SECRET_KEY", "unused")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")

import django

django.setup()

from .document import DOCUMENT, write_table  # noqa: E402

DOCUMENT.write_text(write_table(DOCUMENT.read_text()))
