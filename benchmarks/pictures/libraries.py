"""Two decoders that share no code with this project's: libvips, and of HEIC the command `heif-convert`."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from .views import Refusal, Seen, View, make_view

HEIF_CONVERT = shutil.which("heif-convert")
SECONDS = 60  # for one picture, after which a decoder is taken to refuse it


def view_with_vips(path: Path) -> Seen:
    import pyvips

    try:
        image = pyvips.Image.new_from_file(str(path), fail_on="truncated")
        view = _flatten_with_vips(image.autorot())
    except pyvips.Error as error:
        return Refusal(_name_reason(str(error)))
    # Of damage within a JPEG libjpeg only warns; in other formats a warning may be about what no pixel needs.
    return replace(view, warning=_find_warning(path)) if image.get("vips-loader") == "jpegload" else view


def _find_warning(path: Path) -> str:
    import pyvips

    try:
        pyvips.Image.new_from_file(str(path), fail_on="warning").avg()
    except pyvips.Error as error:
        return _name_reason(str(error))
    return ""


def view_with_heif_convert(path: Path) -> Seen:
    """Through a PNG; heif-convert turns and cuts the picture itself, and keeps its profile."""
    import pyvips

    with tempfile.TemporaryDirectory(prefix="mp-heif-") as folder:
        target = Path(folder) / "picture.png"
        command = [str(HEIF_CONVERT), str(path), str(target)]
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return Refusal(f"took longer than {SECONDS} s")
        written = target if target.exists() else target.with_stem(f"picture-{_find_primary_number(path)}")
        if ran.returncode or not written.exists():
            return Refusal(_name_reason(ran.stderr or ran.stdout))
        try:
            return _flatten_with_vips(pyvips.Image.new_from_file(str(written)))
        except pyvips.Error as error:
            return Refusal(f"wrote no readable PNG: {_name_reason(str(error))}")


def _find_primary_number(path: Path) -> int:
    """Which picture of several is shown; heif-convert writes them all as picture-1.png, picture-2.png and so on."""
    told = subprocess.run(["heif-info", str(path)], capture_output=True, text=True, timeout=SECONDS, check=False)
    pictures = [line for line in told.stdout.splitlines() if line.startswith("image: ")]
    return next((number for number, line in enumerate(pictures, 1) if line.endswith("primary")), 1)


def _flatten_with_vips(image: Any) -> View:
    """An upright picture in sRGB over white; a profile that does not fit is passed over."""
    import pyvips

    if image.get_typeof("icc-profile-data"):
        try:
            image = image.icc_transform("srgb", embedded=True, intent="relative").copy_memory()
        except pyvips.Error:
            image = image.colourspace("srgb")
    else:
        image = image.colourspace("srgb")
    if image.hasalpha():
        image = image.flatten(background=255)
    if image.bands == 1:
        image = image.bandjoin([image, image])
    return make_view(Image.fromarray(image.cast("uchar").numpy()))


def _name_reason(output: str) -> str:
    return next((line for line in reversed(output.strip().splitlines()) if line.strip()), "no reason given")[:120]
