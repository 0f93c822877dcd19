import os
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")

WSGI: TypeAlias = Callable[[dict[str, object], Callable[..., Any]], Iterable[bytes]]


def drop_declared_charset(app: WSGI) -> WSGI:
    """Drop the charset a caller names: Django reads queries with it, before any middleware, and a codec such as hex
    is none of text. Forms and queries are UTF-8."""

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        parts = environ.get("CONTENT_TYPE", "").split(";")
        if len(parts) > 1:
            environ["CONTENT_TYPE"] = ";".join(part for part in parts if not is_charset_parameter(part))
        return app(environ, start_response)

    return wrapped


def is_charset_parameter(parameter: str) -> bool:
    return parameter.partition("=")[0].strip().lower() == "charset"


application = drop_declared_charset(get_wsgi_application())
