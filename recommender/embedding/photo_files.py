"""A photo's files for the embedding worker: read what was uploaded, store what is made from it, copy, discard.

Every photo owns its files, also when its bytes are those of another, so that deleting one never harms the other.
Nothing here touches the database except `is_any_other_original_found`: the rest runs in decode threads.
"""

from __future__ import annotations

import hashlib
import io
import logging
import struct
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from django.core.files.base import ContentFile
from django.core.files.storage import Storage, default_storage
from PIL import Image

from listings.models import ListingImage, originals_storage
from listings.photos.lost_pictures import is_any_found
from listings.photos.no_room import PICTURES, CannotStore
from ml import images
from ml.images import Encoded, PhotoRefused

from .queue import Row

logger = logging.getLogger(__name__)

# About half a second's work of a core: pixels of a JPEG times its scans. Other formats cost as much as so many scans.
SLOW_PIXELS = 400_000_000
OTHER_FORMATS_LIKE_SCANS = 20
FEW_SCANS, FEW_BYTES = 3, 4 * 1024 * 1024
BOXES_BYTES = 64 * 1024


class StorageTrouble(Exception):
    """The photo storage cannot be read or written now, or nothing be decoded; no photo is at fault."""


class FileLost(Exception):
    """The storage answers that there is no such file."""


class FileDamaged(Exception):
    """The stored bytes are not the ones that were uploaded."""


class NotDecoded(Exception):
    """This machine had no time to decode the photo, which is not its fault."""


class TakesLong(Exception):
    """Decoding this photo takes half a second or more, and nobody else's photo should wait for it."""


@dataclass(frozen=True)
class Derivatives:
    """Storage names of a photo's public files, the original's upright size in pixels, and a note for its seller."""

    clean: str
    thumb: str
    width: int
    height: int
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """The clean picture to embed; `encoded` where the photo's derivatives are still to be stored."""

    image: Image.Image
    encoded: Encoded | None


def load_picture(row: Row, *, is_patient: bool = True) -> Picture:
    """The stored clean picture, else one made from the original.

    Raises:
        PhotoRefused: the uploaded bytes are not a picture we take, or nothing can be seen in it.
        FileLost, FileDamaged, NotDecoded, StorageTrouble: see there.
        TakesLong: see there; only for who is not patient.
    """
    if row.clean:
        # A derivative that is lost or damaged is no reason to refuse a photo: it is made again from the original.
        with suppress(FileLost, PhotoRefused):
            return Picture(images.decode(read_file(default_storage, row.clean)), None)
    data = read_file(originals_storage(), row.original)
    if not is_patient and is_slow_to_decode(data):
        raise TakesLong(row.original)
    try:
        picture, encoded = images.make_derivatives(data)
        # A photo that was accepted before is kept, whatever is asked of new ones.
        if not row.clean:
            images.refuse_plain_picture(picture)
    except PhotoRefused as exc:
        if hashlib.sha256(data).hexdigest() != row.sha256:
            raise FileDamaged(row.original) from exc
        raise
    except TimeoutError as exc:
        raise NotDecoded(row.original) from exc
    except OSError as exc:
        raise StorageTrouble(f"{row.original} cannot be decoded on this machine: {exc}") from exc
    return Picture(picture, encoded)


def is_slow_to_decode(data: bytes) -> bool:
    """Whether decoding takes half a second or more, by pixels and, in a JPEG, by how often they are gone over."""
    if data[4:8] == b"ftyp":
        # AVIF and HEIC, which name the sizes of the picture and of its tiles; to open them would take a process.
        sizes = [struct.unpack(">II", data[at + 8 : at + 16]) for at in _find_all(data[:BOXES_BYTES], b"ispe")]
        return max((width * height for width, height in sizes), default=0) * OTHER_FORMATS_LIKE_SCANS > SLOW_PIXELS
    is_jpeg = data.startswith(b"\xff\xd8")
    scans = data.count(b"\xff\xda") if is_jpeg else OTHER_FORMATS_LIKE_SCANS
    # Most photos are told by this alone, without a look at their header.
    if scans <= FEW_SCANS and len(data) < FEW_BYTES:
        return False
    try:
        header = images.sniff_header(io.BytesIO(data))
    except (PhotoRefused, OSError):
        return False  # whoever decodes it says what is wrong
    pixels = header.width * header.height
    if is_jpeg and pixels * scans > SLOW_PIXELS:
        scans = images.count_scans(data)  # metadata and a film behind the picture hold the mark of one by chance
    return pixels * scans > SLOW_PIXELS


def _find_all(data: bytes, word: bytes) -> Iterator[int]:
    at = data.find(word)
    while 0 <= at <= len(data) - 16:
        yield at
        at = data.find(word, at + 1)


def save_derivatives(encoded: Encoded) -> Derivatives:
    """Store derivatives under names nobody else uses."""
    key = uuid.uuid4().hex
    clean = _store_file(f"clean/{key[:2]}/{key}.jpg", encoded.clean)
    try:
        thumb = _store_file(f"thumb/{key[:2]}/{key}.jpg", encoded.thumb)
    except StorageTrouble:
        delete_files(default_storage, [clean])
        raise
    return Derivatives(clean, thumb, encoded.width, encoded.height, encoded.note)


def copy_derivatives(source: Derivatives) -> Derivatives:
    """The same derivatives as files of another photo.

    Raises:
        FileLost, StorageTrouble: see there.
    """
    clean, thumb = (read_file(default_storage, name) for name in (source.clean, source.thumb))
    return save_derivatives(Encoded(clean, thumb, source.width, source.height, source.note))


def make_for_each(rows: Sequence[Row], make: Callable[[], Derivatives]) -> tuple[Derivatives, ...]:
    """Make files of its own for every row, or for none of them."""
    made: list[Derivatives] = []
    try:
        while len(made) < len(rows):
            made.append(make())
    except (FileLost, StorageTrouble):
        discard_derivatives(made)
        raise
    return tuple(made)


def discard_derivatives(unused: Iterable[Derivatives | None]) -> None:
    """Delete derivatives that no row names; what cannot be deleted now is collected later."""
    for made in unused:
        if made:
            delete_files(default_storage, (made.clean, made.thumb))


def delete_files(storage: Storage, names: Iterable[str]) -> None:
    for name in names:
        try:
            storage.delete(name)
        except OSError as exc:
            logger.warning("%s could not be deleted (%s); it is collected later.", name, exc)


def read_file(storage: Storage, name: str) -> bytes:
    try:
        with storage.open(name) as file:
            return file.read()
    except FileNotFoundError as exc:
        raise FileLost(name) from exc
    except OSError as exc:
        raise StorageTrouble(f"{name} cannot be read: {exc}.") from exc


def _store_file(name: str, data: bytes) -> str:
    try:
        return default_storage.save(name, ContentFile(data))
    except OSError as exc:
        # A full disk leaves half a file behind, which would take the room that others need.
        delete_files(default_storage, [name])
        lost = CannotStore(PICTURES, exc)
        raise StorageTrouble(
            f"{name} cannot be stored: {PICTURES.setting} {lost.trouble} ({exc.strerror}), and photos wait."
        ) from lost


def is_any_other_original_found(lost: Collection[int]) -> bool:
    """Whether the originals' volume is mounted. Where no other photo exists nothing waits, so doubt costs nothing."""
    try:
        return is_any_found(ListingImage.objects.exclude(pk__in=lost).only("original"), "original")
    except OSError:
        return False
