"""Django's admin imports a module or package of this name from each app; importing this one registers the pages."""

from . import registrations  # noqa: F401
