"""Which files are taken for pictures, by their first bytes alone; names and declared types are not asked."""

from __future__ import annotations

import re

from .refusal import PhotoRefused

PREFIX_BYTES = 64
END_BYTES = 64 * 1024

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}
_CONTAINER_BRANDS = {b"mif1", b"msf1"}

_UNSUPPORTED = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
    b"8BPS": "Photoshop",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\1\0": "icon",
    b"%PDF-": "PDF",
}
_SVG = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:\?xml|!--|!doctype svg|svg)", re.IGNORECASE)
_MARKUP = re.compile(rb"</?(?:script|html|svg|iframe|body)[\s>/]|<!doctype\s|<\?php", re.IGNORECASE)
_ZIP_END = re.compile(rb"PK\x05\x06")
_ZIP_DIRECTORY = b"PK\x01\x02"
_LARGEST_DIRECTORY = 1 << 24  # bytes; four random bytes hardly ever say less


def identify(prefix: bytes) -> str:
    """Pillow's name of the format that `prefix`, the first `PREFIX_BYTES` of a file, announces.

    Raises:
        PhotoRefused: empty, a format that is not taken, or no picture at all.
    """
    if not prefix:
        raise PhotoRefused("The file is empty.", "not_an_image")
    if prefix.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if prefix.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if prefix.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if prefix.startswith(b"RIFF") and prefix[8:12] == b"WEBP":
        return "WEBP"
    return _container(prefix) or _refuse(prefix)


def _container(prefix: bytes) -> str | None:
    """HEIF and AVIF share a container; its brands tell them apart."""
    if prefix[4:8] != b"ftyp":
        return None
    major = prefix[8:12]
    minor = {prefix[i : i + 4] for i in range(16, min(len(prefix), int.from_bytes(prefix[:4])), 4)}
    if major in _AVIF_BRANDS or (major in _CONTAINER_BRANDS and minor & _AVIF_BRANDS):
        return "AVIF"
    if major in _HEIF_BRANDS | _CONTAINER_BRANDS:
        return "HEIF"
    return None


def _refuse(prefix: bytes) -> str:
    name = next((name for magic, name in _UNSUPPORTED.items() if prefix.startswith(magic)), None)
    if name is None and _SVG.match(prefix):
        name = "SVG or XML"
    if name is not None:
        raise PhotoRefused(f"{name} files are not taken. Save the photo as JPEG, PNG, WebP or HEIC.", "unsupported")
    raise PhotoRefused("The file is not a photo.", "not_an_image")


def refuse_polyglot(end: bytes) -> None:
    """Refuse a picture whose last `END_BYTES` are also a web page, a script or an archive."""
    if _MARKUP.search(end) or any(_ends_archive(end, match.start()) for match in _ZIP_END.finditer(end)):
        raise PhotoRefused(
            "The file holds a picture and something else (a web page or an archive). Save the photo again as JPEG.",
            "not_an_image",
        )


def _ends_archive(end: bytes, position: int) -> bool:
    """Whether a ZIP's end record at `position` has its directory before it: four bytes alone occur by chance."""
    size = int.from_bytes(end[position + 12 : position + 16], "little")
    if size > position:
        return size < _LARGEST_DIRECTORY
    return size == 0 or end[position - size :].startswith(_ZIP_DIRECTORY)
