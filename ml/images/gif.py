"""The canvas of a GIF."""

from __future__ import annotations

from PIL import Image, ImageFile


def uncover_canvas(image: ImageFile.ImageFile) -> None:
    """Make what the first frame of a loaded GIF leaves of its canvas transparent, as browsers do; Pillow paints it."""
    frame = getattr(image, "dispose_extent", None)
    if frame and frame != (0, 0, *image.size) and not image.has_transparency_data:
        covered = Image.new("L", image.size, 0)
        covered.paste(255, frame)
        image.putalpha(covered)
