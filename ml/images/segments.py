"""JPEG segments that are too short for what they say they are, with which Pillow cannot open a file; browsers can."""

from __future__ import annotations

import io
import re
from typing import IO

# The mark of a segment, if its length, which counts itself, leaves no room for what follows these words.
_SHORT = re.compile(
    rb"\xff(?:\xe0(?=\0[\x06-\x08]JFIF)|\xe2(?=\0[\x0e\x0f]ICC_PROFILE\0)|\xee(?=\0[\x07\x08]Adobe))", re.DOTALL
)
_COMMENT = b"\xff\xfe"


def pass_over_short_segments(file: IO[bytes]) -> IO[bytes]:
    """A copy of a JPEG in which such segments are comments. Coded pixels never hold the mark of one."""
    file.seek(0)
    return io.BytesIO(_SHORT.sub(_COMMENT, file.read()))
