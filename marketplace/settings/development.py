"""The settings of `make dev`: those of the site, with DEBUG, the debug toolbar, and templates read anew for each page.

Its packages come with requirements-dev.txt. DEBUG shows code, settings and queries to whoever reaches the site, so
these settings refuse an address that others could reach.
"""

import os
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from . import *  # noqa: F403 - so that a new setting of the site is here as well
from . import INSTALLED_APPS, MIDDLEWARE, TEMPLATES, VAR_DIR

if bind := os.environ.get("BIND"):
    raise ImproperlyConfigured(
        f"BIND is '{bind}'; with DEBUG the site listens on 127.0.0.1 alone, so leave it empty and choose a PORT."
    )

DEBUG = True
# The debug toolbar shows settings and queries, so only browsers on this machine get it.
INTERNAL_IPS = ["127.0.0.1"]

INSTALLED_APPS = [*INSTALLED_APPS, "debug_toolbar"]
# After what serves static files, which nobody measures, and before the rest, because the toolbar measures only what
# comes after it.
_after = MIDDLEWARE.index("whitenoise.middleware.WhiteNoiseMiddleware") + 1
MIDDLEWARE = [*MIDDLEWARE[:_after], "debug_toolbar.middleware.DebugToolbarMiddleware", *MIDDLEWARE[_after:]]
# Last, because this middleware and that of the site's policy both use setdefault: the one further inside sets its
# header first and wins.
MIDDLEWARE += ["marketplace.middleware.allow_inline_error_pages"]
ROOT_URLCONF = "marketplace.settings.development_urls"
DEBUG_TOOLBAR_CONFIG = {"SHOW_COLLAPSED": True}

# Django caches templates with DEBUG too, and only `manage.py runserver` empties that cache when one is saved.
_engine: dict[str, Any] = {**TEMPLATES[0], "APP_DIRS": False}
_engine["OPTIONS"] = {**_engine["OPTIONS"], "loaders": ["django.template.loaders.app_directories.Loader"]}
TEMPLATES = [_engine]

# A folder of its own, so that the toolbar's files stay out of those that `make run` serves.
STATIC_ROOT = VAR_DIR / "development-static"
