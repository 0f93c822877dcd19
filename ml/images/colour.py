"""Any colour mode and profile to RGB in sRGB, over white."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageCms

from .refusal import HOSTILE_BYTES

MAX_PROFILE_BYTES = 4 * 1024 * 1024


def to_srgb(image: Image.Image, reduction: int = 1) -> Image.Image:
    """A loaded picture as RGB in sRGB, white where it was transparent, shrunk by the whole factor `reduction`.

    A broken or foreign colour profile is passed over, as browsers do.
    """
    profile = image.info.get("icc_profile")
    picture = _plain(image)
    if reduction > 1:
        picture = picture.reduce(reduction)
    picture = _flatten(picture)
    converted = _through_profile(picture, profile) or _as(picture, "RGB")
    converted.info = {}
    return converted


def _plain(image: Image.Image) -> Image.Image:
    """The picture in one of L, RGB, CMYK, LA or RGBA: 8 bits a channel, colours instead of palette entries."""
    if image.mode.startswith("I;16"):
        return _eight_bits(image)
    if image.mode == "CMYK":
        # Adobe's CMYK is stored inverted, and Pillow takes every CMYK JPEG for Adobe's.
        return image if "adobe" in image.info else ImageChops.invert(image)
    if image.has_transparency_data:
        return _as(image, "LA" if image.mode == "LA" else "RGBA")
    return _as(image, "L" if image.mode == "L" else "RGB")


def _as(image: Image.Image, mode: str) -> Image.Image:
    """The picture in `mode`; itself where it is, which Pillow would copy."""
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits to 8; Pillow's own conversion would clip."""
    levels = np.asarray(image)
    grey = Image.fromarray((levels >> 8).astype(np.uint8))
    transparent = image.info.get("transparency")
    if transparent is not None:
        grey.putalpha(Image.fromarray(np.where(levels == transparent, 0, 255).astype(np.uint8)))
    return grey


def _flatten(image: Image.Image) -> Image.Image:
    if image.mode not in ("LA", "RGBA"):
        return image
    mode = image.mode.removesuffix("A")
    flat = Image.new(mode, image.size, "white")
    flat.paste(image.convert(mode), mask=image.getchannel("A"))
    return flat


def _through_profile(image: Image.Image, profile: bytes | None) -> Image.Image | None:
    """The picture converted by its embedded ICC profile; None where there is none or it does not fit."""
    if not profile or len(profile) > MAX_PROFILE_BYTES:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, _srgb(), outputMode="RGB")
    except (ImageCms.PyCMSError, *HOSTILE_BYTES):
        return None


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
