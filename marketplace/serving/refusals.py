"""What is refused before the site is asked, and the answers to it, in the shape of all other refusals."""

from __future__ import annotations

import logging

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask
from waitress.utilities import Error

from marketplace.errors import TOO_LARGE, refuse_request
from marketplace.middleware import answer_with_request_id

logger = logging.getLogger(__name__)

# What is said for another reason than its status usually has.
TAKES_NO_CHANGES = "takes no changes"
SENTENCES: dict[int | str, tuple[str, str]] = {
    400: ("malformed", "This request is malformed."),
    408: ("request_timeout", "The request came too slowly. Send it again, over a better connection if you can."),
    413: (TOO_LARGE["code"], TOO_LARGE["detail"]),
    414: ("address_too_long", "The address is too long."),
    431: ("headers_too_large", "The headers are too large. Delete this site's cookies, and try again."),
    501: ("unsupported_encoding", "Send the body as it is or in chunks; no other Transfer-Encoding is read here."),
    503: ("too_many_uploads", "Too much is being uploaded at once. Try again in a moment."),
    507: ("storage_full", "There is no room to take what you send: the disk for uploads is full. Try again later."),
    TAKES_NO_CHANGES: ("storage_unavailable", "The disk for uploads takes no changes now. Try again later."),
}
FAILED = ("server_error", "Something went wrong here. It was logged.")
TRY_AGAIN = {503: "5", 507: "60"}


class Refusal(Error):
    def __init__(self, code: int, why: str | None = None) -> None:
        self.code, self.why = code, why or code
        super().__init__(SENTENCES.get(self.why, FAILED)[1])


def longest_body(content_type: str) -> int:
    """Nobody has been asked yet who is there, so only a form with photos may fill more of the disk."""
    is_form = content_type.lower().startswith("multipart/")
    return settings.BODY_MAX_BYTES if is_form else settings.DATA_UPLOAD_MAX_MEMORY_SIZE


class RefusalTask(ErrorTask):
    """Answer a request that is refused, and leave one line in the log that the answer's id leads to."""

    def execute(self) -> None:
        error = self.request.error
        response = make_response(self.request, error.code, getattr(error, "why", error.code))
        self.status = f"{response.status_code} {response.reason_phrase}"
        self.response_headers.extend((name, str(value)) for name, value in response.items())
        self.set_close_on_finish()
        self.content_length = len(response.content)
        self.channel.was_refused = True
        logger.info(
            "refused a request from %s: %s (request_id %s)",
            self.channel.addr[0], self.status, response["X-Request-ID"],
        )  # fmt: skip
        self.write(response.content)


def make_response(refused: HTTPRequestParser, status: int, why: int | str) -> HttpResponse:
    code, sentence = SENTENCES.get(why, FAILED)
    request = HttpRequest()
    request.path = read_path(refused)
    request.META = {"HTTP_X_REQUEST_ID": refused.headers.get("X_REQUEST_ID", "")}
    response = answer_with_request_id(lambda request: refuse_request(request, status, code, sentence))(request)
    response["Cache-Control"] = "no-store"
    if status in TRY_AGAIN:
        response["Retry-After"] = TRY_AGAIN[status]
    return response


def read_path(refused: HTTPRequestParser) -> str:
    """The address, as far as it came: a request that is refused may have none that can be read."""
    words = (getattr(refused, "first_line", b"") or refused.header_plus).split(b" ", 2)
    return words[1].decode("latin-1") if len(words) > 1 else ""
