"""A request while it comes in: what is no request, or too large a one, is known before its body is read."""

from __future__ import annotations

import logging

from waitress.parser import HTTPRequestParser, ParsingError

from listings.photos.no_room import FULL, READ_ONLY
from marketplace.paths import find_temporary_directory

from .refusals import TAKES_NO_CHANGES, Refusal, longest_body

logger = logging.getLogger(__name__)

LONGEST_LINE = 4094
# What stands between the chunks of a body or behind the last one is read again with every packet until it ends, and
# each chunk costs a copy of what has come: so much of it, a share of the data more, and no longer a line, is honest.
LONGEST_CHUNK_LINE = 8 * 1024
MOST_FRAMING = 64 * 1024
# Six bytes frame a chunk, so those of 200 bytes and more are taken however many come.
DATA_A_FRAMING_BYTE = 32


class LimitedParser(HTTPRequestParser):
    _is_checked = False

    def received(self, data: bytes) -> int:
        """The number of bytes that belong to this request."""
        try:
            consumed = super().received(data)
        # A body above `inbuf_overflow` is written to disk.
        except OSError as exc:
            logger.error("a body cannot be written to %s: %s", find_temporary_directory(), exc)
            consumed, self.error = len(data), refuse_to_store(exc)
        if self.error is None and self.headers_finished and not self.empty:
            self.error = self._find_fault()
        if self.error is not None:
            self.completed = True
        if self.completed:
            # Else the channel would invite a body that is not wanted, or has come already.
            self.expect_continue = False
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        if header_plus.find(b"\r\n") > LONGEST_LINE:
            self.error = Refusal(414)
        try:
            super().parse_header(header_plus)
        # Python reads no number of thousands of digits.
        except ValueError as exc:
            raise ParsingError("Content-Length is no number that can be read") from exc
        self._refuse_two_lengths(header_plus)
        self._read_connection_options()

    def _refuse_two_lengths(self, header_plus: bytes) -> None:
        """Two servers in a row that read the length of a body differently can be made to see different requests."""
        if b"\ntransfer-encoding" in header_plus.lower() and ("CONTENT_LENGTH" in self.headers or not self.chunked):
            raise ParsingError("Transfer-Encoding beside Content-Length, or in HTTP/1.0")

    def _read_connection_options(self) -> None:
        """waitress knows the header of one word only: of several the one that ends the connection counts."""
        options = [option.strip().lower() for option in self.headers.get("CONNECTION", "").split(",")]
        if "close" in options:
            self.headers["CONNECTION"] = "close"
        elif "keep-alive" in options:
            self.headers["CONNECTION"] = "keep-alive"

    def _find_fault(self) -> Refusal | None:
        if not self._is_checked:
            self._is_checked = True
            self._longest = longest_body(self.headers.get("CONTENT_TYPE", ""))
        if max(self.content_length, self.body_bytes_received) > self._longest:
            return Refusal(413)
        return Refusal(400) if self.chunked and self._is_mostly_framing() else None

    def _is_mostly_framing(self) -> bool:
        chunks = self.body_rcv
        line, data = max(len(chunks.control_line), len(chunks.trailer)), len(chunks)
        return line > LONGEST_CHUNK_LINE or self.body_bytes_received - data > MOST_FRAMING + data // DATA_A_FRAMING_BYTE


def refuse_to_store(exc: OSError) -> Refusal:
    if exc.errno in FULL:
        return Refusal(507)
    return Refusal(503, TAKES_NO_CHANGES) if exc.errno in READ_ONLY else Refusal(500)
