import os
from collections.abc import Callable, Iterable
from tempfile import SpooledTemporaryFile
from typing import IO, Any, TypeAlias

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")

CHUNK_BYTES = 64 * 1024

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


def read_chunked_body(app: WSGI) -> WSGI:
    """Give a body that comes in chunks the length Django asks for: without one it would take the body for empty.

    A server that does not mark where such a body ends leaves it unread, and `refuse_unreadable_body` answers 411.
    """

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ.get("HTTP_TRANSFER_ENCODING") or not environ.get("wsgi.input_terminated"):
            return app(environ, start_response)
        with SpooledTemporaryFile(settings.FILE_UPLOAD_MAX_MEMORY_SIZE, dir=settings.FILE_UPLOAD_TEMP_DIR) as body:
            environ["CONTENT_LENGTH"] = str(copy_body(environ["wsgi.input"], body, longest_body(environ) + 1))
            environ["wsgi.input"] = body
            return app(environ, start_response)

    return wrapped


def longest_body(environ: dict[str, Any]) -> int:
    """Nobody has been asked yet who is there, so only a form with photos may fill more of the disk."""
    is_form = environ.get("CONTENT_TYPE", "").lower().startswith("multipart/")
    return settings.BODY_MAX_BYTES if is_form else settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def copy_body(source: IO[bytes], target: IO[bytes], most: int) -> int:
    """Copy no more than `most` bytes: one above the limit says that a body is too large, and the rest stays unread."""
    while target.tell() < most and (chunk := source.read(min(CHUNK_BYTES, most - target.tell()))):
        target.write(chunk)
    size = target.tell()
    target.seek(0)
    return size


application = drop_declared_charset(read_chunked_body(get_wsgi_application()))
