"""Loaded pictures of whatever colours to RGB in sRGB, in bands of rows, so that few bytes exist beside the picture."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image, ImageCms, ImageFile

from .colour import MAX_PROFILE_BYTES, convert_coded_colours
from .header import HOSTILE_BYTES
from .parts import Part

_BAND_PIXELS = 1 << 18  # brought to a plain mode at a time


def flatten_to_srgb(image: Image.Image, part: Part, reduction: int = 1) -> Image.Image:
    """A part of a loaded picture as RGB in sRGB, white where it was transparent, shrunk by the factor `reduction`.

    A broken or foreign colour profile is passed over, and the colour space in EXIF not asked, as in browsers.
    White is laid below the converted colours: in what a profile or a curve codes, half of white is another colour.
    """
    profile, coding = image.info.get("icc_profile"), image.info.get("coding")
    picture = _shrink_in_bands(image, part, reduction)
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    picture = _convert_mode(picture, picture.mode.removesuffix("A"))
    converted = _convert_to_srgb(picture, profile) or _convert_mode(picture, "RGB")
    if coding:
        converted = convert_coded_colours(converted, coding)
    if alpha:
        converted = Image.composite(converted, Image.new("RGB", converted.size, "white"), alpha)
    # Whoever saves this must not write the profile again, which has been applied.
    converted.info = {}
    return converted


def uncover_canvas(image: ImageFile.ImageFile) -> None:
    """Make what the first frame of a loaded GIF leaves of its canvas transparent, as browsers do; Pillow paints it."""
    frame = getattr(image, "dispose_extent", None)
    if frame and frame != (0, 0, *image.size) and not image.has_transparency_data:
        covered = Image.new("L", image.size, 0)
        covered.paste(255, frame)
        image.putalpha(covered)


def _shrink_in_bands(image: Image.Image, part: Part, reduction: int) -> Image.Image:
    """The part in one of L, RGB, CMYK, LA or RGBA, as if all of it had been converted and then shrunk."""
    if "read_mask" in image.info:
        image.putalpha(image.info["read_mask"]())
    left, top, right, bottom = part
    if reduction == 1 and "read_rows" not in image.info:
        return _to_plain_mode(image if part == (0, 0, *image.size) else image.crop(part))
    shrunk: Image.Image | None = None
    rows = max(1, _BAND_PIXELS // (right - left) // reduction) * reduction
    for start in range(top, bottom, rows):
        band = _to_plain_mode(_read_band(image, (left, start, right, min(bottom, start + rows)))).reduce(reduction)
        if shrunk is None:
            size = -(-(right - left) // reduction), -(-(bottom - top) // reduction)
            shrunk = Image.new(band.mode, size)
        shrunk.paste(band, (0, (start - top) // reduction))
    assert shrunk is not None  # noqa: S101 - a part has rows
    return shrunk


def _read_band(image: Image.Image, band: Part) -> Image.Image:
    """Some rows of a picture, which may not be loaded where its format gives rows by themselves."""
    left, top, right, bottom = band
    if "read_rows" not in image.info:
        return image.crop(band)
    rows: Image.Image = image.info["read_rows"](top, bottom)
    return rows if rows.width == right - left else rows.crop((left, 0, right, bottom - top))


def _to_plain_mode(image: Image.Image) -> Image.Image:
    """8 bits a channel, colours instead of palette entries."""
    if image.mode.startswith("I;16"):
        return _to_eight_bits(image)
    if image.mode == "CMYK":
        # Adobe stores CMYK inverted, and everybody since; Pillow inverts each CMYK JPEG, as browsers do.
        return image
    if image.has_transparency_data:
        return _convert_mode(image, "LA" if image.mode == "LA" else "RGBA")
    return _convert_mode(image, "L" if image.mode == "L" else "RGB")


def _convert_mode(image: Image.Image, mode: str) -> Image.Image:
    """The picture in `mode`; itself where it is, which Pillow would copy."""
    return image if image.mode == mode else image.convert(mode)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits to 8; Pillow's own conversion would clip."""
    levels = np.asarray(image)
    grey = Image.fromarray((levels >> 8).astype(np.uint8))
    transparent = image.info.get("transparency")
    if transparent is not None:
        grey.putalpha(Image.fromarray(np.where(levels == transparent, 0, 255).astype(np.uint8)))
    return grey


def _convert_to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image | None:
    """The picture converted by its embedded ICC profile; None where there is none or it does not fit."""
    if not profile or len(profile) > MAX_PROFILE_BYTES:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        # The default, perceptual, would stretch what printers' profiles call black to the black of a screen.
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        return ImageCms.profileToProfile(image, source, _srgb_profile(), intent, "RGB")
    except (ImageCms.PyCMSError, *HOSTILE_BYTES):
        return None


@cache
def _srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
