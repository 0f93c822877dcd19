"""Importing it registers the pages: Django's admin looks for a module or package of this name in each app."""

from . import log_ins, registrations  # noqa: F401
