"""How many pixels an AVIF file makes its decoder allocate.

The container states a size and each coded picture states its own; the decoder allocates the latter before it compares
them, so 3 kB that claim 16 x 16 pixels can cost a gigabyte. Layout: ISO/IEC 14496-12 and 23008-12 (boxes), AV1
specification 5.3 to 5.5 (OBUs). Whatever cannot be followed raises ValueError or IndexError.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import NamedTuple

# An OBU, the unit of an AV1 stream, may take two bytes, so a hostile file may hold millions to loop over.
MAX_OBUS = 20_000
# Pictures have some dozens of boxes, and some hundreds where they are made of tiles. Each costs a hundred bytes here.
MAX_BOXES = 10_000
# Items and their extents. An extent may take no bytes at all, so a kilobyte can claim millions of them.
MAX_LOCATIONS = 20_000
SEQUENCE_HEADER = 1

_NESTED = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}


class Box(NamedTuple):
    """A part of the container, and where its body starts and ends in the file."""

    kind: bytes
    start: int
    end: int


class Bits:
    """Reads big-endian numbers of any width from bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def read_number(self, width: int) -> int:
        first, last = self._position // 8, (self._position + width + 7) // 8
        if last > len(self._data):
            raise IndexError("read past the end")
        self._position += width
        window = int.from_bytes(self._data[first:last])
        return (window >> (last * 8 - self._position)) & ((1 << width) - 1)


class Budget:
    """What a file's items may still claim, all together: as many bytes as the file has, and MAX_LOCATIONS.

    Items may claim the same bytes again and again, and each is copied and searched for frames.
    """

    def __init__(self, size: int) -> None:
        self._bytes_left, self._locations_left = size, MAX_LOCATIONS

    def claim_bytes(self, size: int) -> None:
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise ValueError("coded pictures overlap")

    def claim_location(self) -> None:
        self._locations_left -= 1
        if self._locations_left < 0:
            raise ValueError("too many items or extents")


def count_coded_pixels(data: bytes) -> int:
    """The pixels of all coded pictures of an AVIF file together; of an animation, those of its first frame."""
    boxes = list(islice(_walk_boxes(data, 0, len(data)), MAX_BOXES + 1))
    if len(boxes) > MAX_BOXES:
        raise ValueError("too many boxes")
    budget = Budget(len(data))
    payloads = chain(_coded_item_payloads(data, boxes, budget), _first_samples(data, boxes, budget))
    return sum(_count_largest_frame_pixels(payload) for payload in payloads)


def _walk_boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    while start + 8 <= end:
        size, kind, head = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16]), 16
        stop = start + size if size else end
        # A box cannot end within its own head; going on there would take bytes of the head for another box.
        if stop > end or stop < start + head:
            raise ValueError("a box reaches outside its parent")
        yield Box(kind, start + head, stop)
        # The children of `meta` and `iinf` do not begin at once: a version, flags and, in `iinf`, a count come first.
        if kind == b"meta":
            yield from _walk_boxes(data, start + head + 4, stop)
        elif kind == b"iinf":
            yield from _walk_boxes(data, start + head + (8 if data[start + head] else 6), stop)
        elif kind in _NESTED:
            yield from _walk_boxes(data, start + head, stop)
        start = stop


def _coded_item_payloads(data: bytes, boxes: list[Box], budget: Budget) -> Iterator[bytes]:
    inner = next((data[start:end] for kind, start, end in boxes if kind == b"idat"), b"")
    coded = {_item_id(data[start:end]) for kind, start, end in boxes if kind == b"infe" and b"av01" in data[start:end]}
    for kind, start, end in boxes:
        if kind == b"iloc":
            for item, parts in _locate_items(Bits(data[start:end]), memoryview(data), memoryview(inner), budget):
                if item in coded:
                    budget.claim_bytes(sum(map(len, parts)))
                    yield b"".join(parts)


def _item_id(entry: bytes) -> int:
    return int.from_bytes(entry[4:8] if entry[0] == 3 else entry[4:6])


def _locate_items(
    bits: Bits, data: memoryview, inner: memoryview, budget: Budget
) -> Iterator[tuple[int, list[memoryview]]]:
    """The id of each item, and the parts of the file that it is made of; nothing is copied."""
    version, _flags = bits.read_number(8), bits.read_number(24)
    offset_width, length_width, base_width, index_width = (bits.read_number(4) * 8 for _ in range(4))
    for _ in range(bits.read_number(32 if version == 2 else 16)):
        budget.claim_location()
        item = bits.read_number(32 if version == 2 else 16)
        method = bits.read_number(16) & 15 if version else 0
        _file_index = bits.read_number(16)
        base, parts = bits.read_number(base_width), []
        for _ in range(bits.read_number(16)):
            budget.claim_location()
            bits.read_number(index_width if version else 0)
            offset, length = base + bits.read_number(offset_width), bits.read_number(length_width)
            source = inner if method == 1 else data
            parts.append(source[offset : offset + length] if length else source[offset:])
        yield item, parts


def _first_samples(data: bytes, boxes: list[Box], budget: Budget) -> Iterator[bytes]:
    """The first sample of a track is where its first chunk is."""
    offsets = [_first_table_entry(data, start, kind) for kind, start, _ in boxes if kind in (b"stco", b"co64")]
    sizes = [_first_table_entry(data, start, kind) for kind, start, _ in boxes if kind == b"stsz"]
    for offset, size in zip(offsets, sizes, strict=True):
        sample = data[offset : offset + size]
        budget.claim_bytes(len(sample))
        yield sample


def _first_table_entry(data: bytes, start: int, kind: bytes) -> int:
    bits = Bits(data[start : start + 24])
    _version_and_flags = bits.read_number(32)
    if kind == b"stsz" and (same_for_all := bits.read_number(32)):
        return same_for_all
    _entries = bits.read_number(32)
    return bits.read_number(64 if kind == b"co64" else 32)


def _read_leb128(data: bytes, position: int) -> tuple[int, int]:
    """A little-endian number of 7 bits a byte, and the position behind it."""
    value = 0
    for i in range(8):
        value |= (data[position + i] & 127) << (7 * i)
        if data[position + i] < 128:
            return value, position + i + 1
    raise ValueError("a number of more than 8 bytes")


def _count_max_frame_pixels(bits: Bits) -> int:
    """The largest frame that one sequence header allows."""
    _profile, _is_still = bits.read_number(3), bits.read_number(1)
    is_reduced = bits.read_number(1)
    if is_reduced:
        bits.read_number(5)
    else:
        _skip_timing_and_operating_points(bits)
    width_bits, height_bits = bits.read_number(4) + 1, bits.read_number(4) + 1
    return (bits.read_number(width_bits) + 1) * (bits.read_number(height_bits) + 1)


def _skip_timing_and_operating_points(bits: Bits) -> None:
    delay_bits = 0
    has_timing = bits.read_number(1)
    if has_timing:
        bits.read_number(64)
        has_equal_intervals = bits.read_number(1)
        if has_equal_intervals:
            zeros = next(i for i in range(64) if bits.read_number(1))
            bits.read_number(zeros)
        has_decoder_model = bits.read_number(1)
        if has_decoder_model:
            delay_bits = bits.read_number(5) + 1
            bits.read_number(42)
    has_delay = bits.read_number(1)
    for _ in range(bits.read_number(5) + 1):
        bits.read_number(12)
        if bits.read_number(5) > 7:
            bits.read_number(1)
        if delay_bits and bits.read_number(1):
            bits.read_number(2 * delay_bits + 1)
        if has_delay and bits.read_number(1):
            bits.read_number(4)


def _count_largest_frame_pixels(payload: bytes) -> int:
    """The largest frame that the sequence headers of an AV1 stream announce."""
    largest = position = 0
    for _ in range(MAX_OBUS):
        if position >= len(payload):
            return largest
        header = payload[position]
        position += 2 if header & 4 else 1
        size, position = _read_leb128(payload, position) if header & 2 else (len(payload) - position, position)
        if (header >> 3) & 15 == SEQUENCE_HEADER:
            largest = max(largest, _count_max_frame_pixels(Bits(payload[position : position + size])))
        position += size
    raise ValueError("too many OBUs")
