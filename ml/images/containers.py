"""What the container of an AVIF or HEIC says about colours and the part that is shown, where its decoder does not.

Layout: ISO/IEC 14496-12 (boxes) and 23008-12 (items and their properties). Whatever cannot be followed is passed over:
Pillow has opened the file by then.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from itertools import islice
from typing import IO, TYPE_CHECKING

from PIL import Image, ImageFile

from .colour import SRGB, Coding, code_colours
from .ends import MAX_PARTS

if TYPE_CHECKING:
    from pillow_heif import HeifFile

# Cameras' curve for television. In photos it stands where sRGB's was meant, and browsers show it so.
_BT709 = {1, 6, 14, 15}

Box = tuple[int, int, int, int]


def describe_heif(image: ImageFile.ImageFile, file: IO[bytes]) -> None:
    """Note in `info` how colours are coded, unless there is a profile, which counts more; and how to read rows, of
    which Pillow would make a copy of the whole picture."""
    image.info["read_rows"] = _HeifRows(file, image.size).read
    image.info["row_bytes"] = 5 if image.info.get("bit_depth", 8) == 8 else 7
    numbers = image.info.get("nclx_profile")
    if numbers and "icc_profile" not in image.info:
        _note_coding(image, numbers["color_primaries"], numbers["transfer_characteristics"])


class _HeifRows:
    """The rows of a HEIF, which is decoded when the first of them are read."""

    def __init__(self, file: IO[bytes], size: tuple[int, int]) -> None:
        self._file, self._size = file, size

    def read(self, top: int, bottom: int) -> Image.Image:
        heif, stride = self._decoded, self._decoded.stride
        rows = memoryview(heif.data)[top * stride : bottom * stride]
        return Image.frombytes(heif.mode, (self._size[0], bottom - top), rows, "raw", heif.mode, stride)

    @cached_property
    def _decoded(self) -> HeifFile:
        from pillow_heif import HeifFile

        self._file.seek(0)
        heif = HeifFile(  # type: ignore[no-untyped-call]
            self._file, convert_hdr_to_8bit=True, hdr_to_16bit=True, remove_stride=False
        )
        memoryview(heif.data)  # which decodes, and may find another size
        if heif.size != self._size:
            raise ValueError("The picture has another size than its header says.")
        return heif


def describe_avif(image: ImageFile.ImageFile, data: bytes) -> None:
    """Note in `info` how colours are coded, and the `crop` that is shown, both of which Pillow ignores."""
    for kind, body in _list_primary_properties(data):
        if kind == b"colr" and body[:4] == b"nclx" and len(body) >= 8 and "icc_profile" not in image.info:
            _note_coding(image, *struct.unpack(">HH", body[4:8]))
        elif kind == b"clap" and len(body) == 32 and (crop := _read_clean_aperture(body, image.size)):
            image.info["crop"] = crop


def _note_coding(image: ImageFile.ImageFile, primaries: int, transfer: int) -> None:
    coding: Coding | None = code_colours(primaries, SRGB if transfer in _BT709 else transfer)
    if coding:
        image.info["coding"] = coding


def _list_primary_properties(data: bytes) -> list[tuple[bytes, bytes]]:
    """The kinds and bodies of the properties of the picture that a container names its primary item."""
    try:
        meta = dict(_walk_boxes(dict(_walk_boxes(data))[b"meta"][4:]))
        properties = dict(_walk_boxes(meta[b"iprp"]))
        numbers = _list_property_numbers(properties[b"ipma"], _read_primary_item(meta[b"pitm"]))
        boxes = list(_walk_boxes(properties[b"ipco"]))
        return [boxes[number - 1] for number in numbers if 0 < number <= len(boxes)]
    except (LookupError, struct.error):
        return []


def _walk_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    return islice(_walk_all_boxes(memoryview(data)), MAX_PARTS)


def _walk_all_boxes(data: memoryview) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position + 8 <= len(data):
        size, kind, head = int.from_bytes(data[position : position + 4]), bytes(data[position + 4 : position + 8]), 8
        if size == 1:
            size, head = int.from_bytes(data[position + 8 : position + 16]), 16
        end = position + size if size else len(data)
        if end < position + head or end > len(data):
            return
        # Coded pictures are not looked at.
        yield kind, b"" if kind == b"mdat" else bytes(data[position + head : end])
        position = end


def _read_primary_item(body: bytes) -> int:
    return int.from_bytes(body[4:8] if body[0] else body[4:6])


def _list_property_numbers(body: bytes, item: int) -> list[int]:
    """The numbers, from 1, of an item's properties, in their order."""
    width, id_width, position = 2 if body[3] & 1 else 1, 4 if body[0] else 2, 8
    while position + id_width < len(body):
        count, start = body[position + id_width], position + id_width + 1
        if int.from_bytes(body[position : position + id_width]) == item:
            entries = (body[start + i * width : start + (i + 1) * width] for i in range(count))
            # The highest bit says that whoever does not know the property cannot show the picture.
            return [int.from_bytes(entry) & ((1 << (8 * width - 1)) - 1) for entry in entries]
        position = start + count * width
    return []


def _read_clean_aperture(body: bytes, size: tuple[int, int]) -> Box | None:
    """The part that is shown; None where it is not a part of whole pixels, which libavif passes over too."""
    numbers = struct.unpack(">IIIIiIiI", body)
    if not all(numbers[1::2]):
        return None
    width, height, right, down = (Fraction(a, b) for a, b in zip(numbers[0::2], numbers[1::2], strict=True))
    # Offsets are from middle to middle.
    left, top = (size[0] - width) / 2 + right, (size[1] - height) / 2 + down
    edges = left, top, left + width, top + height
    if any(edge.denominator != 1 for edge in edges) or min(left, top) < 0 or min(width, height) <= 0:
        return None
    if edges[2] > size[0] or edges[3] > size[1]:
        return None
    return int(left), int(top), int(edges[2]), int(edges[3])
