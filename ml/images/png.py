"""The chunks of a PNG that its picture needs. Optional ones that are broken, huge or misplaced never decide over it.

Pillow reads every chunk and gives the picture up for one bad text. So it gets a file of those that say pixels, while
the orientation, the profile and colours in numbers are read here, where their checksum is right. Whatever follows the
pixels is passed over, as in browsers, but for the orientation, which the standard lets stand there. Of an animation the
picture is taken that programs without animation show.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import IO, NamedTuple, cast

from PIL import Image, ImageChops, ImageFile

from .colour import MAX_PROFILE_BYTES, Coding, code_colours, code_power
from .ends import MAX_PARTS

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_OPTIONAL_BYTES = 8 * 1024 * 1024
DAMAGED_BYTES = 64 * 1024  # of a file without pixels, in which Pillow finds what is wrong
# What a pixel of 16 bits a channel counts as, in colour and in grey: twice what it takes, because of the time.
DEEP_BYTES = 8, 4
# As libpng has it: what differs less from sRGB's gamma is a rounded way to say sRGB.
_GAMMA_OF_SRGB, _GAMMA_TOLERANCE = 0.45455, 0.05

_OPTIONAL = (b"tRNS", b"eXIf", b"iCCP", b"cICP", b"sRGB", b"gAMA", b"cHRM")
_COLOUR, _PALETTE = 2, 3


class Chunk(NamedTuple):
    """A chunk's kind, where its body starts in the file, and how long that is."""

    kind: bytes
    start: int
    size: int


class Spliced(io.RawIOBase):
    """Some bytes, and behind them those of another file from `start` to `end`, of which no copy is made."""

    def __init__(self, head: bytes, file: IO[bytes], start: int, end: int) -> None:
        self._head, self._file, self._shift = head, file, start - len(head)
        self._at, self._size = 0, len(head) + end - start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def read(self, size: int = -1) -> bytes:
        """The next bytes; at the seam fewer than asked for, as of any raw file."""
        size = max(0, min(size if size >= 0 else self._size, self._size - self._at))
        if self._at < len(self._head):
            found = self._head[self._at : self._at + size]
        else:
            found = _read_span(self._file, self._at + self._shift, size)
        self._at += len(found)
        return found


@dataclass
class Png:
    """What is left of a file: a PNG of pixels alone, and what its optional chunks say about orientation and colours."""

    head: bytes
    file: IO[bytes]
    start: int  # of what follows the head
    end: int
    exif: bytes | None = None
    profile: bytes | None = None
    coding: Coding | None = None
    is_deep: bool = False  # 16 bits a channel
    key: tuple[int, ...] = ()  # the transparent colour of 16 bits a channel, which Pillow would compare with 8

    def open(self) -> ImageFile.ImageFile:
        """The picture by Pillow, with all that is known about it in its `info`."""
        image = self._open()
        if self.exif:
            image.info["exif"] = b"Exif\0\0" + self.exif
        if self.profile:
            image.info["icc_profile"] = self.profile
        if self.coding:
            image.info["coding"] = self.coding
        if self.is_deep:
            image.info["row_bytes"] = DEEP_BYTES[image.mode.startswith("I")]
        if self.key:
            image.info["read_mask"], image.info["row_bytes"] = self.read_mask, 16  # it is read twice more
        return image

    def read_mask(self) -> Image.Image:
        """Where a picture of 16 bits a channel is not of the transparent colour: 255, and 0 where it is."""
        differences = [
            channel.point([255 * (level != value >> shift & 255) for level in range(256)])
            # Pillow keeps one byte of two: the greater, or the lesser where it is told that that comes first.
            for shift, order in ((8, "RGB;16B"), (0, "RGB;16L"))
            for channel, value in zip(self._load(order).split(), self.key, strict=True)
        ]
        return reduce(ImageChops.lighter, differences)

    def _open(self) -> ImageFile.ImageFile:
        return Image.open(cast("IO[bytes]", Spliced(self.head, self.file, self.start, self.end)), formats=["PNG"])

    def _load(self, order: str) -> Image.Image:
        image = self._open()
        image.tile = [tile._replace(args=order) for tile in image.tile]
        image.load()
        return image


def read_png(file: IO[bytes], *, header_only: bool) -> Png:
    """Take a PNG apart; a `header_only` one ends with the beginning of its pixels.

    What cannot be followed is left as it is, so that Pillow finds the damage.
    """
    needed: dict[bytes, bytes] = {}
    optional: dict[bytes, bytes] = {}
    for chunk in _walk_chunks(file):
        if chunk.kind == b"IDAT":
            break
        if chunk.kind in (b"IHDR", b"PLTE"):
            needed.setdefault(chunk.kind, _read_span(file, chunk.start - 8, chunk.size + 12))
        elif chunk.kind in _OPTIONAL and (chunk.kind != b"tRNS" or not _lacks_palette(needed)):
            body = _read_checked_body(file, chunk)
            if body is not None:
                optional.setdefault(chunk.kind, body)
    else:
        return Png(b"", file, 0, DAMAGED_BYTES)
    start, end = chunk.start - 8, _find_pixels_end(file, chunk.start - 8)
    if b"eXIf" not in optional and (late := _read_late_exif(file, end)):
        optional[b"eXIf"] = late
    return _assemble(needed, optional, file, start, start + 8 if header_only else end)


def _walk_chunks(file: IO[bytes], position: int = 8) -> Iterator[Chunk]:
    """The chunks from `position` on, up to one that is cut off or no chunk; nobody reads their bodies on the way."""
    for _ in range(MAX_PARTS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8 or not head[4:].isalpha():
            return
        yield Chunk(head[4:], position + 8, int.from_bytes(head[:4]))
        position += 12 + int.from_bytes(head[:4])


def _lacks_palette(needed: dict[bytes, bytes]) -> bool:
    return _read_depth_and_type(needed)[1] == _PALETTE and b"PLTE" not in needed


def _read_depth_and_type(needed: dict[bytes, bytes]) -> tuple[int, int]:
    depth, kind = needed.get(b"IHDR", b"").ljust(18, b"\0")[16:18]
    return depth, kind


def _read_span(file: IO[bytes], start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)


def _read_checked_body(file: IO[bytes], chunk: Chunk) -> bytes | None:
    """The body of an optional chunk whose checksum is right."""
    if chunk.size > MAX_OPTIONAL_BYTES:
        return None
    body, checksum = _read_span(file, chunk.start, chunk.size), file.read(4)
    return body if zlib.crc32(chunk.kind + body).to_bytes(4) == checksum else None


def _find_pixels_end(file: IO[bytes], start: int) -> int:
    """The end of the chunks of pixels, which follow each other. Nobody needs the mark of the file's end."""
    end = start
    for chunk in _walk_chunks(file, start):
        if chunk.kind != b"IDAT":
            break
        end = chunk.start + chunk.size + 4
    return end


def _read_late_exif(file: IO[bytes], position: int) -> bytes | None:
    """EXIF that follows the pixels. Pages take the size from the header, so both have to be turned by it."""
    for chunk in _walk_chunks(file, position):
        if chunk.kind == b"eXIf":
            return _read_checked_body(file, chunk)
        if chunk.kind == b"IEND":
            break
    return None


def _assemble(needed: dict[bytes, bytes], optional: dict[bytes, bytes], file: IO[bytes], start: int, end: int) -> Png:
    depth, kind = _read_depth_and_type(needed)
    levels, transparency = _read_transparency(optional.get(b"tRNS", b""), depth, kind), b""
    key = levels if depth == 16 and kind == _COLOUR else ()
    if levels and not key:
        body = bytes(levels) if kind == _PALETTE else struct.pack(f">{len(levels)}H", *levels)
        transparency = len(body).to_bytes(4) + b"tRNS" + body + zlib.crc32(b"tRNS" + body).to_bytes(4)
    profile, coding = _read_colours(optional)
    head = b"".join([SIGNATURE, *needed.values(), transparency])
    return Png(head, file, start, end, optional.get(b"eXIf"), profile, coding, depth == 16, key)


def _read_transparency(body: bytes, depth: int, kind: int) -> tuple[int, ...]:
    """The levels that are transparent, on the scale of Pillow's pixels; nothing where they do not fit the picture."""
    if kind == _PALETTE:
        return tuple(body)
    if len(body) != {0: 2, _COLOUR: 6}.get(kind):
        return ()
    most = (1 << depth) - 1
    # Grey of 2 and 4 bits is spread over 256 levels.
    scale = 255 // most if depth in (2, 4) else 1
    return tuple((level & most) * scale for level in struct.unpack(f">{len(body) // 2}H", body))


def _read_colours(optional: dict[bytes, bytes]) -> tuple[bytes | None, Coding | None]:
    """The profile, or colours in numbers: of all that say something, the first of cICP, iCCP, sRGB, gAMA counts."""
    match list(optional.get(b"cICP", b"")):
        case [primaries, transfer, 0, 1]:
            return None, code_colours(primaries, transfer)
    profile = _read_profile(optional.get(b"iCCP", b""))
    if profile or b"sRGB" in optional or len(optional.get(b"gAMA", b"")) != 4:
        return profile, None
    return None, _code_gamma(int.from_bytes(optional[b"gAMA"]) / 100_000, optional.get(b"cHRM", b""))


def _read_profile(body: bytes) -> bytes | None:
    _name, _, compressed = body.partition(b"\0")
    try:
        profile = zlib.decompressobj().decompress(compressed[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if profile[36:40] == b"acsp" else None


def _code_gamma(gamma: float, chromaticities: bytes) -> Coding | None:
    if not gamma:
        return None
    if len(chromaticities) == 32:
        white_x, white_y, *colours = (number / 100_000 for number in struct.unpack(">8I", chromaticities))
        return code_power(1 / gamma, (*colours, white_x, white_y))
    return code_power(1 / gamma) if abs(gamma / _GAMMA_OF_SRGB - 1) >= _GAMMA_TOLERANCE else None
