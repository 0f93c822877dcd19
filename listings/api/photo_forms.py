"""Requests that bring photos in a form."""

from __future__ import annotations

from typing import ClassVar

from django.http import HttpRequest
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.views import APIView

from listings.photos.uploads import PhotoUploadHandler, declared_length

from .parsers import BodyTooLarge


class PhotoFormView(APIView):
    """A view that takes a form of photos and keeps no more of each than the limit.

    A body that says it is longer than `most_bytes` is refused unread, before the sender is known: to authenticate a
    browser its form is read for the CSRF token, and to count a request against a limit costs a round trip.
    """

    parser_classes = (MultiPartParser,)
    most_bytes: ClassVar[int]
    too_large: ClassVar[str]

    def initialize_request(self, request: HttpRequest, *args: object, **kwargs: object) -> Request:
        # Before authentication: its CSRF check may read the form.
        request.upload_handlers = [PhotoUploadHandler(request)]
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        if declared_length(request) > self.most_bytes:
            raise BodyTooLarge(self.too_large)
        super().initial(request, *args, **kwargs)
