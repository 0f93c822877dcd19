"""Which encoding a table is in: what the file says, or what a person says, and never a guess.

A mark at its beginning (UTF-8, UTF-16, UTF-32) counts first, then the encoding that was told, then UTF-8. Every line is
looked at before the first is used. Where most lines beyond ASCII are no text in that encoding, the file is in another
one and is refused. Where few are, the file has damaged lines: their rows are left out, and told, one by one.
"""

from __future__ import annotations

import argparse
import codecs
import io
import re
from pathlib import Path
from typing import IO

from ml.errors import MlError

from .counts import describe_count, show_text

LINE_LIMIT = 1 << 20  # characters; a longer line is read in pieces, so that memory holds no more
HEAD_BYTES = 1 << 16  # enough to see a mark and how lines end
SEEN_BYTES = 12  # of what is no text, for the person who has to recognise it
# The mark of UTF-32 begins with that of UTF-16, so it is looked for first.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WIDE = ("utf-16", "utf-32")
ADVICE = (
    "Save the file as CSV in UTF-8, or say which encoding it has, such as --encoding windows-1252 or --encoding gbk."
)
# What bytes that are no text become with the error handler "surrogateescape"; no text holds these characters.
UNDECODED = re.compile("[\udc80-\udcff]+")


class CatalogueError(MlError):
    """A whole file of a catalogue cannot be used; the message names it and says what to do about it."""


def parse_encoding(name: str) -> str:
    """The name of an encoding, for a command line."""
    try:
        return io.TextIOWrapper(io.BytesIO(), name).encoding
    except (LookupError, ValueError):
        raise argparse.ArgumentTypeError(
            f"{name!r} is no encoding that Python knows; some are utf-8, windows-1252, windows-1251, gbk, shift_jis"
        ) from None


def open_text(file: IO[bytes], path: Path, told: str | None) -> io.TextIOWrapper:
    """The file as text, with bytes that are no text as `UNDECODED` characters.

    Raises:
        CatalogueError: the file is in another encoding.
    """
    head = file.read(HEAD_BYTES)
    file.seek(0)
    marked = next((encoding for mark, encoding in MARKS if head.startswith(mark)), None)
    # The names of columns are ASCII, so a file of two or four bytes a character has zeros from the beginning.
    if told and told.startswith(WIDE) and b"\0" not in head[:4]:
        told = None
    if not (marked or told) and b"\0" in head[:2]:
        name = "utf-16-be" if head.startswith(b"\0") else "utf-16-le"
        raise CatalogueError(
            f"{path} looks like UTF-16 text without its mark; save it as CSV in UTF-8, or say --encoding {name}."
        )
    # Carriage returns alone end the lines of old spreadsheets; beside line feeds they are part of a line.
    newline = "\r" if b"\r" in head and b"\n" not in head else "\n"
    text = io.TextIOWrapper(file, marked or told or "utf-8", errors="surrogateescape", newline=newline)
    _refuse_another_encoding(text, path)
    text.seek(0)
    return text


def name_encoding(text: io.TextIOWrapper) -> str:
    """Its name as people write it."""
    return text.encoding.upper()


def describe_undecoded(line: str, encoding: str) -> str:
    """The first bytes of the line that are no text, with what stands before them."""
    found = UNDECODED.search(line)
    start = found.start() if found else 0
    seen = line[start : start + SEEN_BYTES].encode(encoding, "surrogateescape").decode("ascii", "backslashreplace")
    return show_text(f"{line[max(0, start - SEEN_BYTES) : start]}{seen}").strip()


def _refuse_another_encoding(text: io.TextIOWrapper, path: Path) -> None:
    number, first, seen, bad, good = 1, 0, "", 0, 0
    try:
        while line := text.readline(LINE_LIMIT):
            if line.isascii():
                pass
            elif not UNDECODED.search(line):
                good += 1
            else:
                bad += 1
                if bad == 1:
                    first, seen = number, describe_undecoded(line, text.encoding)
            number += line.endswith(("\n", "\r"))
    except UnicodeError as exc:
        reason = exc.reason if isinstance(exc, UnicodeDecodeError) else exc
        raise CatalogueError(f"{path}, line {number}, is not {name_encoding(text)} text: {reason}. {ADVICE}") from exc
    if bad > good:
        others = f", like {describe_count(bad - 1, 'other line')}" if bad > 1 else ""
        raise CatalogueError(
            f"{path}, line {first}, is not {name_encoding(text)} text{others}: it holds {seen}. {ADVICE}"
        )
