"""Whole addresses for an answer. A list has sixty, and what is the same in all of them is asked for once."""

from __future__ import annotations

from django.core.files.storage import FileSystemStorage
from django.db.models.fields.files import FieldFile
from django.http import HttpRequest
from django.utils.encoding import filepath_to_uri
from rest_framework.request import Request


class Links:
    def __init__(self, request: Request | HttpRequest) -> None:
        self._request = request
        self._site = request.build_absolute_uri("/").removesuffix("/")

    def absolute(self, url: str) -> str:
        """`url` is quoted, and begins with a slash or is whole already."""
        is_path = url.startswith("/") and not url.startswith("//")
        return self._site + url if is_path else self._request.build_absolute_uri(url)

    def file_url(self, file: FieldFile) -> str | None:
        if not file:
            return None
        storage, path = file.storage, filepath_to_uri(file.name)
        if isinstance(storage, FileSystemStorage) and storage.__class__.url is FileSystemStorage.url and path:
            return self.absolute(f"{storage.base_url}{path.lstrip('/')}")  # as its `url`, in half the time
        return self.absolute(file.url)
