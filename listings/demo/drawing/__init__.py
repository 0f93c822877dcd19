"""Photos of made-up items: `draw_photo` is a pure function of six words."""

from .colours import COLOURS
from .compose import BACKGROUNDS, KINDS, VIEWS, View, draw_photo
from .patterns import PATTERNS

__all__ = ["BACKGROUNDS", "COLOURS", "KINDS", "PATTERNS", "VIEWS", "View", "draw_photo"]
