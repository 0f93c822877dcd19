"""Where a picture ends in its file, by the structure of its format. What is behind may be anything.

Every function gives a position up to which the file's structure explains its bytes: behind the mark of the end, or,
where that is missing, behind the last part that is whole. Layouts: ITU-T T.81 annex B (JPEG), the PNG, GIF89a and RIFF
specifications, ISO/IEC 14496-12 (HEIC and AVIF).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

# A hostile file may consist of parts of a few bytes; files of cameras and editors have some thousands of parts.
MAX_PARTS = 200_000
MAX_PICTURES = 100

RIFF_HEAD = 12
START_OF_SCAN, END_OF_IMAGE, RESTART_INTERVAL = 0xDA, 0xD9, 0xDD
# In coded pixels 0xFF is followed by 0 or a restart mark (D0 to D7); 0xFF again is padding, and 01 has no length.
_JPEG_SIGNATURE, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_JPEG_START = re.compile(rb"\0*\xff\xd8\xff")
_ZIP_DIRECTORY = b"PK\x01\x02"
_LARGEST_DIRECTORY = 1 << 24  # bytes; four random bytes of a photo, read as a size, are hardly ever less
_FIRST_RESTART = 0xD0
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_NONSENSE = (bytes(64), bytes(range(1, 255)) * 2)
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")


def find_end(data: bytes, name: str) -> int:
    """The end of the picture, or of the pictures that follow each other, in a file whose format Pillow calls `name`."""
    return _FINDERS[name](data)


def is_archive_end(end: bytes, position: int) -> bool:
    """Whether a ZIP's end record at `position` has its directory before it: four bytes alone occur by chance."""
    size = int.from_bytes(end[position + 12 : position + 16], "little")
    if size > position:
        return size < _LARGEST_DIRECTORY
    return size == 0 or end.startswith(_ZIP_DIRECTORY, position - size)


class LastScan(NamedTuple):
    """The last scan of a JPEG: the file up to its end, two kinds of nonsense to put there, whether it is the first scan
    too, and whether the file has the mark of its end."""

    coded: bytes
    nonsense: tuple[bytes, bytes]
    is_first: bool
    is_ended: bool


def find_last_scan(data: bytes) -> LastScan | None:
    """The scan with which a JPEG ends; None for what is none, or stops before it. Rows that look alike with either
    nonsense behind them were in the file."""
    segments = list(islice(walk_segments(data, 0), MAX_PARTS)) if data.startswith(_JPEG_SIGNATURE) else []
    end, is_ended = len(data), bool(segments) and segments[-1].marker == END_OF_IMAGE
    if is_ended:
        end = segments.pop().start - len(_JPEG_END)
    if not segments or segments[-1].marker != START_OF_SCAN or _JPEG_MARKER.search(data, segments[-1].end, end):
        return None
    # Only a file without an end may have been filled up by a disk: what else ends with zeros has coded them.
    scan = data[:end].rstrip(b"\xff") if is_ended else _strip_padding(data)
    restarts = _RESTART.findall(scan, segments[-1].end)
    # Behind the last row before a restart decoders pass over everything up to the mark that is due.
    due = b"\xff" + bytes([_FIRST_RESTART + (restarts[-1][1] + 1 if restarts else 0) % 8])
    has_restarts = any(segment.marker == RESTART_INTERVAL for segment in segments)
    first, second = (one + (due + one) * has_restarts + _JPEG_END for one in _NONSENSE)
    scans = sum(segment.marker == START_OF_SCAN for segment in segments)
    return LastScan(scan, (first, second), scans == 1, is_ended)


def _strip_padding(data: bytes) -> bytes:
    """Coded pixels without what follows them: zeros, which a disk leaves where a copy stopped, or half a mark."""
    coded = data.rstrip(b"\0")
    if coded == data:
        return data.rstrip(b"\xff")
    return coded + b"\0" * coded.endswith(b"\xff")


def is_first_scan_whole(start: bytes, channels: int) -> bool:
    """Whether the first scan of the JPEG that begins so codes all its channels: then nothing waits for another scan."""
    first = next((segment for segment in walk_segments(start, 0) if segment.marker == START_OF_SCAN), None)
    return first is not None and start[first.start : first.start + 3] == bytes([0, 6 + 2 * channels, channels])


class Segment(NamedTuple):
    """A marker of a JPEG, and where what it marks begins, with its length, and ends."""

    marker: int
    start: int
    end: int


def walk_segments(data: bytes, start: int) -> Iterator[Segment]:
    """The segments of the JPEG at `start`, to the end of the picture."""
    position = start + 2
    while match := _JPEG_MARKER.search(data, position):
        marker, start = data[match.end() - 1], match.end()
        position = start
        if marker != END_OF_IMAGE:
            position += max(2, int.from_bytes(data[position : position + 2]))
        if position > len(data):
            return
        yield Segment(marker, start, position)
        if marker == END_OF_IMAGE:
            return


def _find_jpeg_end(data: bytes) -> int:
    """Behind the last of the JPEG pictures that follow each other, as phones append a map of brightness."""
    end, parts = 0, iter(range(MAX_PARTS))  # of all pictures together
    for _ in range(MAX_PICTURES):
        if not (match := _JPEG_START.match(data, end)):
            break
        segments = deque(zip(walk_segments(data, match.end() - 3), parts, strict=False), maxlen=1)
        if not segments:
            break
        last, _part = segments.pop()
        end = last.end
        if last.marker != END_OF_IMAGE:
            break
    return end


def _find_png_end(data: bytes) -> int:
    position = 8
    for _ in range(MAX_PARTS):
        end, kind = position + 12 + int.from_bytes(data[position : position + 4]), data[position + 4 : position + 8]
        if end > len(data) or not kind.isalpha():
            break
        position = end
        if kind == b"IEND":
            break
    return position


def _find_gif_end(data: bytes) -> int:
    position = 13 + _colour_table_size(data[10:11])
    for _ in range(MAX_PARTS):
        match data[position : position + 1]:
            case b"!":
                start = position + 2
            case b",":
                start = position + 11 + _colour_table_size(data[position + 9 : position + 10])
            case b";":
                return position + 1
            case _:
                break
        end = _find_sub_blocks_end(data, start)
        if end is None:
            break
        position = end
    return position


def _colour_table_size(flags: bytes) -> int:
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _find_sub_blocks_end(data: bytes, position: int) -> int | None:
    for _ in range(MAX_PARTS):
        if position >= len(data):
            return None
        size = data[position]
        position += 1 + size
        if not size:
            return position
    return None


def _find_riff_end(data: bytes) -> int:
    size = int.from_bytes(data[4:8], "little")
    end = 8 + size + size % 2
    return end if end <= len(data) else RIFF_HEAD


def _find_boxes_end(data: bytes) -> int:
    position = 0
    for _ in range(MAX_PARTS):
        size, kind = int.from_bytes(data[position : position + 4]), data[position + 4 : position + 8]
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16])
        # A size of 0 says that the box takes all the rest, of which nobody can tell what was appended.
        if size < 8 or position + size > len(data) or not kind.isalnum():
            break
        position += size
    return position


_FINDERS = {
    "JPEG": _find_jpeg_end,
    "PNG": _find_png_end,
    "GIF": _find_gif_end,
    "WEBP": _find_riff_end,
    "AVIF": _find_boxes_end,
    "HEIF": _find_boxes_end,
}
