"""What a seller sends: streamed to disk, hashed, and judged by size and header; hardly any is decoded here."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.files.base import File
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest

from ml import images
from ml.images import PhotoRefused, sniff_header

from .no_room import TEMPORARY, CannotStore

logger = logging.getLogger(__name__)

# A declared length is cut to this many digits, which still say of any longer number that it is far too large.
LONGEST_NUMBER = 18
# A plain picture takes at most so many bytes a pixel, or few enough to be metadata: JPEG writes every block, others
# hardly anything. No phone's photo is that small, so web processes leave nearly all of them to the embedding workers.
PLAIN_JPEG_BYTES, PLAIN_BYTES = 0.05, 0.02
METADATA_BYTES = 16 * 1024


@dataclass(frozen=True)
class CheckedPhoto:
    """A file whose header says that it is a photo we can decode."""

    file: File
    sha256: str
    width: int
    height: int
    suffix: str


class PhotoUpload(TemporaryUploadedFile):
    """A photo on disk; `size` is what was sent, of which no more than the limit was kept."""

    sha256 = ""


class LostUpload(UploadedFile):
    """A photo for which there was no room on the disk: whoever judges it says so, and the rest of a form is kept."""

    sha256 = ""

    def __init__(self, trouble: OSError) -> None:
        super().__init__(io.BytesIO())
        self.trouble = trouble


class PhotoUploadHandler(FileUploadHandler):
    """Write each file to disk and hash it on the way; what lies beyond the size limit is read and dropped."""

    file: PhotoUpload | LostUpload

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.digest = hashlib.sha256()
        # A fixed name, because the sender's may be too long for the file system.
        try:
            self.file = PhotoUpload("photo", self.content_type, 0, self.charset, self.content_type_extra)
        except OSError as exc:
            self.file = LostUpload(exc)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        # A file that is too large is refused later, with a sentence; until then it must not fill the disk.
        if start + len(raw_data) > settings.PHOTO_MAX_BYTES or isinstance(self.file, LostUpload):
            return
        try:
            self.file.write(raw_data)
        except OSError as exc:
            self._give_up(exc)
        self.digest.update(raw_data)

    def file_complete(self, file_size: int) -> PhotoUpload | LostUpload:
        try:
            self.file.seek(0)
        # The last bytes are written only now.
        except OSError as exc:
            self._give_up(exc)
        self.file.size = file_size
        self.file.sha256 = self.digest.hexdigest()
        # The sender's name of the file is kept for the messages about it, although the file on disk has another.
        self.file.name = self.file_name
        return self.file

    def _give_up(self, trouble: OSError) -> None:
        with suppress(OSError):
            self.file.close()
        self.file = LostUpload(trouble)

    def upload_interrupted(self) -> None:
        # Closing a temporary file deletes it, so that half a photo does not stay on the disk.
        if self.file is not None:
            self.file.close()


def refuse_lost_uploads(uploads: Iterable[File]) -> None:
    """Raise `CannotStore` if there was no room for one of these files; a form asks before it saves anything."""
    for upload in uploads:
        if isinstance(upload, LostUpload):
            raise CannotStore(TEMPORARY, upload.trouble)


def declared_length(request: HttpRequest) -> int:
    """How many bytes the sender says the body has; 0 where it does not say, or says something that is no number."""
    text = request.META.get("CONTENT_LENGTH") or ""
    # Cut, because Python refuses to read a number of thousands of digits, which a sender can write here.
    return int(text.lstrip("0")[:LONGEST_NUMBER] or 0) if text.isdecimal() else 0


def check_photo(upload: File) -> CheckedPhoto:
    """Raise `PhotoRefused`, with a sentence for the seller, unless this may be a photo in which something can be seen.

    Its code is `too_small` or `one_colour` where it is a picture, but one that no listing can be found by.
    """
    try:
        photo = check_header(upload)
    except (ChildProcessError, TimeoutError) as exc:
        # No fault of the photo's, but whoever sent it is the one who can do something now.
        logger.exception("HEIC and AVIF cannot be opened on this machine.")
        raise PhotoRefused(
            "HEIC and AVIF photos cannot be opened here at the moment. Save the photo as JPEG, or try again later.",
            "unsupported",
        ) from exc
    if _may_be_plain(photo, upload.size or 0):
        _refuse_plain_upload(upload)
    return photo


def check_header(upload: File) -> CheckedPhoto:
    """What `check_photo` does without looking at pixels, for whoever decodes the photo at once.

    Trouble of this machine stays an OSError.
    """
    if (upload.size or 0) > settings.PHOTO_MAX_BYTES:
        limit = settings.PHOTO_MAX_BYTES // (1024 * 1024)
        raise PhotoRefused(f"The photo is larger than {limit} MB. Save it smaller and send it again.", "too_large")
    if isinstance(upload, LostUpload):
        raise CannotStore(TEMPORARY, upload.trouble)
    upload.seek(0)
    header = sniff_header(upload)
    # An upload was hashed while it was written, so only other files, such as those of an import, are read for the hash.
    digest = getattr(upload, "sha256", "") or _sha256(upload)
    upload.seek(0)
    images.refuse_small_picture(header)
    return CheckedPhoto(upload, digest, header.width, header.height, f".{header.format.lower()}")


def _may_be_plain(photo: CheckedPhoto, size: int) -> bool:
    a_pixel = PLAIN_JPEG_BYTES if photo.suffix == ".jpeg" else PLAIN_BYTES
    return size <= METADATA_BYTES + a_pixel * photo.width * photo.height


def _refuse_plain_upload(upload: File) -> None:
    """Decode it as embedding workers do, so that both judge alike; they alone judge what this process cannot now."""
    # What is no picture's fault, such as a child process that does not start, must not stop an upload either.
    with images.try_decoding_place() as has_place, suppress(ChildProcessError, TimeoutError, MemoryError):
        if has_place:
            picture = images.decode(upload.read(), images.CLEAN_SIDE)
            images.refuse_plain_picture(images.make_clean_picture(picture))
    upload.seek(0)


def check_photos(uploads: Iterable[File]) -> list[CheckedPhoto | PhotoRefused]:
    """Each file as `check_photo` finds it, or its refusal: one that is no photo does not keep the others out."""
    checked: list[CheckedPhoto | PhotoRefused] = []
    for upload in uploads:
        try:
            checked.append(check_photo(upload))
        except PhotoRefused as refusal:
            checked.append(refusal)
    return checked


def _sha256(upload: File) -> str:
    digest = hashlib.sha256()
    for chunk in upload.chunks():
        digest.update(chunk)
    return digest.hexdigest()
